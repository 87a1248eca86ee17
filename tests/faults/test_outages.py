"""Servers that vanish, refuse or forget: work waits and goes on; no lease of a living process ends because of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
import pytest

from stage.engines import OPERATON, SANDBOX
from stage.postgres import connect
from tests.faults.world import COMPLETE, LOCK_SECONDS, POLLERS, SEND, WORKERS, World

ENGINES = (SANDBOX, OPERATON)


@pytest.fixture
def world(world: World) -> World:
    """The world, whole: processes that an earlier test made begin again have registered themselves."""
    world.wait("every process is registered", lambda: all_registered(world))
    return world


def test_the_broker_is_flushed_and_then_restarted(world: World) -> None:
    with nobody_loses_a_lease(world):
        running = world.held("flushed", "before")
        world.topology.valkey.flush()
        cases = {"flushed": running, "flushed-later": world.start("flushed-later")}
        world.topology.valkey.restart()
        cases["flushed-last"] = world.start("flushed-last")
        world.recorder.release("flushed", "before")

        world.all_went_well(cases)
        assert world.recorder.attempts_at("flushed", "before") == [1]


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True], ids=["flushed", "flushed and restarted"])
def test_the_sweep_goes_on_when_the_broker_has_forgotten_its_queues(world: World, restarted: bool) -> None:
    key = f"swept-{restarted}"
    running = world.held(key, "before")
    name = world.part_at(key, "before")
    dead = world.topology.part(name).pid
    world.topology.valkey.flush()
    if restarted:
        world.topology.valkey.restart()
    world.kill(name)
    world.recorder.release(key, "before")

    world.wait("the sweep has found the dead worker", lambda: dead in declared_dead(world, [dead]))
    world.all_went_well({key: running})


def test_postgresql_restarts(world: World) -> None:
    with nobody_loses_a_lease(world):
        running = world.held("pg-restart", "before")
        world.topology.postgres.restart()
        world.recorder.release("pg-restart", "before")

        world.all_went_well({"pg-restart": running, "pg-restart-later": world.start("pg-restart-later")})
        assert world.recorder.attempts_at("pg-restart", "before") == [1]


@pytest.mark.slow
def test_postgresql_crashes_and_returns(world: World) -> None:
    with nobody_loses_a_lease(world):
        running = world.held("pg-crash", "before")
        world.topology.postgres.crash()
        world.topology.postgres.start()
        world.recorder.release("pg-crash", "before")

        world.all_went_well({"pg-crash": running, "pg-crash-later": world.start("pg-crash-later")})
        assert world.recorder.attempts_at("pg-crash", "before") == [1]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [20, 40])
def test_postgresql_is_gone_for_a_while(world: World, seconds: int) -> None:
    """Longer than a heartbeat may be late, and than a lock: locks are kept from memory."""
    key = f"pg-gone-{seconds}"
    with nobody_loses_a_lease(world):
        running = world.held(key, "before")
        world.topology.postgres.crash()
        time.sleep(seconds)
        world.topology.postgres.start()
        later = world.start(f"{key}-later")
        time.sleep(20)
        world.recorder.release(key, "before")

        world.all_went_well({key: running, f"{key}-later": later})
        assert world.recorder.attempts_at(key, "before") == [1]


@pytest.mark.slow
def test_postgresql_is_read_only_for_a_while(world: World) -> None:
    """As after a failover to a standby: before and after an effect, and while one is under way that nobody can ask."""
    points = {"ro-before": "before", "ro-after": "after"}
    with nobody_loses_a_lease(world):
        cases = {key: world.held(key, point) for key, point in points.items()}
        world.recorder.acting_seconds = 3.0
        try:
            cases["ro-acting"] = world.start("ro-acting", topic=SEND, points=True)
            world.wait("its effect is intended", lambda: intended(world, "ro-acting"))
            with world.topology.postgres.read_only():
                world.wait("writes fail", lambda: writes_fail(world))
                for key, point in points.items():
                    world.recorder.release(key, point)
                cases["ro-later"] = world.start("ro-later")
                time.sleep(10)
        finally:
            world.recorder.acting_seconds = 0.0

        world.all_went_well(cases)
        assert world.recorder.attempts_at("ro-before", "before") == [1]
        assert world.recorder.attempts_at("ro-after", "after") == [1]
        assert world.recorder.attempts_at("ro-acting", "after") == [1]


@pytest.mark.slow
def test_the_engine_restarts(world: World) -> None:
    running = world.held("engine-restart", "after")
    stopped = time.monotonic()
    world.topology.engine.restart()
    away = time.monotonic() - stopped
    world.recorder.release("engine-restart", "after")

    world.all_went_well({"engine-restart": running, "engine-later": world.start("engine-later")})
    # A third of a lock may have passed when the engine went. A real engine's start can outlast the rest; then the unit
    # runs again, rightly, and finds its effect in the ledger.
    if away < LOCK_SECONDS / 2:
        assert world.recorder.attempts_at("engine-restart", "after") == [1]


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 503, 401])
def test_the_engine_refuses_everything_for_a_minute(world: World, status: int) -> None:
    """Longer than a lock: the stored outcome outlives its lease and is delivered under the next one."""
    running = world.held(f"refused-{status}", "after")
    with world.proxy.fault(r"", status=status, times=1_000_000) as refused:
        later = world.start(f"refused-{status}-later")
        time.sleep(10)
        world.recorder.release(f"refused-{status}", "after")
        time.sleep(50)
    assert refused.caught > 1

    world.all_went_well({f"refused-{status}": running, f"refused-{status}-later": later})
    assert world.recorder.attempts_at(f"refused-{status}", "after") == [1]


@pytest.mark.slow
def test_a_connection_is_cut_before_and_after_complete_is_received(world: World) -> None:
    with nobody_loses_a_lease(world):
        with world.proxy.fault(COMPLETE, request="cut") as before:
            cases = {"cut-before": world.start("cut-before", points=True)}
            before.wait()
        with world.proxy.fault(COMPLETE, answer="cut") as after:
            cases["cut-after"] = world.start("cut-after", points=True)
            after.wait()

        world.all_went_well(cases)
        assert all(world.recorder.attempts_at(key, "after") == [1] for key in cases)


@pytest.mark.slow
def test_everybody_dies_and_the_broker_forgets(world: World) -> None:
    """Nobody has to help: what was under way is done when the processes are back."""
    everybody = ("web", "beat", *POLLERS, *WORKERS)
    assert set(everybody) == set(world.topology.part_names)
    cases = {f"all-dead-{n}": world.held(f"all-dead-{n}", "before" if n % 2 else "after") for n in range(4)}
    world.kill(*everybody)
    world.topology.valkey.part.kill()
    cases["all-dead-meanwhile"] = world.start("all-dead-meanwhile")
    for key in cases:
        world.recorder.release(key, "before")
        world.recorder.release(key, "after")
    world.topology.valkey.start()
    world.begin(*everybody)

    world.all_went_well({**cases, "all-dead-later": world.start("all-dead-later")})


def all_registered(world: World) -> bool:
    """Whether every process of the fleet that was started has entered its row."""
    pids = {world.topology.part(name).pid for name in world.topology.part_names if name != "web"}
    return pids <= {row[0] for row in world.rows("SELECT pid FROM tasks_process WHERE stopped_at IS NULL")}


@contextmanager
def nobody_loses_a_lease(world: World, *, but: Sequence[str] = ()) -> Iterator[None]:
    """Every process (``but`` some) lives through the block: none is declared dead, every lease ends by its report."""
    ((since,),) = world.rows("SELECT now()")
    names = [name for name in world.topology.part_names if name not in but]
    pids = [world.topology.part(name).pid for name in names]
    yield
    assert pids == [world.topology.part(name).pid for name in names if world.topology.part(name).running]
    assert declared_dead(world, pids, since=since) == []
    assert world.rows(_ENDED_OTHERWISE, pids, since) == []


def declared_dead(world: World, pids: Sequence[int], *, since: object = "-infinity") -> list[int]:
    """Those of these processes that a sweep has declared dead."""
    return [row[0] for row in world.rows(_DECLARED_DEAD, list(pids), since)]


def intended(world: World, key: str) -> bool:
    return bool(world.rows(_INTENDED, key))


def writes_fail(world: World) -> bool:
    """Whether PostgreSQL refuses a write of a new session, for the reason that is meant."""
    with connect(world.topology.postgres.environment()) as connection:
        try:
            connection.execute("UPDATE tasks_process SET places = places")
        except psycopg.errors.ReadOnlySqlTransaction:
            return True
    return False


_ENDED_OTHERWISE = """
SELECT t.business_key, p.kind, l.ended_as FROM tasks_lease l
JOIN tasks_task t ON t.id = l.task_id JOIN tasks_process p ON p.id = l.holder_id
WHERE p.pid = ANY(%s) AND l.recorded_at >= %s AND l.ended_as NOT IN ('', 'delivered')
"""

_DECLARED_DEAD = "SELECT pid FROM tasks_process WHERE died AND pid = ANY(%s) AND stopped_at >= %s::timestamptz"

_INTENDED = """
SELECT 1 FROM tasks_effect e JOIN tasks_task t ON t.id = e.task_id WHERE t.business_key = %s
"""

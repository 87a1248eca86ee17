"""Servers that vanish, refuse or forget: work waits and goes on; no lease of a living process ends because of it."""

from __future__ import annotations

import time

import pytest

from tests.faults.world import COMPLETE, POLLERS, WORKERS, World

pytestmark = pytest.mark.slow


def test_postgresql_crashes_and_returns(world: World) -> None:
    running = world.held("pg-crash", "before")
    world.topology.postgres.crash()
    world.topology.postgres.start()
    world.recorder.release("pg-crash", "before")

    world.all_went_well({"pg-crash": running, "pg-crash-later": world.start("pg-crash-later")})
    assert world.recorder.attempts_at("pg-crash", "before") == [1]


def test_the_engine_restarts(world: World) -> None:
    running = world.held("engine-restart", "after")
    world.topology.engine.restart()
    world.recorder.release("engine-restart", "after")

    world.all_went_well({"engine-restart": running, "engine-later": world.start("engine-later")})
    assert world.recorder.attempts_at("engine-restart", "after") == [1]


def test_a_connection_is_cut_before_and_after_complete_is_received(world: World) -> None:
    with world.proxy.fault(COMPLETE, request="cut") as before:
        cases = {"cut-before": world.start("cut-before", points=True)}
        before.wait()
    with world.proxy.fault(COMPLETE, answer="cut") as after:
        cases["cut-after"] = world.start("cut-after", points=True)
        after.wait()

    world.all_went_well(cases)
    assert all(world.recorder.attempts_at(key, "after") == [1] for key in cases)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [20, 40])
def test_postgresql_is_gone_for_a_while(world: World, seconds: int) -> None:
    """Longer than a heartbeat may be late, and than a lock: locks are kept from memory."""
    key = f"pg-gone-{seconds}"
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
@pytest.mark.parametrize("status", [500, 503, 401])
def test_the_engine_refuses_everything_for_longer_than_a_lock(world: World, status: int) -> None:
    running = world.held(f"refused-{status}", "after")
    with world.proxy.fault(r"", status=status, times=1_000_000):
        time.sleep(30)
        later = world.start(f"refused-{status}-later")
        world.recorder.release(f"refused-{status}", "after")

    world.all_went_well({f"refused-{status}": running, f"refused-{status}-later": later})


@pytest.mark.slow
def test_everybody_dies_and_the_broker_forgets(world: World) -> None:
    """Nobody has to help: what was under way is done when the processes are back."""
    cases = {f"all-dead-{n}": world.held(f"all-dead-{n}", "before" if n % 2 else "after") for n in range(4)}
    world.kill(*WORKERS, *POLLERS, "beat")
    world.topology.valkey.restart()
    for key in cases:
        world.recorder.release(key, "before")
        world.recorder.release(key, "after")
    world.begin(*WORKERS, *POLLERS, "beat")

    world.all_went_well(cases)

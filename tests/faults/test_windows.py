"""The crash windows W1–W8 of the existing BPTL: between the engine's lock and the unit's beginning.

In each the world is struck exactly there (``blows``): the process in the window is killed, or stopped until its locks
have run out and then let go on. What is asserted is said by the two witnesses: the engine ended every case, the
recorder counted every effect once. W9–W20 are in ``test_worker_windows.py``.

A window that this design does not have (a lock of Celery, an acknowledgement) is tested by what takes its place. In W6
nobody of BPTL stands in the window: what is killed or stopped is the broker.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from stage.engines import OPERATON, SANDBOX
from tests.faults.blows import EITHER, PAST_THE_LOCK, RECORDING, Blow, held_writes, struck
from tests.faults.world import BRIEF, FETCH, POLLERS, WORKERS, World, brings

ENGINES = (SANDBOX, OPERATON)


@EITHER
def test_w01_a_poller_is_struck_while_it_waits(world: World, blow: Blow) -> None:
    """Its long poll lives on at the engine and locks the task for a worker id that nobody serves."""
    key = f"w01-{blow}"
    with ExitStack() as until_mended:
        with world.proxy.fault(FETCH, request="held") as poll:
            poll.wait()
            until_mended.enter_context(struck(world, blow, world.leader()))
            cases = {key: world.start(key, topic=BRIEF)}
        world.all_went_well(cases)
    world.all_went_well(cases)


@EITHER
def test_w02_a_poller_is_struck_when_the_engine_has_locked_and_answered(world: World, blow: Blow) -> None:
    key = f"w02-{blow}"
    with ExitStack() as until_mended:
        with world.proxy.fault(FETCH, answer="held", only_if=brings(key)) as answered:
            cases = {key: world.start(key, topic=BRIEF, points=True)}
            answered.wait()
            until_mended.enter_context(struck(world, blow, world.leader()))
        world.all_went_well(cases)
    world.all_went_well(cases)
    assert len(world.recorder.attempts_at(key, "before")) == 1


@EITHER
def test_w03_a_poller_is_struck_while_it_records_what_it_fetched(world: World, blow: Blow) -> None:
    """Five tasks in one transaction: all or none. A stopped process keeps it open, and with it the rows from others."""
    with ExitStack() as until_mended:
        with world.proxy.fault(FETCH, request="held") as poll:
            poll.wait()
            cases = {key: world.start(key, topic=BRIEF) for key in (f"w03-{blow}-{n}" for n in range(5))}
            with held_writes(world) as held:
                poll.release()
                held.wait_for(RECORDING)
                until_mended.enter_context(struck(world, blow, world.leader()))
        world.all_went_well(cases)
    world.all_went_well(cases)


def test_w03_the_database_dies_while_a_poller_records(world: World) -> None:
    keys = [f"w03-{n}" for n in range(5)]
    with world.proxy.fault(FETCH, answer="held", only_if=brings(*keys)) as answered:
        cases = {key: world.start(key, topic=BRIEF) for key in keys}
        answered.wait()
        world.topology.postgres.crash()
    time.sleep(2)
    world.topology.postgres.start()

    world.all_went_well(cases)


@EITHER
def test_w04_a_poller_is_struck_when_it_could_tell_nobody_of_its_tasks(world: World, blow: Blow) -> None:
    """The broker hangs: tasks are recorded and nobody is told of them; workers look by themselves."""
    with ExitStack() as until_mended:
        world.topology.valkey.part.pause()
        cases = {key: world.start(key, topic=BRIEF) for key in (f"w04-{blow}-{n}" for n in range(3))}
        world.wait("they are recorded", lambda: all(world.task(key)["status"] for key in cases))
        until_mended.enter_context(struck(world, blow, world.leader()))
        world.all_went_well(cases)
        world.topology.valkey.part.resume()
    world.all_went_well(cases)


@EITHER
def test_w05_a_poller_is_struck_before_its_next_poll(world: World, blow: Blow) -> None:
    earlier, later = f"w05-{blow}-earlier", f"w05-{blow}-later"
    with ExitStack() as until_mended:
        cases = {earlier: world.held(earlier, "before", topic=BRIEF)}
        with world.proxy.fault(FETCH, request="held, then cut") as next_poll:
            next_poll.wait()
            until_mended.enter_context(struck(world, blow, world.leader()))
        cases[later] = world.start(later, topic=BRIEF)
        world.recorder.release(earlier, "before")
        world.all_went_well(cases)
    world.all_went_well(cases)


@EITHER
def test_w06_the_broker_loses_or_keeps_back_every_message(world: World, blow: Blow) -> None:
    running, later = f"w06-{blow}-running", f"w06-{blow}-later"
    broker = world.topology.valkey
    cases = {running: world.held(running, "before", topic=BRIEF)}
    if blow is Blow.KILL:
        broker.part.kill()
        broker.start()
    else:
        broker.part.pause()
        time.sleep(PAST_THE_LOCK)
        broker.part.resume()
    cases[later] = world.start(later, topic=BRIEF)
    world.recorder.release(running, "before")

    world.all_went_well(cases)
    assert world.recorder.attempts_at(running, "before") == [1]


@EITHER
def test_w07_every_worker_is_struck_in_the_middle_of_its_tasks(world: World, blow: Blow) -> None:
    """Nobody is left to take over; what was stopped wakes all at once."""
    points = {f"w07-{blow}-{point}": point for point in ("before", "after")}
    cases = {key: world.held(key, point, topic=BRIEF) for key, point in points.items()}
    with struck(world, blow, *WORKERS):
        for key, point in points.items():
            world.recorder.release(key, point)

    world.all_went_well(cases)


@EITHER
def test_w08_a_task_waits_longer_than_its_lock(world: World, blow: Blow) -> None:
    """No worker is there to begin it, then no poller to keep its lock."""
    key = f"w08-{blow}"
    with struck(world, blow, *WORKERS):
        cases = {key: world.start(key, topic=BRIEF)}
        world.wait("it is queued", lambda: world.task(key)["status"] == "queued")
        with struck(world, blow, *POLLERS):
            time.sleep(PAST_THE_LOCK)

    world.all_went_well(cases)

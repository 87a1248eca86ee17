"""Processes that are stopped until their leases are over and then wake in the middle of what they did."""

from __future__ import annotations

import time

import pytest

from tests.faults.test_windows import COMPLETE, FETCH, has_tasks
from tests.faults.world import PAST_THE_LOCK, SEND, World

pytestmark = pytest.mark.slow


def test_a_worker_wakes_before_and_after_its_effects(world: World) -> None:
    """W7, W9 and W10 with a stop in place of the kill."""
    world.kill("work-2")
    cases = {
        "z-before": world.held("z-before", "before"),
        "z-send": world.held("z-send", "before", topic=SEND),
        "z-after": world.held("z-after", "after"),
    }
    world.recorder.misbehave("z-acting", "late")
    cases["z-acting"] = world.start("z-acting", points=True)
    world.wait("it has acted", lambda: world.recorder.count("z-acting") == 1)
    world.pause("work-1")
    world.begin("work-2")
    for key, point in (("z-before", "before"), ("z-send", "before"), ("z-after", "after")):
        world.recorder.release(key, point)
    world.all_went_well(cases)
    time.sleep(max(0.0, PAST_THE_LOCK - 20))

    world.resume("work-1")

    time.sleep(5)
    world.all_went_well(cases)


def test_a_worker_wakes_with_a_result_that_it_has_not_sent(world: World) -> None:
    """W11 with a stop in place of the kill: the request leaves the proxy when another has reported already."""
    with world.proxy.fault(COMPLETE, request="held") as complete:
        case = world.start("z-unsent", points=True)
        complete.wait()
        name = world.part_at("z-unsent", "after")
        world.pause(name)
        world.all_went_well({"z-unsent": case})
        complete.release()
        world.resume(name)

    time.sleep(3)
    world.all_went_well({"z-unsent": case})
    assert world.recorder.attempts_at("z-unsent", "after") == [1]
    assert world.task("z-unsent")["status"] == "delivered"


def test_a_worker_wakes_when_the_engine_has_taken_its_result(world: World) -> None:
    """W12 with a stop in place of the kill."""
    with world.proxy.fault(COMPLETE, answer="held") as complete:
        case = world.start("z-taken", points=True)
        complete.wait()
        name = world.part_at("z-taken", "after")
        world.pause(name)
        world.wait("BPTL knows it", lambda: world.task("z-taken")["status"] == "delivered", seconds=90)
        world.resume(name)

    world.all_went_well({"z-taken": case})
    assert world.recorder.attempts_at("z-taken", "after") == [1]


def test_a_poller_wakes_with_an_answer_whose_locks_are_over(world: World) -> None:
    """W2 with a stop in place of the kill: its late answer is of a fetch that its successor has closed."""
    with world.proxy.fault(FETCH, answer="held", only_if=has_tasks) as answered:
        leader = world.leader()
        case = world.start("z-fetched", points=True)
        answered.wait()
        world.pause(leader)
        world.all_went_well({"z-fetched": case})
        time.sleep(PAST_THE_LOCK - 15)
        world.resume(leader)

    time.sleep(3)
    world.all_went_well({"z-fetched": case})
    assert world.recorder.attempts_at("z-fetched", "before") == [1]


def test_everybody_wakes_at_once(world: World) -> None:
    """A machine that was suspended: no lock was extended, nobody is left to judge."""
    cases = {f"z-all-{n}": world.held(f"z-all-{n}", "before") for n in range(3)}
    names = [name for name in world.topology.part_names if name != "web"]
    for name in names:
        world.pause(name)
    time.sleep(PAST_THE_LOCK)
    for name in names:
        world.resume(name)
    for key in cases:
        world.recorder.release(key, "before")

    world.all_went_well(cases, seconds=90)

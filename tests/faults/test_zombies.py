"""Processes that are stopped until they were declared dead, and then wake in the middle of what they did.

Each window's own zombie, which wakes when its lock has run out, is the other half of its test in the two modules of
windows. Here the lock is longer than a process may be silent: the sweep has buried who wakes.
"""

from __future__ import annotations

import time

import pytest

from stage.engines import OPERATON, SANDBOX
from tests.faults.world import PAST_THE_LOCK, SEND, World

pytestmark = pytest.mark.slow

ENGINES = (SANDBOX, OPERATON)


def test_a_worker_wakes_before_and_after_its_effects(world: World) -> None:
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

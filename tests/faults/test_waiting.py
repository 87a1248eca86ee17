"""A task that waits for an answer from outside outlives every process of ours: its lock, its address, its answer."""

from __future__ import annotations

import time

import pytest

from tests.doubles.recorder import answer
from tests.faults.world import BRIEF_AWAIT, BRIEF_LOCK_SECONDS, POLLERS, WORKERS, World


def kill_everything(world: World) -> None:
    world.kill(*world.topology.part_names)


def begin_everything(world: World) -> None:
    world.begin(*world.topology.part_names)


def extensions(world: World, key: str) -> list[int]:
    """How often the lock of each lease of a case was extended."""
    return [row[0] for row in world.rows(_EXTENSIONS, key)]


_EXTENSIONS = """
SELECT l.extensions FROM tasks_lease l JOIN tasks_task t ON t.id = l.task_id WHERE t.business_key = %s ORDER BY l.number
"""


def told(world: World, key: str, *, status: int) -> None:
    """Answer as a service does that repeats what nobody heard."""
    (url,) = world.recorder.asked(key)
    world.wait(f"{key} is answered with {status}", lambda: answer(url, number=1) == status)


def test_everything_is_killed_while_a_task_waits_and_its_answer_comes_afterwards(world: World) -> None:
    key = "await-killed"
    cases = {key: world.waiting(key)}
    kill_everything(world)
    begin_everything(world)
    world.wait("its lock was extended by who did not run it", lambda: extensions(world, key) == [1], seconds=90)

    told(world, key, status=204)
    told(world, key, status=204)
    world.all_went_well(cases)
    assert world.task(key)["attempts"] == 1


@pytest.mark.slow
def test_everything_is_down_for_longer_than_the_lock_and_the_task_waits_on(world: World) -> None:
    key = "await-down"
    cases = {key: world.waiting(key, topic=BRIEF_AWAIT)}
    kill_everything(world)
    time.sleep(BRIEF_LOCK_SECONDS + 2)
    begin_everything(world)
    world.wait(
        "it waits under its next lease",
        lambda: world.task(key)["status"] == "waiting" and world.task(key)["attempts"] == 2,
        seconds=90,
    )

    told(world, key, status=204)
    world.all_went_well(cases)


@pytest.mark.slow
def test_an_answer_that_was_confirmed_survives_the_death_of_everything(world: World) -> None:
    key = "await-answered"
    case = world.waiting(key, topic=BRIEF_AWAIT)
    world.kill(*WORKERS, "beat")
    told(world, key, status=204)
    world.kill("web", *POLLERS)
    begin_everything(world)
    world.all_went_well({key: case})


def test_waiting_tasks_are_many_and_the_worker_has_places_for_others(world: World) -> None:
    """More of them than the fleet has places."""
    cases = {f"await-many-{number}": world.start(f"await-many-{number}", topic="await") for number in range(40)}
    world.wait("all wait", lambda: all(world.task(key)["status"] == "waiting" for key in cases))
    world.all_went_well({"not-waiting": world.start("not-waiting")})
    for key in cases:
        told(world, key, status=204)
    world.all_went_well(cases)

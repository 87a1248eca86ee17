"""The sign of life of a loop: resting is no silence, and a step that does not go well is not hidden by a long rest."""

from __future__ import annotations

import time

import pytest

from bptl.workers import loops
from bptl.workers.loops import Turning


class Clock:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found.monotonic)
    return found


def test_a_loop_that_rests_is_silent_and_not_overdue(clock: Clock) -> None:
    turning = Turning("waker")
    turning.begin()
    turning.went_well(rest=3600)
    clock.now += 600
    assert turning.silent == 600
    assert turning.overdue == 0


def test_a_step_that_does_not_end_is_overdue_from_its_begin_though_it_came_early(clock: Clock) -> None:
    turning = Turning("waker")
    turning.went_well(rest=3600)
    clock.now += 10
    turning.begin()
    clock.now += 90
    assert turning.overdue == 90


def test_steps_that_fail_are_overdue_since_the_first_of_them(clock: Clock) -> None:
    turning = Turning("keeper")
    turning.went_well(rest=1)
    for _ in range(5):
        clock.now += 10
        turning.begin()
    assert turning.overdue == 49
    turning.went_well(rest=1)
    assert turning.overdue == 0


def test_a_loop_that_has_ended_is_not_watched_any_more() -> None:
    loop = loops.Loop("brief", lambda: 0.01)
    loop.start()
    assert "brief" in [turning.name for turning in loops.turning()]
    assert loop.stop(timeout=10)
    assert "brief" not in [turning.name for turning in loops.turning()]

"""The arithmetic of limits: how many tasks may begin now, and when the rate allows the next one."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptl.tasks.limits import Limit


def limit(*, at_once: int | None = None, a_minute: int | None = None, running: int = 0, queued: int = 0) -> Limit:
    return Limit(1, "zaken", frozenset({7}), at_once, a_minute, running, queued, 0.0)


@pytest.mark.parametrize(("running", "free"), [(0, 3), (2, 1), (3, 0), (5, 0)])
def test_what_runs_leaves_the_rest_of_a_number(running: int, free: int) -> None:
    now = limit(at_once=3, running=running)
    assert (now.free, now.full, now.next_in) == (free, free == 0, None)


def test_no_more_is_fetched_than_can_begin_and_does_not_wait_already() -> None:
    assert limit(at_once=5, running=2, queued=1).room == 2
    assert limit(at_once=2, running=2, queued=4).room < 0


def test_without_a_rate_any_number_may_begin_in_a_minute() -> None:
    assert limit(at_once=None).free == inf


def test_a_rate_of_six_lets_one_begin_every_ten_seconds() -> None:
    now = limit(a_minute=6)
    assert (now.free, now.next_in) == (1, None)
    now.begin()
    assert now.free == 0
    assert now.next_in == pytest.approx(10)
    now.ahead -= 9.99
    assert now.free == 0
    assert now.next_in == pytest.approx(0.01)
    now.ahead -= 0.01
    assert now.free == 1


def test_it_is_not_the_rate_that_is_in_the_way_while_as_many_run_as_may() -> None:
    now = limit(at_once=1, a_minute=6)
    now.begin()
    assert (now.full, now.next_in) == (True, None)


def test_what_a_rate_allows_soon_may_be_fetched_now() -> None:
    now = limit(a_minute=6, queued=1)
    now.begin()
    now.ahead -= 9.5
    assert (now.free, now.room) == (0, 1)


@pytest.mark.parametrize(("a_minute", "queued", "seconds"), [(6, 1, 9), (6, 0, 0), (6, 2, 19), (600, 21, 0)])
def test_a_line_knows_when_a_rate_leaves_room_for_one_more_than_wait(
    a_minute: int, queued: int, seconds: float
) -> None:
    assert limit(a_minute=a_minute, queued=queued).room_in == pytest.approx(seconds)


def test_whether_a_task_waits_or_has_begun_the_next_one_is_fetched_at_the_same_moment() -> None:
    now = limit(a_minute=6, queued=1)
    before = now.room_in
    now.begin()
    assert now.room_in == before


@given(rate=st.integers(1, 3000), pauses=st.lists(st.floats(0, 5), max_size=60))
def test_no_minute_ever_has_more_than_the_rate(rate: int, pauses: list[float]) -> None:
    now, clock, begun = limit(a_minute=rate), 0.0, []
    for pause in pauses:
        clock += pause
        now.ahead = max(0.0, now.ahead - pause)
        while now.free > 0:
            now.begin()
            begun.append(clock)
    for first in begun:
        assert sum(first <= moment < first + 59.9 for moment in begun) <= rate


@given(rate=st.integers(1, 3000))
def test_who_asks_in_time_gets_nearly_the_whole_rate(rate: int) -> None:
    now, begun, clock = limit(a_minute=rate), 0, 0.0
    while clock < 600:
        while now.free > 0:
            now.begin()
            begun += 1
        wait = now.next_in or 0.0
        now.ahead = max(0.0, now.ahead - wait)
        clock += wait
    assert begun >= 10 * rate * 0.96 - 1

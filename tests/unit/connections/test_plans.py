"""Retry plans as modellers write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bptl.connections.plans import InvalidPlan, parse

MINUTE = timedelta(minutes=1)


def test_a_repeated_wait_is_written_with_r() -> None:
    assert parse("R3/PT5M") == [5 * MINUTE] * 3


def test_waits_of_their_own_are_written_one_after_another() -> None:
    assert parse("PT30S,PT5M, PT1H") == [timedelta(seconds=30), 5 * MINUTE, 60 * MINUTE]


def test_r0_is_the_plan_without_retries() -> None:
    assert parse("R0/PT1S") == []


def test_days_hours_minutes_and_seconds_add_up() -> None:
    assert parse("P1DT2H3M4.5S") == [timedelta(days=1, hours=2, minutes=3, seconds=4.5)]


def test_small_letters_are_understood() -> None:
    assert parse("r2/pt5m") == [5 * MINUTE] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "5",
        "PT",
        "P",
        "P1DT",
        "PT5",
        "P1M",
        "P1Y",
        "R/PT5M",
        "R3",
        "R3/",
        "R3/PT5M,PT1H",
        "PT5M,,PT1H",
        "-PT5M",
    ],
)
def test_anything_else_is_refused_with_the_text_and_a_reason(text: str) -> None:
    with pytest.raises(InvalidPlan) as caught:
        parse(text)
    assert caught.value.text == text
    assert caught.value.reason


@pytest.mark.parametrize("text", ["R101/PT1S", "P366D", "PT999999999H", "R999999999/PT1S", ",".join(["PT1S"] * 101)])
def test_a_plan_that_never_ends_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlan):
        parse(text)

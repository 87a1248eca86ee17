"""Which retry plan applies, how many retries are left and how long to wait."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bptl.tasks.retries import DEFAULT_PLAN, EXTENSION_PROPERTY, JITTER, NO_RETRY, Plan, next_retry, plan_of

MINUTES = [timedelta(minutes=minutes) for minutes in (1, 5, 60)]


def plan(mapping: str = "", model: str | None = None, unit: str = "") -> Plan:
    properties = {} if model is None else {EXTENSION_PROPERTY: model}
    return plan_of(mapping=mapping, extension_properties=properties, unit=unit)


def test_the_mapping_decides_before_the_model_the_unit_and_the_default() -> None:
    assert plan("R1/PT1M", "R1/PT2M", "R1/PT3M").waits == (timedelta(minutes=1),)
    assert plan("", "R1/PT2M", "R1/PT3M").waits == (timedelta(minutes=2),)
    assert plan("", None, "R1/PT3M").waits == (timedelta(minutes=3),)
    assert plan() == Plan(DEFAULT_PLAN)


def test_the_default_is_three_retries_each_later_than_the_one_before() -> None:
    assert len(DEFAULT_PLAN) == 3
    assert list(DEFAULT_PLAN) == sorted(set(DEFAULT_PLAN))


def test_the_model_says_its_plan_under_the_name_that_modellers_know() -> None:
    properties = {"RETRY_CONFIG": "PT5M,PT10M,PT1H", "other": "R9/PT1S"}
    found = plan_of(mapping="", extension_properties=properties, unit="")
    assert found.waits == (timedelta(minutes=5), timedelta(minutes=10), timedelta(hours=1))


def test_a_plan_of_the_model_that_cannot_be_read_gives_way_to_the_next_and_says_so() -> None:
    found = plan("", "every now and then", "R2/PT3M")
    assert found.waits == (timedelta(minutes=3),) * 2
    assert "every now and then" in found.fault


def test_a_plan_that_is_only_blanks_is_no_plan() -> None:
    assert plan("  ", " ", "R1/PT3M") == Plan((timedelta(minutes=3),))


def test_a_plan_without_retries_is_a_plan() -> None:
    assert plan("R0/PT1M", "R5/PT1M").waits == ()


@pytest.mark.parametrize(("engine_retries", "left", "step"), [(None, 3, 0), (4, 3, 0), (3, 2, 1), (2, 1, 2), (9, 8, 0)])
def test_a_failure_counts_down_from_the_engine_s_number_else_from_the_plan(
    engine_retries: int | None, left: int, step: int
) -> None:
    retry = next_retry(MINUTES, engine_retries=engine_retries)
    assert retry.left == left
    assert MINUTES[step] * (1 - JITTER) <= retry.wait <= MINUTES[step] * (1 + JITTER)


@pytest.mark.parametrize("engine_retries", [1, 0])
def test_the_last_failure_leaves_no_retry(engine_retries: int) -> None:
    assert next_retry(MINUTES, engine_retries=engine_retries) == NO_RETRY


def test_what_failed_together_does_not_come_back_together() -> None:
    assert len({next_retry(MINUTES, engine_retries=None).wait for _ in range(20)}) > 1


def test_a_service_that_says_when_to_come_back_is_believed_to_the_second() -> None:
    retry = next_retry(MINUTES, engine_retries=2, delay=timedelta(seconds=42))
    assert (retry.left, retry.wait) == (1, timedelta(seconds=42))


def test_a_delay_makes_no_retry_where_the_plan_has_none_or_the_engine_none_left() -> None:
    assert next_retry([], engine_retries=None, delay=timedelta(seconds=42)) == NO_RETRY
    assert next_retry(MINUTES, engine_retries=1, delay=timedelta(seconds=42)) == NO_RETRY

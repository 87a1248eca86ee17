"""Latencies that are kept as counts say their percentiles well enough for a chart."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta

import pytest

from bptl.tasks.latencies import STEPS, WIDTH, added, percentile


def step(milliseconds: float) -> int:
    """As the database reckons it."""
    return min(int(math.log(max(milliseconds, 1)) / WIDTH) + 1, STEPS + 1)


@pytest.mark.parametrize("milliseconds", [1, 7, 40, 999, 15_000, 300_000, 86_000_000])
def test_a_percentile_is_at_most_eight_percent_off(milliseconds: int) -> None:
    found = percentile({step(milliseconds): 10}, 95)
    assert found is not None
    assert abs(found / timedelta(milliseconds=milliseconds) - 1) < 0.08


def test_nineteen_of_twenty_are_below_the_95th_percentile() -> None:
    counts = {step(10): 95, step(5_000): 5}
    p95, p96 = percentile(counts, 95), percentile(counts, 96)
    assert p95 is not None
    assert p96 is not None
    assert p95 < timedelta(milliseconds=11) < timedelta(seconds=4) < p96


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 50) is None


def test_minutes_add_up() -> None:
    total: Counter[int] = Counter()
    added(total, {"10": 2, "11": 1})
    added(total, {"10": 3})
    assert total == {10: 5, 11: 1}

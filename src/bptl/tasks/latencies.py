"""Latencies as counts by step, so that those of minutes add up to those of a quarter, an hour, a day. Pure.

128 steps of 15 % each, from 1 ms to a day; step 0 is below and step 129 above. A percentile read from them is at most
8 % off.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

STEPS = 128
LONGEST_MS = 86_400_000
WIDTH = math.log(LONGEST_MS) / STEPS
"""Of a step, in natural logarithms of milliseconds."""


def step_of(milliseconds: str) -> str:
    """SQL that answers the step of an SQL expression of milliseconds."""
    return f"width_bucket(ln(greatest(({milliseconds})::float8, 1.0)), 0, {math.log(LONGEST_MS)!r}, {STEPS})"


def percentile(counts: Mapping[int, int], percent: float) -> timedelta | None:
    """The latency that ``percent`` of what was counted stayed below; None of nothing."""
    wanted = sum(counts.values()) * percent / 100
    seen = 0
    for step in sorted(counts):
        seen += counts[step]
        if seen >= wanted:
            return timedelta(milliseconds=math.exp((step - 0.5) * WIDTH))
    return None


def added(into: Counter[int], latencies: Mapping[str, int]) -> None:
    """Add what a row keeps (steps are texts in JSON)."""
    for step, count in latencies.items():
        into[int(step)] += count

"""Retries are counted (design, rule 6): which plan applies, how many are left, how long to wait."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bptl.connections.plans import InvalidPlan, parse

DEFAULT_PLAN = (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1))
"""Three retries, exponential."""

JITTER = 0.15
"""Waits vary by this part, so that what failed together does not come back together."""

EXTENSION_PROPERTY = "RETRY_CONFIG"
"""The property by which a model carries its plan, as the Camunda retry-aspect library names it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The waits before each retry; ``fault`` says what was wrong with a plan that was passed over."""

    waits: tuple[timedelta, ...]
    fault: str = ""


def plan_of(*, mapping: str, extension_properties: Mapping[str, str], unit: str) -> Plan:
    """The first plan given: the mapping's, the model's RETRY_CONFIG, the unit's, the default."""
    fault = ""
    for text in (mapping, extension_properties.get(EXTENSION_PROPERTY, ""), unit):
        if not text.strip():
            continue
        try:
            return Plan(tuple(parse(text)), fault)
        except InvalidPlan as error:
            fault = str(error)
    return Plan(DEFAULT_PLAN, fault)


@dataclass(frozen=True, slots=True)
class Retry:
    """What a failure report says: ``left`` 0 makes an incident."""

    left: int
    wait: timedelta


NO_RETRY = Retry(left=0, wait=timedelta())


def next_retry(waits: Sequence[timedelta], *, engine_retries: int | None, delay: timedelta | None = None) -> Retry:
    """Count one failure: the engine's number − 1 when it has one, else the length of the plan.

    ``delay`` replaces the plan's wait (a service said when to come back). The wait carries jitter, a given delay none.
    """
    left = max(0, engine_retries - 1) if engine_retries is not None else len(waits)
    if left == 0 or not waits:
        return NO_RETRY
    if delay is not None:
        return Retry(left, delay)
    step = min(max(len(waits) - left, 0), len(waits) - 1)
    return Retry(left, waits[step] * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - not for secrets

"""Retry plans as text: ``R3/PT5M`` (three times, five minutes apart) or ``PT30S,PT5M,PT1H`` (one wait after another).

The syntax is the one that Camunda uses for its own jobs, so modellers know it (``RETRY_CONFIG`` in a model).
"""

from __future__ import annotations

import re
from datetime import timedelta

MOST_RETRIES = 100
LONGEST_WAIT = timedelta(days=365)

_REPEATED = re.compile(r"R(?P<times>\d{1,9})/(?P<wait>[^,]+)")
_DURATION = re.compile(
    r"P(?=.)(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?"
)


class InvalidPlan(ValueError):
    """``text`` is no retry plan; ``reason`` says what is wrong and what would be right."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason
        super().__init__(f"{text!r} is no retry plan: {reason}")


def parse(text: str) -> list[timedelta]:
    """The waits before each retry, in order; ``R0/…`` is the plan without retries. Raises InvalidPlan."""
    plan = "".join(text.split()).upper()
    if not plan:
        raise InvalidPlan(text, "it is empty; write for instance R3/PT5M or PT30S,PT5M,PT1H")
    if plan.startswith("R"):
        repeated = _REPEATED.fullmatch(plan)
        if repeated is None:
            raise InvalidPlan(text, "after R comes how often, a slash and one wait: R3/PT5M")
        times, waits = int(repeated["times"]), [_wait(text, repeated["wait"])]
        if times > MOST_RETRIES:
            raise InvalidPlan(text, f"more than {MOST_RETRIES} retries")
        return waits * times
    waits = [_wait(text, part) for part in plan.split(",")]
    if len(waits) > MOST_RETRIES:
        raise InvalidPlan(text, f"more than {MOST_RETRIES} retries")
    return waits


def _wait(text: str, part: str) -> timedelta:
    match = _DURATION.fullmatch(part)
    if match is None:
        raise InvalidPlan(
            text, f"{part!r} is no duration of days, hours, minutes and seconds such as PT30S, PT5M, PT1H or P1D"
        )
    try:
        wait = timedelta(**{unit: float(number) for unit, number in match.groupdict(default="0").items()})
    except OverflowError:
        wait = timedelta.max
    if wait > LONGEST_WAIT:
        raise InvalidPlan(text, f"{part!r} is longer than {LONGEST_WAIT.days} days")
    return wait

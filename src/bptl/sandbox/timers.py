"""ISO 8601 times of timer events: dates, durations, and cycles R<n>/<duration>."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from SpiffWorkflow.bpmn.specs.event_definitions.timer import TimerEventDefinition

from bptl.sandbox.expressions import ExpressionFailed, ExpressionRefused, compiled

_CYCLE = re.compile(r"R(\d*)/(P[^/]+)")
ENDLESS = -1


class Timer(NamedTuple):
    """When it is due (milliseconds since 1970), how often more after that, and after how many milliseconds."""

    due: int
    repeats: int = 0
    interval: int = 0

    def following(self, now: int) -> Timer | None:
        """The next time of a cycle; those that have passed unseen count and are left out, as in Camunda."""
        missed = max(0, (now - self.due) // self.interval) if self.interval else 0
        if 0 <= self.repeats <= missed:
            return None
        repeats = ENDLESS if self.repeats == ENDLESS else self.repeats - missed - 1
        return Timer(self.due + (missed + 1) * self.interval, repeats, self.interval)


def timer(kind: str, value: Any, *, now: int) -> Timer:
    """The timer that ``value`` means; ``kind`` is timeDate, timeDuration or timeCycle. Raises ExpressionFailed."""
    text = value.isoformat() if isinstance(value, datetime) else str(value).strip()
    try:
        if kind == "timeDate":
            moment = datetime.fromisoformat(text)
            return Timer(round((moment if moment.tzinfo else moment.astimezone()).timestamp() * 1000))
        if kind == "timeDuration":
            return Timer(now + _duration(text, now))
        cycle = _CYCLE.fullmatch(text)
        if cycle is None:
            raise ValueError("the sandbox reads cycles of the form R3/PT10M, no cron expressions")
        interval = _duration(cycle[2], now)
        if interval <= 0:
            raise ValueError("the interval is empty")
        return Timer(now + interval, int(cycle[1]) - 1 if cycle[1] else ENDLESS, interval)
    except Exception as error:
        # The library raises bare Exceptions for what it cannot read.
        raise ExpressionFailed(f"{text!r} is no {kind}: {error}") from error


def check(kind: str, text: str) -> str:
    """Why a timer of a model is refused; empty when it is not. What only variables tell is seen when it runs."""
    try:
        parts = compiled(text).parts
        if len(parts) == 1 and isinstance(parts[0], str):
            timer(kind, text, now=0)
    except (ExpressionFailed, ExpressionRefused) as error:
        return str(error)
    return ""


def _duration(text: str, now: int) -> int:
    parsed = TimerEventDefinition.parse_iso_duration(text)
    start = datetime.fromtimestamp(now / 1000, UTC)
    return int(TimerEventDefinition.get_timedelta_from_start(parsed, start).total_seconds() * 1000)

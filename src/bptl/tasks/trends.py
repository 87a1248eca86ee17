"""How many tasks ended, how, and how long they took, over the last day: from what upkeep counted by the minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bptl.tasks import latencies
from bptl.tasks.models import Minute

DAY = timedelta(days=1)
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)


@dataclass(slots=True)
class Span:
    """One bar of a chart: ``start`` and what ended from then on; ``counted`` minutes of it are known."""

    start: datetime
    completed: int = 0
    failed: int = 0
    thrown: int = 0
    counted: int = 0
    latencies: Counter[int] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All that ended."""
        return self.completed + self.failed + self.thrown

    @property
    def median(self) -> timedelta | None:
        """Half of the deliveries came within this after their fetch; None without any."""
        return latencies.percentile(self.latencies, 50)

    @property
    def p95(self) -> timedelta | None:
        """Nineteen of twenty deliveries came within this."""
        return latencies.percentile(self.latencies, 95)

    def add(self, other: Span) -> None:
        """Take in what another span counted."""
        self.completed += other.completed
        self.failed += other.failed
        self.thrown += other.thrown
        self.counted += other.counted
        self.latencies.update(other.latencies)


def last_day(now: datetime) -> Sequence[Span]:
    """The 96 quarters of an hour that end with the one of ``now``, oldest first."""
    newest = floor(now, QUARTER)
    spans = {start: Span(start) for start in (newest - QUARTER * step for step in reversed(range(DAY // QUARTER)))}
    for minute in Minute.objects.filter(start__gte=min(spans), start__lt=newest + QUARTER):
        span = spans[floor(minute.start, QUARTER)]
        span.completed += minute.completed
        span.failed += minute.failed
        span.thrown += minute.thrown
        span.counted += 1
        latencies.added(span.latencies, minute.latencies)
    return list(spans.values())


def by_hour(spans: Sequence[Span]) -> Sequence[Span]:
    """The same, added up to hours of the clock: the first and the last may be parts."""
    hours: dict[datetime, Span] = {}
    for span in spans:
        hour = floor(span.start, HOUR)
        hours.setdefault(hour, Span(hour)).add(span)
    return list(hours.values())


def floor(at: datetime, step: timedelta) -> datetime:
    """The last multiple of ``step`` (a part of an hour, or one) at or before ``at``."""
    return at - timedelta(seconds=at.timestamp() % step.total_seconds())

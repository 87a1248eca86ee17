"""The figures of the dashboard of the existing BPTL: tasks of the last day by kind of engine, in its own statuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum
from django.utils import timezone

from bptl.tasks import sql
from bptl.tasks.lifecycle import Outcome, Status, outcomes_of
from bptl.tasks.models import Minute
from bptl.tasks.queries import MANY

DAY = timedelta(days=1)
CAMUNDA, ACTIVITI = "camunda", "activiti"
"""Tasks that we fetch from engines, and those that engines ask for through the REST API."""

STATUSES = ("initial", "in_progress", "performed", "failed", "completed")

_OLD = {
    **{(status, outcome): "initial" for status in (Status.QUEUED, Status.RETURNED) for outcome in outcomes_of(status)},
    **{
        (status, outcome): "in_progress"
        for status in (Status.RUNNING, Status.WAITING)
        for outcome in outcomes_of(status)
    },
    (Status.PERFORMED, Outcome.COMPLETED): "performed",
    (Status.PERFORMED, Outcome.THROWN): "performed",
    (Status.PERFORMED, Outcome.FAILED): "failed",
    (Status.UNCERTAIN, Outcome.NONE): "failed",
    (Status.DELIVERED, Outcome.FAILED): "failed",
    **{(Status.LOST, outcome): "failed" for outcome in outcomes_of(Status.LOST)},
}
"""Our states in those words, but for what is done: of that there is too much to count."""

_COUNT = " UNION ALL ".join(
    f"""(SELECT '{word}' AS word, engine_id IS NULL AS called, count(*) AS amount FROM (
        SELECT engine_id FROM tasks_task
        WHERE status = '{status}' AND outcome = '{outcome}' AND changed_at > now() - interval '1 day' LIMIT {MANY}
    ) bounded GROUP BY engine_id IS NULL)"""
    for (status, outcome), word in _OLD.items()
)

_CALLS_DONE = f"""
SELECT count(*) AS amount FROM (
    SELECT FROM tasks_task WHERE engine_id IS NULL AND status = 'delivered' AND outcome IN ('completed', 'thrown')
        AND changed_at > now() - interval '1 day' LIMIT {MANY}
) bounded
"""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``items`` are numbers by engine and status since a day; ``total`` adds up the engines."""

    since: datetime
    items: Mapping[str, Mapping[str, int]]

    @property
    def total(self) -> Mapping[str, int]:
        """By status."""
        found: Counter[str] = Counter()
        for numbers in self.items.values():
            found.update(numbers)
        return {status: found[status] for status in STATUSES if status in found}


def last_day() -> Aggregate:
    """Without any task each engine and status is there with 0; otherwise only numbers that are more.

    Flat cost: what is done comes from the counts by the minute, and of each other state at most 10,000 are counted.
    """
    since = timezone.now() - DAY
    items: dict[str, Counter[str]] = {CAMUNDA: Counter(), ACTIVITI: Counter()}
    for row in sql.query(_COUNT):
        items[ACTIVITI if row.called else CAMUNDA][row.word] += row.amount
    done = Minute.objects.filter(start__gte=since).aggregate(completed=Sum("completed"), thrown=Sum("thrown"))
    calls = sql.query(_CALLS_DONE)[0].amount
    items[ACTIVITI]["completed"] = calls
    items[CAMUNDA]["completed"] = max(0, (done["completed"] or 0) + (done["thrown"] or 0) - calls)
    found = {engine: {word: items[engine][word] for word in STATUSES if items[engine][word]} for engine in items}
    if not any(found.values()):
        return Aggregate(since, {engine: dict.fromkeys(STATUSES, 0) for engine in items})
    return Aggregate(since, {engine: numbers for engine, numbers in found.items() if numbers})

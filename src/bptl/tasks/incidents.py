"""What failed, grouped by cause: flat cost, however many tasks failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bptl.tasks import sql
from bptl.tasks.error_groups import ErrorGroup, group_of
from bptl.tasks.models import Task
from bptl.tasks.queries import MANY, Amount, estimate

LOOKED_AT = 10_000
"""Newest failures that are grouped."""

MOST_GROUPS = 20
MOST_TOPICS = 3

_FAILED = "t.status = 'delivered' AND t.outcome = 'failed'"
"""The words of the partial indexes task_by_error_group and task_newest_failed."""

_GROUPS = f"""
WITH newest AS MATERIALIZED (
    SELECT t.error_group, t.topic, t.changed_at, t.retry_at IS NOT NULL AS again FROM tasks_task t
    WHERE {_FAILED} AND t.changed_at > now() - %s::interval
    ORDER BY t.changed_at DESC LIMIT {LOOKED_AT}
), grouped AS (
    SELECT error_group, count(*) AS recent, max(changed_at) AS last_at, array_agg(DISTINCT topic) AS topics,
        bool_and(again) AS again
    FROM newest WHERE error_group <> '' GROUP BY error_group ORDER BY recent DESC, last_at DESC LIMIT {MOST_GROUPS}
)
SELECT g.*, one.unit, one.message,
    (SELECT count(*) FROM (SELECT FROM tasks_task t WHERE {_FAILED} AND t.error_group = g.error_group
        LIMIT {MANY + 1}) bounded) AS amount
FROM grouped g CROSS JOIN LATERAL (
    SELECT coalesce(t.result->>'unit', '') AS unit, coalesce(t.result->>'message', '') AS message FROM tasks_task t
    WHERE {_FAILED} AND t.error_group = g.error_group ORDER BY t.id * -1 LIMIT 1
) one
ORDER BY g.recent DESC, g.last_at DESC
"""


@dataclass(frozen=True, slots=True)
class Incidents:
    """The failures of one cause. ``amount`` lie failed now, whenever that was; ``last_at`` is the newest.

    ``again``: the engine will offer all the recent ones once more by itself. ``more_topics`` are not named.
    """

    group: ErrorGroup
    amount: Amount
    last_at: datetime
    topics: Sequence[str]
    more_topics: int
    again: bool


def recent(within: timedelta) -> Sequence[Incidents]:
    """The causes of what failed within this time and still lies failed, most frequent first."""
    found = []
    for row in sql.query(_GROUPS, [within]):
        group = group_of(row.unit, row.message)
        found.append(
            Incidents(
                ErrorGroup(row.error_group, group.unit, group.cause),
                _amount(row.error_group, row.amount),
                row.last_at,
                row.topics[:MOST_TOPICS],
                max(0, len(row.topics) - MOST_TOPICS),
                row.again,
            )
        )
    return found


def _amount(key: str, counted: int) -> Amount:
    if counted <= MANY:
        return Amount(counted)
    about = estimate(Task.objects.filter(status="delivered", outcome="failed", error_group=key))
    return Amount(max(about, counted), about=True)

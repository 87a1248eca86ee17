"""How the other side has answered lately, from what polls and work units have seen: nobody is asked for it.

Both cost the same whatever the tables hold: they read the newest rows, and say how many those are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from bptl.tasks import sql
from bptl.tasks.models import Fetch, ServiceCall

POLLS = 200
"""Polls of an engine that are looked at; their rows are kept for an hour."""

CALLS = 200
"""Calls of a service that are looked at."""

RECENT = 10_000
"""Tasks of an engine among which topics are counted."""


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """``polled_at``: the newest poll that has ended; ``failing_since``: the first of the polls without an answer that
    have followed each other until now. None: there was none in the last hour."""

    polled_at: datetime | None = None
    answered_at: datetime | None = None
    failing_since: datetime | None = None


def of_engine(engine_id: int) -> EngineHealth:
    """What the polls of an engine met."""
    # A poll whose process died says nothing about the engine.
    ended = Fetch.objects.filter(engine_id=engine_id).exclude(Q(closed_at=None) | Q(closed_as=Fetch.End.COLLECTED))
    polls = list(ended.order_by("-started_at").values_list("started_at", "closed_as")[:POLLS])
    answered = next((at for at, how in polls if how == Fetch.End.ANSWERED), None)
    unanswered = [at for at, _how in polls if answered is None or at > answered]
    return EngineHealth(
        polled_at=polls[0][0] if polls else None,
        answered_at=answered,
        failing_since=unanswered[-1] if unanswered else None,
    )


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """Of the newest calls, ``calls`` of them, between ``first_at`` and ``last_at``.

    ``failed`` had no answer, or one of 500 or more; ``refused`` one of 400 or more. ``failing_since`` is the first of
    the calls that were not ``served`` and have followed each other until now, ``error`` what the newest of those said.
    ``p95_ms`` is of the calls that were answered.
    """

    calls: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    failed: int = 0
    refused: int = 0
    failing_since: datetime | None = None
    error: str = ""
    p95_ms: int | None = None


def of_service(name: str) -> ServiceHealth:
    """What the calls of work units to the service of this name met."""
    calls = list(ServiceCall.objects.filter(service=name).only(*_CALL).order_by("-began_at")[:CALLS])
    if not calls:
        return ServiceHealth()
    good = next((place for place, call in enumerate(calls) if call.served), len(calls))
    return ServiceHealth(
        calls=len(calls),
        first_at=calls[-1].began_at,
        last_at=calls[0].began_at,
        failed=sum(map(_failed, calls)),
        refused=sum(call.status is not None and 400 <= call.status < 500 for call in calls),
        failing_since=calls[good - 1].began_at if good else None,
        error=(calls[0].error or f"HTTP {calls[0].status}") if good else "",
        p95_ms=_p95([call.milliseconds for call in calls if call.status is not None]),
    )


_CALL = ("began_at", "status", "error", "milliseconds")


def _failed(call: ServiceCall) -> bool:
    return call.status is None or call.status >= 500


def _p95(values: Sequence[int]) -> int | None:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else None


@dataclass(frozen=True, slots=True)
class TopicTasks:
    """Tasks of one topic: all, those that failed for good or wait for a person, and those under way."""

    tasks: int = 0
    trouble: int = 0
    under_way: int = 0


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest tasks of an engine by topic; ``whole`` when those are all that it has."""

    whole: bool = True
    topics: Mapping[str, TopicTasks] = field(default_factory=dict)


_BY_TOPIC = """
SELECT topic, count(*) AS tasks,
    count(*) FILTER (WHERE status = 'uncertain' OR (status = 'delivered' AND outcome = 'failed')) AS trouble,
    count(*) FILTER (WHERE status IN ('queued', 'running', 'waiting', 'performed')) AS under_way
FROM (
    SELECT topic, status, outcome FROM tasks_task WHERE coalesce(engine_id, 0) = %s ORDER BY id * -1 LIMIT %s
) newest
GROUP BY topic
"""


def recent(engine_id: int) -> Recent:
    """The newest RECENT tasks of an engine, counted by topic."""
    rows = sql.query(_BY_TOPIC, [engine_id, RECENT])
    found = {row.topic: TopicTasks(row.tasks, row.trouble, row.under_way) for row in rows}
    return Recent(sum(topic.tasks for topic in found.values()) < RECENT, found)

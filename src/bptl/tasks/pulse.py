"""Signs of life: when engines last answered a poll, how calls to services end, how many places are taken."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bptl.tasks import sql
from bptl.tasks.outside_models import LOGIN_REFUSED

CALLS = 2_000
"""Newest calls to services that are looked at."""


@dataclass(frozen=True, slots=True)
class Polls:
    """The polls of one engine in the last ten minutes.

    ``answered_at`` is the end of the newest that was answered, ``failing_since`` the begin of the first after it that
    was not; ``open`` are under way.
    """

    answered_at: datetime | None = None
    failing_since: datetime | None = None
    open: int = 0


_POLLS = """
SELECT e.id AS engine_id, a.at AS answered_at, f.since AS failing_since, o.amount AS open
FROM connections_engine e
LEFT JOIN LATERAL (
    SELECT closed_at AS at, started_at FROM tasks_fetch WHERE engine_id = e.id AND closed_as = 'answered'
        AND started_at > now() - interval '10 minutes' ORDER BY started_at DESC LIMIT 1
) a ON true
CROSS JOIN LATERAL (
    SELECT min(started_at) AS since FROM tasks_fetch WHERE engine_id = e.id AND closed_as IN ('never_sent', 'abandoned')
        AND started_at > coalesce(a.started_at, now() - interval '10 minutes')
) f
CROSS JOIN LATERAL (
    SELECT count(*) AS amount FROM tasks_process p JOIN tasks_fetch x ON x.process_id = p.id AND x.closed_at IS NULL
    WHERE p.stopped_at IS NULL AND x.engine_id = e.id
) o
"""


def polls() -> dict[int, Polls]:
    """How polling goes, by the id of the engine."""
    return {row.engine_id: Polls(row.answered_at, row.failing_since, row.open) for row in sql.query(_POLLS)}


@dataclass(frozen=True, slots=True)
class Calls:
    """How the newest calls to a service ended; ``failing``: the very last one was not served."""

    failing: bool
    error: str
    good_at: datetime | None
    bad_at: datetime | None


# good: as ServiceCall.served.
_CALLS = f"""
WITH newest AS (
    SELECT id, service, began_at, error, status,
        coalesce(status < 500 AND status NOT IN {LOGIN_REFUSED}, false) AS good
    FROM tasks_servicecall ORDER BY id DESC LIMIT {CALLS}
)
SELECT service, max(began_at) FILTER (WHERE good) AS good_at, max(began_at) FILTER (WHERE NOT good) AS bad_at,
    (array_agg(good ORDER BY id DESC))[1] AS good,
    (array_agg(coalesce(nullif(error, ''), 'HTTP ' || status) ORDER BY id DESC) FILTER (WHERE NOT good))[1] AS error
FROM newest GROUP BY service
"""


def service_calls() -> dict[str, Calls]:
    """How calls go, by the name of the service; those without a call among the newest are not there."""
    return {row.service: Calls(not row.good, row.error or "", row.good_at, row.bad_at) for row in sql.query(_CALLS)}


_TAKEN = """
SELECT l.holder_id, count(*) AS amount FROM tasks_lease l
WHERE l.ended_at IS NULL AND l.claimed_at IS NOT NULL AND l.performed_at IS NULL GROUP BY l.holder_id
"""


def taken_places() -> Mapping[uuid.UUID, int]:
    """How many units each process runs now, by the id of the process."""
    return {row.holder_id: row.amount for row in sql.query(_TAKEN)}

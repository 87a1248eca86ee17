"""Fetches: announced before they are sent, closed when they are answered."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import Now

from bptl.tasks import sql
from bptl.tasks.limits import OVERHANG
from bptl.tasks.models import Fetch

WORKER_ID_PREFIX = "bptl-"

GHOST_MARGIN = timedelta(seconds=10)
"""How long after the end of a long poll its request may still lock something (design, rule 10)."""

MILLISECOND = timedelta(milliseconds=1)

FETCH_LIMIT = 100
"""Most tasks in one answer: keeps answers and statements of a bounded size."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A fetch that is committed and may be sent, for at most ``max_tasks`` and ``wait``; ``number`` counts all."""

    number: int
    worker_id: str
    engine_id: int
    process_id: uuid.UUID
    max_tasks: int
    wait: timedelta
    started_at: datetime


_ANNOUNCE = """
WITH fleet AS (
    SELECT coalesce(sum(places), 0) AS places FROM tasks_process
    WHERE kind = 'work' AND stopped_at IS NULL AND NOT draining AND heartbeat_at > now() - interval '15 seconds'
), held AS MATERIALIZED (
    SELECT (SELECT count(*) FROM tasks_task WHERE status = 'queued')
         + (SELECT count(*) FROM tasks_task WHERE status = 'running') AS tasks
), pace AS (
    SELECT count(*) AS tasks FROM tasks_lease WHERE performed_at > now() - interval '1 second'
), promised AS (
    SELECT coalesce(sum(max_tasks), 0) AS tasks FROM tasks_fetch
    WHERE closed_at IS NULL AND (engine_id, ordinal) <> (%s, %s)
      AND started_at + wait_ms * interval '1 ms' + interval '10 seconds' > now()
), room AS (
    SELECT least(places + pace.tasks, 4 * places) - held.tasks - %s AS tasks FROM fleet, held, pace
), share AS (
    SELECT least(greatest(room.tasks / %s, 1), room.tasks - promised.tasks, %s) AS tasks, room.tasks < %s AS tight
    FROM room, promised
)
INSERT INTO tasks_fetch (worker_id, engine_id, ordinal, process_id, topics, max_tasks, wait_ms, lock_ms, started_at,
    closed_as)
SELECT %s, %s, %s, process.id, %s, share.tasks, CASE WHEN share.tight THEN least(%s, 1000) ELSE %s END, %s, now(), ''
FROM share, tasks_process AS process
WHERE share.tasks > 0 AND process.id = %s AND process.stopped_at IS NULL AND NOT process.draining
RETURNING id, max_tasks, wait_ms, started_at
"""
# What the fleet finished in the last second is what it starts in the next. A lock is at least 10 s, so one second of
# work always starts within a tenth of it (design, rule 5). What other lines may still bring is promised to them; when
# there is less room than lines, polls are short, so that a quiet engine does not hold a busy one's last place.

_RUNNING = "(SELECT count(*) FROM tasks_task WHERE status = 'running')"
_ANNOUNCE_UNDER_LIMITS = _ANNOUNCE.replace(_RUNNING, f"{_RUNNING} - {OVERHANG}")


def announce(
    engine_id: int,
    *,
    ordinal: int,
    process_id: uuid.UUID,
    topics: Sequence[str],
    wait: timedelta,
    shortest_lock: timedelta,
    shares: int,
    most: int = FETCH_LIMIT,
    unrecorded: int = 0,
    under_limits: bool = False,
) -> Announced | None:
    """Commit a worker id of its own with the number of tasks that can start soon; None when there is no room.

    A process that was declared dead or drains gets None too. ``ordinal`` is the number of the filter group at its
    engine; ``shares`` is how many groups are polled now: they divide the room, each gets one at least,
    while there is one, and ``most`` at most. ``unrecorded`` tasks were fetched and are not in the table yet.
    ``under_limits``: there may be queued tasks that have no room under a limit; they are not counted.
    """
    worker_id = f"{WORKER_ID_PREFIX}{uuid.uuid4()}"
    rows = sql.query(
        _ANNOUNCE_UNDER_LIMITS if under_limits else _ANNOUNCE,
        [
            *(engine_id, ordinal, unrecorded),
            *(max(1, shares), min(most, FETCH_LIMIT), max(1, shares)),
            *(worker_id, engine_id, ordinal, list(topics)),
            *(wait // MILLISECOND, wait // MILLISECOND, shortest_lock // MILLISECOND),
            process_id,
        ],
    )
    if not rows:
        return None
    (row,) = rows
    return Announced(row.id, worker_id, engine_id, process_id, row.max_tasks, row.wait_ms * MILLISECOND, row.started_at)


def never_sent(fetch: Announced) -> None:
    """Close a fetch whose request certainly never left: nothing can be locked for it."""
    Fetch.objects.filter(id=fetch.number, closed_at=None).update(closed_at=Now(), closed_as=Fetch.End.NEVER_SENT)


_ABANDON = """
UPDATE tasks_fetch
SET closed_at = now(), closed_as = %s, watch_until = started_at + wait_ms * interval '1 ms' + %s
WHERE {which} AND closed_at IS NULL
RETURNING id
"""


def abandon(fetch: Announced) -> None:
    """Close a fetch whose answer never came: it may still lock tasks for a worker id that nobody serves; watch it."""
    sql.query(_ABANDON.format(which="id = %s"), [Fetch.End.ABANDONED, GHOST_MARGIN, fetch.number])


def abandon_all(process_id: uuid.UUID) -> int:
    """The same for every poll that a process still has under way: it ends. Answers how many they were."""
    return len(sql.query(_ABANDON.format(which="process_id = %s"), [Fetch.End.ABANDONED, GHOST_MARGIN, process_id]))

"""Leases that a process holds: kept alive at a third of their length, ended when lost, given back when unwanted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bptl.engines.base import Engine, EngineError, EngineUnavailable, LockRefused, NotFound
from bptl.lib.log import get_logger
from bptl.tasks import limits, metrics, sql
from bptl.tasks.lifecycle import MOVES, LeaseEnd, Move, Status
from bptl.tasks.listening import FETCH_CHANNEL

log = get_logger(__name__)

GIVE_BACK = timedelta(milliseconds=1)
"""Giving back is extending by this: the engine checks that the lock is ours, which unlock does not."""


@dataclass(frozen=True, slots=True)
class Held:
    """A live lease as its holder sees it. ``left_ms`` remains of the lock at ``as_of``, by PostgreSQL's clock."""

    lease_id: uuid.UUID
    task_id: int
    engine_id: int | None
    external_id: str
    worker_id: str
    status: str
    lock_ms: int
    left_ms: float
    as_of: datetime


_HELD = """
SELECT l.id AS lease_id, t.id AS task_id, t.engine_id, t.external_id, l.worker_id, t.status, l.lock_ms,
    (extract(epoch FROM l.locked_until - now()) * 1000)::float8 AS left_ms, now() AS as_of
FROM tasks_lease l JOIN tasks_task t ON t.id = l.task_id
WHERE l.holder_id = %s AND l.ended_at IS NULL AND NOT t.parked AND t.status <> 'waiting'
"""


def held_by(process_id: uuid.UUID) -> list[Held]:
    """The live leases of a process whose locks it must keep: a parked one is not extended, that of a waiting task by
    upkeep, with whichever process lives."""
    return [Held(*row) for row in sql.query(_HELD, [process_id])]


_LEFT_OVER = f"""
SELECT l.id AS lease_id, t.id AS task_id, t.engine_id, t.external_id, l.worker_id, t.status, l.lock_ms,
    (extract(epoch FROM l.locked_until - now()) * 1000)::float8 AS left_ms, now() AS as_of
FROM tasks_task t JOIN tasks_lease l ON l.id = t.lease_id
WHERE t.status = '{Status.QUEUED}' AND t.mapping_id = ANY(%s) AND t.engine_id IS NOT NULL
  AND l.recorded_at < now() - l.lock_ms * interval '1 ms' / 3
"""


def left_over(mapping_ids: Sequence[int]) -> list[Held]:
    """The leases of tasks that have waited for a worker longer than a third of their lock."""
    return [Held(*row) for row in sql.query(_LEFT_OVER, [list(mapping_ids)])]


def extend(external_id: str, *, worker_id: str, lock_ms: int, engine: Engine) -> LeaseEnd | None:
    """Extend one lock to its full length from now. None when that worked; else why the lease has ended.

    Raises EngineError when the engine gave no usable answer: try again while the lock lasts.
    """
    try:
        engine.extend(external_id, worker_id=worker_id, duration=timedelta(milliseconds=lock_ms))
    except NotFound:
        return LeaseEnd.LOST
    except LockRefused:
        # Suspended instances refuse too; only the engine's own word about the holder ends the lease here.
        try:
            task = engine.get(external_id)
        except NotFound:
            return LeaseEnd.LOST
        if task.worker_id != worker_id:
            return LeaseEnd.REFUSED
        raise
    return None


_EXTENDED = """
UPDATE tasks_lease l SET locked_until = greatest(locked_until, i.until), extensions = extensions + 1
FROM unnest(%s::uuid[], %s::timestamptz[]) AS i(id, until)
WHERE l.id = i.id AND l.ended_at IS NULL
"""


def extended(leases: Sequence[tuple[uuid.UUID, datetime]]) -> None:
    """Note until when locks last at least: the time before the request, by PostgreSQL's clock, plus the lock."""
    if leases:
        sql.query(_EXTENDED, [[str(lease_id) for lease_id, _ in leases], [until for _, until in leases]])


_RETURN = MOVES[Move.RETURN]
_HELD_STATUSES = ", ".join(f"'{status}'" for status in _RETURN.statuses)

_END = f"""
WITH seen AS (
    SELECT t.id, l.id AS lease, greatest(now(), l.locked_until, l.recorded_at + l.lock_ms * interval '1 ms') AS expiry
    FROM tasks_lease l JOIN tasks_task t ON t.id = l.task_id
    WHERE l.id = ANY(%s::uuid[]) AND l.ended_at IS NULL AND t.lease_id = l.id
      AND (NOT %s OR t.status = '{Status.QUEUED}')
    ORDER BY t.id FOR UPDATE OF t
), moved AS (
    UPDATE tasks_task t SET
        status = CASE WHEN t.status IN ({_HELD_STATUSES}) THEN
            CASE WHEN %s THEN '{Status.LOST}' ELSE '{_RETURN.target}' END ELSE t.status END,
        crashes = t.crashes + CASE WHEN %s AND t.status = '{Status.RUNNING}' THEN 1 ELSE 0 END,
        lease_id = NULL, reporter_id = NULL, next_report_at = NULL, changed_at = now(),
        retry_at = CASE WHEN t.engine_id IS NULL THEN NULL ELSE
            CASE %s::text WHEN '{LeaseEnd.EXPIRED}' THEN seen.expiry + interval '1 second'
            WHEN '{LeaseEnd.GIVEN_BACK}' THEN now() + %s + interval '0.5 second'
            WHEN '{LeaseEnd.PROCESS_DEAD}' THEN now() + interval '0.5 second' END END,
        look_at = CASE WHEN t.engine_id IS NULL OR (%s AND t.status IN ({_HELD_STATUSES})) THEN NULL
            ELSE now() + %s END
    FROM seen WHERE t.id = seen.id AND t.lease_id = seen.lease
    RETURNING t.id, t.status, t.engine_id, t.topic, seen.lease
), ended AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = %s FROM moved WHERE l.id = moved.lease
), told AS (
    INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
    SELECT id, lease, 'lease.ended', '', jsonb_build_object('as', %s::text, 'reason', %s::text) FROM moved
)
SELECT id AS task_id, status, engine_id, topic FROM moved
"""

# retry_at: what is given back is free as soon as the engine has heard it, which comes right after this. An expired lock
# ends at the engine at most as late as it was recorded, or extended, plus its length and the time of that answer.

LOOK_SOON = timedelta(seconds=5)


def end(
    lease_ids: Sequence[uuid.UUID],
    *,
    how: LeaseEnd,
    reason: str,
    unbegun: bool = False,
    offered_after: timedelta = timedelta(),
) -> int:
    """End live leases that have no report: queued and running tasks become *returned* (*lost* when the engine no longer
    knows them), a stored outcome stays for the next lease. Answers how many were still live.

    A 404 moves no task that has an outcome (design, rule 1); the sweep soon asks the engine about what is not lost.
    ``unbegun``: only of tasks that no worker has begun meanwhile. ``offered_after``: how long what is given back stays
    locked.
    """
    if not lease_ids:
        return 0
    ids = [str(lease_id) for lease_id in lease_ids]
    lost = how is LeaseEnd.LOST
    dead = how is LeaseEnd.PROCESS_DEAD
    rows = sql.query(_END, [ids, unbegun, lost, dead, how, offered_after, lost, LOOK_SOON, how, how, reason])
    _count(rows, how)
    if rows:
        log.warning("leases.ended", ended_as=how, reason=reason, tasks=[row.task_id for row in rows])
        limits.tell_room()
    return len(rows)


def _count(rows: Sequence[Any], how: LeaseEnd) -> None:
    lost = [row for row in rows if row.status == Status.LOST]
    metrics.LOST.count((metrics.engine(row.engine_id), row.topic) for row in lost)
    metrics.RETURNED.count((metrics.engine(row.engine_id), row.topic, how) for row in rows if row.status != Status.LOST)


_OFFERED = f"""
WITH offered AS (UPDATE tasks_task SET retry_at = now() WHERE id = %s AND lease_id IS NULL RETURNING id)
SELECT pg_notify('{FETCH_CHANNEL}', '') FROM offered
"""


def offered(task_id: int) -> None:
    """The engine offers the task from now on, and a parked poll does not see it: its line is told to fetch again."""
    sql.query(_OFFERED, [task_id])


def give_back(external_id: str, *, worker_id: str, engine: Engine, after: timedelta = GIVE_BACK) -> bool:
    """Let another fetch take it at once, or ``after`` a while. False when the engine gave no answer: then the lock runs
    out by itself."""
    try:
        engine.extend(external_id, worker_id=worker_id, duration=after)
    except (NotFound, LockRefused):
        return True
    except EngineUnavailable as error:
        log.warning("lease.not_given_back", external_id=external_id, error=str(error))
        return False
    except EngineError as error:
        log.error("lease.not_given_back", external_id=external_id, error=str(error))
        return False
    return True

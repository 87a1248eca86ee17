"""Upkeep of waiting tasks: their locks are kept though no process holds them, and their deadlines are watched.

Whichever process sweeps does it: a lock is due by its row, so that it outlives every process of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from bptl.engines.base import Engine, EngineError, EngineUnavailable
from bptl.lib.log import get_logger
from bptl.tasks import completions, leases, sql
from bptl.tasks.lifecycle import LeaseEnd, Status

log = get_logger(__name__)

LOCKS = 500
"""Most locks that one round extends, and most deadlines that it lets end."""

CALLS_AT_ONCE = 8

_DUE = f"status = '{Status.WAITING}' AND next_report_at <= now()"

PENDING = f"EXISTS (SELECT 1 FROM tasks_task WHERE {_DUE}) OR {completions.DUE}"
"""SQL: whether a round finds anything to do."""

_PICK = f"""
WITH picked AS (
    SELECT id FROM tasks_task WHERE {_DUE} ORDER BY next_report_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE tasks_task t SET next_report_at = now() + l.lock_ms * interval '1 ms' / 3
FROM picked, tasks_lease l
WHERE t.id = picked.id AND l.id = t.lease_id AND l.ended_at IS NULL
RETURNING t.id, t.engine_id, t.external_id, l.id AS lease_id, l.worker_id, l.lock_ms, l.locked_until > now() AS live,
    now() + l.lock_ms * interval '1 ms' AS until
"""
# Until when a lock lasts is reckoned from before the request, by PostgreSQL's clock. Who picks a lock has it to himself
# until it is due again.

_AGAIN = f"""
UPDATE tasks_task t SET next_report_at = now() + least(l.lock_ms / 20, 5000) * interval '1 ms'
FROM tasks_lease l WHERE t.id = ANY(%s) AND t.status = '{Status.WAITING}' AND l.id = t.lease_id
"""


def keep(clients: Callable[[int], Engine]) -> int:
    """Extend the locks that are due, each at a third of its length; answers how many were. One that ran out is never
    revived: the sweep ends its lease, and the engine offers the task again."""
    rows = [row for row in sql.query(_PICK, [LOCKS]) if row.live]
    if not rows:
        return 0
    engines, failed = _engines(clients, {row.engine_id for row in rows if row.engine_id is not None})
    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="keep") as calls:
        answers = list(calls.map(partial(_extend, engines, failed), rows))
    kept = [row for row, answer in zip(rows, answers, strict=True) if answer is None]
    leases.extended([(row.lease_id, row.until) for row in kept])
    if again := [row.id for row, answer in zip(rows, answers, strict=True) if isinstance(answer, EngineError)]:
        sql.query(_AGAIN, [again])
    for row, answer in zip(rows, answers, strict=True):
        if isinstance(answer, LeaseEnd):
            leases.end([row.lease_id], how=answer, reason="the engine refused to extend its lock")
    return len(kept)


def _engines(clients: Callable[[int], Engine], ids: set[int]) -> tuple[dict[int, Engine], dict[int, EngineError]]:
    """The clients, read here: threads that make only calls need no database connection of their own."""
    found, failed = {}, {}
    for engine_id in ids:
        try:
            found[engine_id] = clients(engine_id)
        except EngineError as error:
            failed[engine_id] = error
    return found, failed


def _extend(engines: dict[int, Engine], failed: dict[int, EngineError], row: Any) -> LeaseEnd | EngineError | None:
    """None when a lock was extended; else why its lease has ended, or what kept the engine from answering."""
    if row.engine_id is None:
        return None  # Nobody else can have a task of the REST API.
    if row.engine_id in failed:
        return failed[row.engine_id]
    try:
        return leases.extend(
            row.external_id, worker_id=row.worker_id, lock_ms=row.lock_ms, engine=engines[row.engine_id]
        )
    except EngineError as error:
        if isinstance(error, EngineUnavailable):
            failed[row.engine_id] = error  # The others of this round need not wait for it too.
        log.warning("lock.not_extended", task_id=row.id, error=str(error))
        return error


def expire() -> int:
    """Let tasks fail whose deadline has passed, by their retry plan; answers how many did."""
    return sum(completions.expire(number) for number in completions.due(maximum=LOCKS))

"""The sweep: ends the leases of the dead, asks the engine about tasks that nobody holds, frees what ghosts have locked.

It never runs a task again and never judges before its own process has kept its heartbeat for 15 s without a gap, so
a database outage ends no lease. Rules 9 and 10 of the design, and section 2's list of what the sweep asks.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bptl.engines.base import Engine, EngineError, ExternalTask, NotFound, TaskQuery
from bptl.lib.log import get_logger
from bptl.tasks import leases, sql
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.upkeep import processes

log = get_logger(__name__)

Clients = Callable[[int], Engine]
"""From an engine's id to its live client."""

LOOK_AGAIN = timedelta(seconds=30)
"""How often the engine is asked about one task that nobody holds."""

LOOKS = 200
"""Most questions to engines in one sweep."""

UNLOCK_MARGIN_MS = 10_000
"""unlock checks nobody: only right after a GET that shows our id, and only while the lock surely lasts this long."""


@dataclass(slots=True)
class Swept:
    """What one sweep did; ``due`` counts tasks that workers can take now."""

    buried: list[str] = field(default_factory=list)
    ended: int = 0
    looked_at: int = 0
    freed: int = 0
    due: int = 0


def sweep(process_id: uuid.UUID, clients: Clients) -> Swept:
    """One round. ``process_id`` is the process that sweeps."""
    swept = Swept()
    if processes.may_judge(process_id):
        swept.buried = processes.bury_dead(process_id)
        swept.ended = _end_leases_of_the_dead(clients) + _end_expired()
        swept.freed = _collect_ghosts(clients)
    swept.looked_at = _look(clients)
    swept.due = _due()
    if swept.buried or swept.ended or swept.freed:
        log.warning("sweep.mended", buried=swept.buried, ended=swept.ended, freed=swept.freed)
    return swept


_OF_THE_DEAD = """
SELECT l.id, l.worker_id, t.engine_id, t.external_id,
    (extract(epoch FROM l.locked_until - now()) * 1000)::float8 AS left_ms
FROM tasks_lease l JOIN tasks_task t ON t.id = l.task_id JOIN tasks_process p ON p.id = l.holder_id
WHERE l.ended_at IS NULL AND NOT t.parked AND t.status <> 'uncertain' AND p.stopped_at IS NOT NULL
ORDER BY l.id LIMIT 500
"""


def _end_leases_of_the_dead(clients: Clients) -> int:
    rows = sql.query(_OF_THE_DEAD)
    ended = leases.end([row.id for row in rows], how=LeaseEnd.PROCESS_DEAD, reason="the process that held it is dead")
    for row in rows:
        _free(row.external_id, worker_id=row.worker_id, left_ms=row.left_ms, engine=clients(row.engine_id))
    return ended


_EXPIRED = """
SELECT l.id FROM tasks_lease l JOIN tasks_task t ON t.id = l.task_id
WHERE l.ended_at IS NULL AND l.locked_until < now() AND NOT t.parked AND t.status <> 'uncertain'
LIMIT 500
"""


def _end_expired() -> int:
    rows = sql.query(_EXPIRED)
    return leases.end([row.id for row in rows], how=LeaseEnd.EXPIRED, reason="its lock ran out")


def _free(external_id: str, *, worker_id: str, left_ms: float, engine: Engine) -> None:
    """Give a task of the dead back: by unlock, which wakes parked polls, right after the engine named its worker id."""
    try:
        if engine.get(external_id).worker_id != worker_id:
            return
        if left_ms > UNLOCK_MARGIN_MS:
            engine.unlock(external_id)
        else:
            leases.give_back(external_id, worker_id=worker_id, engine=engine)
    except NotFound:
        return
    except EngineError as error:
        log.warning("lease.not_given_back", external_id=external_id, error=str(error))


_GHOSTS = """
WITH closed AS (
    UPDATE tasks_fetch f SET closed_at = now(), closed_as = 'collected',
        watch_until = f.started_at + f.wait_ms * interval '1 ms' + interval '10 seconds'
    FROM tasks_process p
    WHERE f.closed_at IS NULL AND p.id = f.process_id AND p.stopped_at IS NOT NULL
    RETURNING f.*
), watched AS (
    SELECT * FROM closed UNION ALL SELECT * FROM tasks_fetch WHERE watch_until IS NOT NULL
)
SELECT id, engine_id, worker_id, watch_until < now() AS over,
    lock_ms - (extract(epoch FROM now() - started_at) * 1000)::float8 AS left_ms
FROM watched ORDER BY id LIMIT 100
"""
# left_ms: what it has locked was locked after the fetch began, so the lock lasts at least this long.


def _collect_ghosts(clients: Clients) -> int:
    """Free what is locked for fetches that nobody serves. The fetch row is closed before anything of it is freed."""
    freed = 0
    for ghost in sql.query(_GHOSTS):
        engine = clients(ghost.engine_id)
        try:
            found = engine.list(TaskQuery(worker_id=ghost.worker_id), maximum=200)
        except EngineError as error:
            log.warning("ghost.not_collected", worker_id=ghost.worker_id, error=str(error))
            continue
        for task in found:
            _free(task.id, worker_id=ghost.worker_id, left_ms=ghost.left_ms, engine=engine)
        freed += len(found)
        if ghost.over:
            sql.query("UPDATE tasks_fetch SET watch_until = NULL WHERE id = %s", [ghost.id])
    return freed


_LOOK = """
WITH picked AS (
    SELECT id FROM tasks_task WHERE look_at <= now() ORDER BY look_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE tasks_task t SET look_at = now() + %s FROM picked WHERE t.id = picked.id
RETURNING t.id, t.engine_id, t.external_id, t.status, t.outcome, t.outcome_id, t.lease_id, t.parked, t.by_hand
"""


def _look(clients: Clients) -> int:
    """Ask the engine about tasks without a live lease and parked ones."""
    rows = sql.query(_LOOK, [LOOKS, LOOK_AGAIN])
    for row in rows:
        engine = clients(row.engine_id)
        try:
            _still_there(row, engine.get(row.external_id), engine)
        except NotFound:
            _gone(row.id, status=Status(row.status), outcome_id=row.outcome_id)
        except EngineError as error:
            log.warning("task.not_looked_at", task_id=row.id, error=str(error))
    return len(rows)


_GONE = f"""
WITH moved AS (
    UPDATE tasks_task t SET
        status = CASE WHEN t.status = '{Status.PERFORMED}' THEN '{Status.DELIVERED}' ELSE '{Status.LOST}' END,
        assumed = t.status = '{Status.PERFORMED}', lease_id = NULL, reporter_id = NULL, next_report_at = NULL,
        parked = false, look_at = NULL, changed_at = now()
    WHERE t.id = %s AND t.status = %s AND t.outcome_id IS NOT DISTINCT FROM %s
      AND t.status IN ('{Status.RETURNED}', '{Status.WAITING}', '{Status.PERFORMED}')
      AND (t.lease_id IS NULL OR t.parked)
    RETURNING t.id, t.last_lease_id, t.status
), ended AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.LOST}'
    FROM moved WHERE l.id = moved.last_lease_id AND l.ended_at IS NULL
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, last_lease_id, 'task.gone', '', jsonb_build_object('became', status) FROM moved
"""


def _gone(task_id: int, *, status: Status, outcome_id: uuid.UUID | None) -> None:
    """404: returned and waiting become lost, performed becomes delivered (assumed); uncertain asks its person."""
    sql.query(_GONE, [task_id, status, outcome_id])


_FAILURE_KNOWN = f"""
UPDATE tasks_task t SET status = '{Status.DELIVERED}', lease_id = NULL, reporter_id = NULL, next_report_at = NULL,
    look_at = NULL, changed_at = now()
WHERE t.id = %s AND t.status = '{Status.PERFORMED}' AND t.outcome = '{Outcome.FAILED}' AND t.lease_id IS NULL
  AND t.outcome_id::text = %s
"""


def _still_there(row: Any, task: ExternalTask, engine: Engine) -> None:
    """The engine has it. Only zero retries say something: nobody will fetch it.

    A stored failure that it has heard is delivered; a result that still stands gets its retries again, so that the next
    lease delivers it (a parked one waits for its person).
    """
    if task.retries != 0 or row.status != Status.PERFORMED or row.parked or row.lease_id is not None:
        return
    if row.outcome == Outcome.FAILED:
        sql.query(_FAILURE_KNOWN, [row.id, engine.error_details(task.id)[:36]])
    elif not row.by_hand:
        engine.set_retries(task.id, 1)


def _due() -> int:
    rows = sql.query(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM tasks_task WHERE status = 'queued' LIMIT 1000) q)"
        " + (SELECT count(*) FROM (SELECT 1 FROM tasks_task WHERE status = 'performed' AND NOT parked"
        "    AND next_report_at <= now() LIMIT 1000) p) AS due"
    )
    return int(rows[0].due)


_TIDY = (
    "DELETE FROM tasks_fetch"
    " WHERE started_at < now() - interval '1 hour' AND closed_at IS NOT NULL AND watch_until IS NULL",
    "DELETE FROM tasks_pollleadership WHERE expires_at < now() - interval '1 hour'",
)


def tidy() -> None:
    """Take away rows of requests and leaderships that are over; tasks and leases are never deleted here."""
    for statement in _TIDY:
        sql.query(statement)

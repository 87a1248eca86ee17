"""The sweep: ends the leases of the dead, asks the engine about tasks that nobody holds, frees what ghosts have locked.

It never runs a task again and never judges before its own process has kept its heartbeat for 15 s without a gap, so
a database outage ends no lease. Rules 9 and 10 of the design, and section 2's list of what the sweep asks.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from bptl.engines.base import Engine, EngineError, EngineUnavailable, ExternalTask, NotFound, TaskQuery
from bptl.lib.log import get_logger
from bptl.tasks import leases, metrics, sql
from bptl.tasks.lifecycle import MOVES, LeaseEnd, Move, Outcome, Status
from bptl.tasks.models import DEAD_AFTER
from bptl.tasks.upkeep import processes, waiting

log = get_logger(__name__)

T = TypeVar("T")

Clients = Callable[[int], Engine]
"""From an engine's id to its live client."""

LOOK_AGAIN = timedelta(seconds=30)
"""How often the engine is asked about one task that nobody holds."""

LOOK_AGAIN_FAILED = timedelta(days=1)
"""The same for a failed task, which its engine may keep for years: retention waits for its end, nobody else does."""

LOOKS = 200
"""Most questions to engines in one sweep."""

UNLOCK_MARGIN = 10.0
"""Seconds. unlock checks nobody: only right after a GET that shows our id, while the lock surely lasts this long."""


@dataclass(slots=True)
class Swept:
    """What one sweep did; ``due`` counts tasks that workers can take now, ``probes`` says that open circuit breakers
    are to be probed."""

    buried: list[str] = field(default_factory=list)
    ended: int = 0
    looked_at: int = 0
    freed: int = 0
    kept: int = 0
    expired: int = 0
    due: int = 0
    probes: bool = False


def sweep(process_id: uuid.UUID, clients: Clients) -> Swept:
    """One round. ``process_id`` is the process that sweeps. Where nothing is to do, one statement finds that out."""
    found = _look_round()
    swept = Swept(due=found.due, probes=found.probes)
    if not found.pending:
        return swept
    engines = _Engines(clients)
    # Before anything ends: a lock that can still be kept is kept, also by a process that may not judge yet.
    swept.kept, swept.expired = waiting.keep(clients), waiting.expire()
    if processes.may_judge(process_id):
        swept.buried = processes.bury_dead(process_id)
        swept.ended = _end_leases_of_the_dead(engines) + _end_expired()
        _lay_ready()
        swept.freed = _collect_ghosts(engines)
        _release_reports_of_the_dead()
    swept.looked_at = _look(engines)
    swept.due = _look_round().due
    if swept.buried or swept.ended or swept.freed:
        log.warning("sweep.mended", buried=swept.buried, ended=swept.ended, freed=swept.freed)
    return swept


class _Engines:
    """The engines in one sweep: one that gave no answer is not asked again, so that it keeps nobody else waiting."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._silent: set[int] = set()

    def ask(self, engine_id: int, question: Callable[[Engine], T]) -> T:
        """The answer to one question; raises EngineError."""
        if engine_id in self._silent:
            raise EngineUnavailable("it gave no answer earlier in this sweep", sent=False)
        try:
            return question(self._clients(engine_id))
        except EngineUnavailable:
            self._silent.add(engine_id)
            raise


_LEASES_OF_THE_DEAD = """
FROM tasks_lease l JOIN tasks_task t ON t.id = l.task_id JOIN tasks_process p ON p.id = l.holder_id
WHERE l.ended_at IS NULL AND NOT t.parked AND t.status NOT IN ('uncertain', 'waiting') AND p.stopped_at IS NOT NULL
"""
# Nobody works under the lease of a waiting task: it ends when its lock does, whoever held it.

_OF_THE_DEAD = f"""
SELECT l.id, l.worker_id, t.engine_id, t.external_id,
    (extract(epoch FROM l.locked_until - now()) * 1000)::float8 AS left_ms
{_LEASES_OF_THE_DEAD}
ORDER BY l.id LIMIT 500
"""


def _end_leases_of_the_dead(engines: _Engines) -> int:
    asked = time.monotonic()
    rows = sql.query(_OF_THE_DEAD)
    ended = leases.end([row.id for row in rows], how=LeaseEnd.PROCESS_DEAD, reason="the process that held it is dead")
    for row in rows:
        if row.engine_id is not None:
            _free(row, row.external_id, until=asked + row.left_ms / 1000, engines=engines)
    return ended


_WITHOUT_REPORTER = f"status = '{Status.PERFORMED}' AND engine_id IS NULL AND lease_id IS NULL AND NOT by_hand"

_LAY_READY = f"""
UPDATE tasks_task SET status = '{MOVES[Move.DELIVER].target}', reporter_id = NULL, next_report_at = NULL,
    changed_at = now()
WHERE {_WITHOUT_REPORTER}
"""


def _lay_ready() -> None:
    """An outcome of a call of the REST API whose reporter died needs no report: its caller is answered from the row."""
    sql.query(_LAY_READY)


_EXPIRED_LEASES = """
FROM tasks_lease l JOIN tasks_task t ON t.id = l.task_id
WHERE l.ended_at IS NULL AND l.locked_until < now() AND NOT t.parked AND t.status <> 'uncertain'
"""

_EXPIRED = f"SELECT l.id {_EXPIRED_LEASES} LIMIT 500"


def _end_expired() -> int:
    rows = sql.query(_EXPIRED)
    return leases.end([row.id for row in rows], how=LeaseEnd.EXPIRED, reason="its lock ran out")


def _free(holder: Any, external_id: str, *, until: float, engines: _Engines) -> None:
    """Give back what ``holder`` (engine_id, worker_id) has locked surely until the monotonic time ``until``.

    By unlock, which wakes parked polls, right after the engine named its worker id.
    """

    def give_back(engine: Engine) -> None:
        if engine.get(external_id).worker_id != holder.worker_id:
            return
        if until - time.monotonic() > UNLOCK_MARGIN:
            engine.unlock(external_id)
        else:
            leases.give_back(external_id, worker_id=holder.worker_id, engine=engine)

    try:
        engines.ask(holder.engine_id, give_back)
    except NotFound:
        return
    except EngineError as error:
        log.warning("lease.not_given_back", external_id=external_id, error=str(error))


_OF_DEAD_FETCHERS = "f.closed_at IS NULL AND p.id = f.process_id AND p.stopped_at IS NOT NULL"
_WATCHED = "watch_until IS NOT NULL"

_GHOSTS = f"""
WITH closed AS (
    UPDATE tasks_fetch f SET closed_at = now(), closed_as = 'collected',
        watch_until = f.started_at + f.wait_ms * interval '1 ms' + interval '10 seconds'
    FROM tasks_process p
    WHERE {_OF_DEAD_FETCHERS}
    RETURNING f.*
), watched AS (
    SELECT * FROM closed UNION ALL SELECT * FROM tasks_fetch WHERE {_WATCHED}
)
SELECT id, engine_id, worker_id, watch_until < now() AS over,
    lock_ms - (extract(epoch FROM now() - started_at) * 1000)::float8 AS left_ms
FROM watched ORDER BY id LIMIT 100
"""
# left_ms: what it has locked was locked after the fetch began, so the lock lasts at least this long.


_STOP_WATCHING = "UPDATE tasks_fetch SET watch_until = NULL WHERE id = %s"


def _collect_ghosts(engines: _Engines) -> int:
    """Free what is locked for fetches that nobody serves. The fetch row is closed before anything of it is freed."""
    freed = 0
    asked = time.monotonic()
    for ghost in sql.query(_GHOSTS):
        try:
            found = engines.ask(ghost.engine_id, partial(_held_for, ghost.worker_id))
        except EngineError as error:
            log.warning("ghost.not_collected", worker_id=ghost.worker_id, error=str(error))
            if ghost.over and ghost.left_ms < 0:
                sql.query(_STOP_WATCHING, [ghost.id])  # what it locked has come free by itself
            continue
        for task in found:
            _free(ghost, task.id, until=asked + ghost.left_ms / 1000, engines=engines)
        freed += len(found)
        if ghost.over:
            sql.query(_STOP_WATCHING, [ghost.id])
    return freed


def _held_for(worker_id: str, engine: Engine) -> Sequence[ExternalTask]:
    return engine.list(TaskQuery(worker_id=worker_id), maximum=200)


_OF_DEAD_REPORTERS = (
    f"t.status = '{Status.PERFORMED}' AND t.lease_id IS NULL AND p.id = t.reporter_id AND p.stopped_at IS NOT NULL"
)

_RELEASE_REPORTS = f"UPDATE tasks_task t SET reporter_id = NULL FROM tasks_process p WHERE {_OF_DEAD_REPORTERS}"


def _release_reports_of_the_dead() -> None:
    """A result by hand is reported without a live lease: no lease ends with its reporter, its report is freed here."""
    sql.query(_RELEASE_REPORTS)


_TO_LOOK_AT = "look_at <= now()"

_LOOK = f"""
WITH picked AS (
    SELECT id FROM tasks_task WHERE {_TO_LOOK_AT} ORDER BY look_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE tasks_task t SET look_at = now() + CASE WHEN t.status = '{Status.DELIVERED}' THEN %s ELSE %s END
FROM picked WHERE t.id = picked.id
RETURNING t.id, t.engine_id, t.external_id, t.status, t.outcome, t.outcome_id, t.lease_id, t.parked, t.next_report_at,
    t.offer_due
"""


def _look(engines: _Engines) -> int:
    """Ask the engine about tasks without a live lease, parked ones, and failed ones that retention wonders about."""
    rows = sql.query(_LOOK, [LOOKS, LOOK_AGAIN_FAILED, LOOK_AGAIN])
    for row in rows:
        try:
            engines.ask(row.engine_id, partial(_ask_about, row))
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
      AND (t.status IN ('{Status.RETURNED}', '{Status.WAITING}', '{Status.PERFORMED}')
        OR (t.status = '{Status.DELIVERED}' AND t.outcome = '{Outcome.FAILED}'))
      AND (t.lease_id IS NULL OR t.parked)
    RETURNING t.id, t.last_lease_id, t.status, t.engine_id, t.topic
), ended AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.LOST}'
    FROM moved WHERE l.id = moved.last_lease_id AND l.ended_at IS NULL
), told AS (
    INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
    SELECT id, last_lease_id, 'task.gone', '', jsonb_build_object('became', status) FROM moved
)
SELECT status, engine_id, topic FROM moved
"""


def _gone(task_id: int, *, status: Status, outcome_id: uuid.UUID | None) -> None:
    """404: returned, waiting and delivered (failed) become lost, performed becomes delivered (assumed); uncertain asks
    its person."""
    moved = sql.query(_GONE, [task_id, status, outcome_id])
    metrics.LOST.count((metrics.engine(row.engine_id), row.topic) for row in moved if row.status == Status.LOST)


_FAILURE_KNOWN = f"""
UPDATE tasks_task t SET status = '{Status.DELIVERED}', lease_id = NULL, reporter_id = NULL, next_report_at = NULL,
    look_at = NULL, changed_at = now()
WHERE t.id = %s AND t.status = '{Status.PERFORMED}' AND t.outcome = '{Outcome.FAILED}' AND t.lease_id IS NULL
"""


def _offer(task_id: int, task: ExternalTask, engine: Engine) -> None:
    """A settled task gets its retries back, until its next lease: a delayed parking may take them again."""
    if task.retries == 0:
        engine.set_retries(task.id, 1)
    leases.offered(task_id)


def _ask_about(row: Any, engine: Engine) -> None:
    _still_there(row, engine.get(row.external_id), engine)


def _still_there(row: Any, task: ExternalTask, engine: Engine) -> None:
    """The engine has it. Only zero retries say something: nobody will fetch it.

    A stored failure is an incident there, so it is delivered; a result that still stands gets its retries again, so
    that the next lease delivers it (a parked one waits for its person, one by hand first for its report under the
    last lease).
    """
    if row.offer_due:
        _offer(row.id, task, engine)
    if task.retries != 0 or row.status != Status.PERFORMED or row.parked or row.lease_id is not None:
        return
    if row.outcome == Outcome.FAILED:
        sql.query(_FAILURE_KNOWN, [row.id])
    elif row.next_report_at is None:
        engine.set_retries(task.id, 1)
        leases.offered(row.id)


_LOOK_ROUND = f"""
SELECT {processes.SILENT}
    OR EXISTS (SELECT 1 {_LEASES_OF_THE_DEAD}) OR EXISTS (SELECT 1 {_EXPIRED_LEASES})
    OR EXISTS (SELECT 1 FROM tasks_task WHERE {_WITHOUT_REPORTER})
    OR EXISTS (SELECT 1 FROM tasks_task t, tasks_process p WHERE {_OF_DEAD_REPORTERS})
    OR EXISTS (SELECT 1 FROM tasks_fetch WHERE {_WATCHED})
    OR EXISTS (SELECT 1 FROM tasks_fetch f, tasks_process p WHERE {_OF_DEAD_FETCHERS})
    OR EXISTS (SELECT 1 FROM tasks_task WHERE {_TO_LOOK_AT}) OR {waiting.PENDING} AS pending,
    (SELECT count(*) FROM (SELECT 1 FROM tasks_task WHERE status = '{Status.QUEUED}' LIMIT 1000) q)
    + (SELECT count(*) FROM (SELECT 1 FROM tasks_task WHERE status = '{Status.PERFORMED}' AND NOT parked
        AND next_report_at <= now() LIMIT 1000) p) AS due,
    EXISTS (SELECT 1 FROM connections_opening WHERE next_probe_at <= now()) AS probes
"""


def _look_round() -> Any:
    """``pending``: whether there is anything to mend or to ask about; ``due``: how much workers can take now;
    ``probes``: whether circuit breakers are to be probed."""
    (found,) = sql.query(_LOOK_ROUND, [DEAD_AFTER])
    return found


_TIDY = (
    """DELETE FROM tasks_fetch
    WHERE started_at < now() - interval '1 hour' AND closed_at IS NOT NULL AND watch_until IS NULL""",
    "DELETE FROM tasks_pollleadership WHERE expires_at < now() - interval '1 hour'",
)


def tidy() -> None:
    """Take away rows of requests and leaderships that are over; tasks and leases are never deleted here."""
    for statement in _TIDY:
        sql.query(statement)

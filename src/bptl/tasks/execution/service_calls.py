"""Calls to services are written to their task a moment later, in groups: no unit waits for it.

What a process that dies had not written yet is lost: the ledger of effects, which is written before and after, is what
the work rests on; these rows are for people who look.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import (
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
    close_old_connections,
    connections,
)

from bptl.clients.gate import Call
from bptl.clients.records import kept
from bptl.lib.json import storable
from bptl.lib.log import get_logger
from bptl.tasks import metrics, sql
from bptl.tasks.execution import outages

log = get_logger(__name__)

GATHER = 0.1
"""Seconds for which calls are gathered."""

IDLE = 30.0
"""Seconds after which a connection that writes nothing is given up."""

GROUP = 100
MOST_WAITING = 10_000
"""Calls that wait for a database that is away; further ones are dropped, and counted in the log."""

_WRITE = """
INSERT INTO tasks_servicecall (task_id, lease_id, service, method, url, began_at, milliseconds, status, error,
    request_body, answer_body)
SELECT x.* FROM jsonb_to_recordset(%s::jsonb) AS x(task_id bigint, lease_id uuid, service text, method text, url text,
    began_at timestamptz, milliseconds int, status smallint, error text, request_body text, answer_body text)
WHERE EXISTS (SELECT 1 FROM tasks_task t WHERE t.id = x.task_id)
ORDER BY x.task_id, x.began_at
"""
# Its foreign key locks the tasks one by one, in the order of the rows: that of all who lock several, or two would wait
# for each other.


@dataclass(frozen=True, slots=True)
class _Made:
    task_id: int
    lease_id: uuid.UUID
    call: Call


class Writer:
    """Writes from a thread of its own, which begins with a call and ends with ``stop``."""

    def __init__(self) -> None:
        self._beginning = threading.Lock()
        self._writing: _Writing | None = None

    def put(self, task_id: int, lease_id: uuid.UUID, call: Call) -> None:
        """Keep a call; never waits and never raises."""
        writing = self._writing or self._begin()
        try:
            writing.waiting.put_nowait(_Made(task_id, lease_id, call))
        except queue.Full:
            log.error("service_call.not_recorded", task_id=task_id, service=call.service, reason="too many wait")

    def stop(self, *, timeout: float) -> bool:
        """Write what waits, at most ``timeout`` seconds, and end the thread; whether all is written."""
        with self._beginning:
            writing, self._writing = self._writing, None
        return writing is None or writing.stop(timeout=timeout)

    def _begin(self) -> _Writing:
        with self._beginning:
            if self._writing is None:
                self._writing = _Writing()
            return self._writing


class _Writing:
    """The thread, and what waits for it: one that outlasts its stop takes nothing from its successor."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[_Made | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="service calls", daemon=True)
        self._thread.start()

    def stop(self, *, timeout: float) -> bool:
        try:
            self.waiting.put(None, timeout=timeout)
        except queue.Full:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        ends = False
        while not ends:
            try:
                group = [self.waiting.get(timeout=IDLE)]
            except queue.Empty:
                connections.close_all()
                group = [self.waiting.get()]
            if group[0] is not None:
                time.sleep(GATHER)
            while group[-1] is not None and len(group) < GROUP:
                try:
                    group.append(self.waiting.get_nowait())
                except queue.Empty:
                    break
            ends = group[-1] is None
            calls = [made for made in group if made is not None]
            self._write(calls)
            outages.judge([made.call for made in calls])
        connections.close_all()

    def _write(self, group: list[_Made]) -> None:
        rows = []
        for made in group:
            try:
                rows.append(_row(made))
            except Exception:
                # The border of foreign text: what cannot be kept must not keep the others from being kept.
                log.exception("service_call.not_recorded", task_id=made.task_id, service=made.call.service)
        if rows:
            self._insert(rows)

    def _insert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert them, as soon as the database is there; one by one when it refuses a value."""
        while True:
            try:
                sql.query(_WRITE, [storable(rows)])
            except (OperationalError, InterfaceError, InternalError) as error:
                log.warning("service_calls.without_database", error=str(error))
                close_old_connections()
                if self.waiting.full():
                    log.error("service_call.not_recorded", calls=len(rows), reason="the database is away")
                    return
                time.sleep(1)
            except DatabaseError:
                if len(rows) == 1:
                    log.exception("service_call.not_recorded", reason="the database refuses it")
                    return
                for row in rows:
                    self._insert([row])
                return
            else:
                return


_writer = Writer()


def record(task_id: int, lease_id: uuid.UUID, call: Call) -> None:
    """Keep a call with its task, and count it."""
    metrics.SERVICE_CALLS.add(call.service, f"{call.status // 100}xx" if call.status is not None else "none")
    metrics.SERVICE_SECONDS.observe([((call.service,), call.seconds)])
    _writer.put(task_id, lease_id, call)


def stop(*, timeout: float = 2.0) -> bool:
    """Write what was recorded; whether all is written. For a process that ends; a later call begins anew."""
    return _writer.stop(timeout=timeout)


def _row(made: _Made) -> dict[str, Any]:
    call = made.call
    record = kept(call)
    return {
        "task_id": made.task_id,
        "lease_id": str(made.lease_id),
        "service": call.service[:100],
        "method": call.method[:10],
        "url": record.url,
        "began_at": call.began_at.isoformat(),
        "milliseconds": round(call.seconds * 1000),
        "status": call.status,
        "error": record.error,
        "request_body": record.request_body,
        "answer_body": record.answer_body,
    }

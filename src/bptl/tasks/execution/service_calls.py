"""Calls to services are written to their task a moment later, in groups: no unit waits for it.

What a process that dies had not written yet is lost: the ledger of effects, which is written before and after, is what
the work rests on; these rows are for people who look.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from dataclasses import dataclass

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
from bptl.tasks import sql

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
"""


@dataclass(frozen=True, slots=True)
class _Made:
    task_id: int
    lease_id: uuid.UUID
    call: Call


class Writer:
    """Writes from a thread of its own, which begins with the first call."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[_Made | None] = queue.Queue(MOST_WAITING)
        self._beginning = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, task_id: int, lease_id: uuid.UUID, call: Call) -> None:
        """Keep a call; never waits and never raises."""
        if self._thread is None:
            self._begin()
        try:
            self._waiting.put_nowait(_Made(task_id, lease_id, call))
        except queue.Full:
            log.error("service_call.not_recorded", task_id=task_id, service=call.service, reason="too many wait")

    def stop(self, *, timeout: float) -> bool:
        """Write all that waits, for at most ``timeout`` seconds, and let go of the database; whether all is written."""
        thread = self._thread
        if thread is None:
            return True
        deadline = time.monotonic() + timeout
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:
            return False
        thread.join(deadline - time.monotonic())
        return not thread.is_alive()

    def _begin(self) -> None:
        with self._beginning:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="service calls", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        going = True
        while going:
            try:
                group = [self._waiting.get(timeout=IDLE)]
            except queue.Empty:
                connections.close_all()
                group = [self._waiting.get()]
            if group != [None]:
                time.sleep(GATHER)
            while len(group) < GROUP:
                try:
                    group.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            going = None not in group
            if made := [one for one in group if one is not None]:
                self._write(made)
        connections.close_all()
        self._thread = None

    def _write(self, group: list[_Made]) -> None:
        try:
            rows = storable([_row(made) for made in group])
        except Exception:
            # The border of foreign text: what cannot be kept must not keep the others from being kept.
            log.exception("service_call.not_recorded", calls=len(group))
            return
        while not self._written(rows):
            if self._waiting.full():
                log.error("service_call.not_recorded", calls=len(group), reason="the database is away")
                return
            time.sleep(1)

    def _written(self, rows: str) -> bool:
        """Whether there is nothing left to try."""
        try:
            sql.query(_WRITE, [rows])
        except (OperationalError, InterfaceError, InternalError) as error:
            log.warning("service_calls.without_database", error=str(error))
            close_old_connections()
            return False
        except DatabaseError:
            log.exception("service_call.not_recorded", reason="the database refuses it")
        return True


_writer = Writer()


def record(task_id: int, lease_id: uuid.UUID, call: Call) -> None:
    """Keep a call with its task."""
    _writer.put(task_id, lease_id, call)


def stop(*, timeout: float = 2.0) -> bool:
    """Write what was recorded; whether all is written. For a process that ends; a later call begins anew."""
    return _writer.stop(timeout=timeout)


def _row(made: _Made) -> dict[str, object]:
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

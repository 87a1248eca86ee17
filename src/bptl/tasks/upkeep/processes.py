"""The registry of our processes: a heartbeat every 5 s by PostgreSQL's clock, dead after 15 s (design, section 2)."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import timedelta

from django.db.models.functions import Now

from bptl.tasks import sql
from bptl.tasks.models import DEAD_AFTER, Process, ProcessKind

HEARTBEAT = timedelta(seconds=5)
GAP = timedelta(seconds=10)
"""A longer pause between two heartbeats is a gap: whoever had one judges nobody until 15 s later."""


def register(kind: ProcessKind, *, places: int = 0) -> uuid.UUID:
    """Enter this operating-system process; ``places`` is how many units it runs at once. Answers its id."""
    return Process.objects.create(kind=kind, host=socket.gethostname(), pid=os.getpid(), places=places).id


_BEAT = """
UPDATE tasks_process SET heartbeat_at = now(),
    steady_since = CASE WHEN heartbeat_at < now() - %s THEN now() ELSE steady_since END
WHERE id = %s AND stopped_at IS NULL
RETURNING id
"""


def beat(process_id: uuid.UUID) -> bool:
    """Say that this process lives. False when it was declared dead: its leases are gone, it must begin anew."""
    return bool(sql.query(_BEAT, [GAP, process_id]))


def drain(process_id: uuid.UUID) -> None:
    """Say that this process takes no new work."""
    Process.objects.filter(id=process_id).update(draining=True)


def set_places(process_id: uuid.UUID, places: int) -> None:
    """Change how many units it runs at once (a place was written off)."""
    Process.objects.filter(id=process_id).update(places=places)


def sign_off(process_id: uuid.UUID) -> None:
    """Say that this process has ended in good order."""
    Process.objects.filter(id=process_id, stopped_at=None).update(stopped_at=Now())


_STEADY = "stopped_at IS NULL AND steady_since < now() - %s AND heartbeat_at > now() - %s"
"""May judge others: it has kept its own heartbeat for DEAD_AFTER without a GAP."""

_SILENT = "stopped_at IS NULL AND heartbeat_at < now() - %s"

SILENT = f"EXISTS (SELECT 1 FROM tasks_process WHERE {_SILENT})"
"""SQL: whether there is anybody to bury; its parameter is DEAD_AFTER."""

_BURY = f"""
UPDATE tasks_process SET stopped_at = now(), died = true
WHERE {_SILENT}
  AND EXISTS (SELECT 1 FROM (SELECT * FROM tasks_process WHERE id = %s) me WHERE {_STEADY})
RETURNING id, kind, host, pid
"""


def may_judge(process_id: uuid.UUID) -> bool:
    """Whether this process has kept its own heartbeat for 15 s without a gap: only then it may end what others hold."""
    return bool(
        sql.query(
            f"SELECT 1 AS yes FROM tasks_process WHERE id = %s AND {_STEADY}",
            [process_id, DEAD_AFTER, GAP],
        )
    )


_A_WORKER_MAY = f"SELECT 1 AS yes FROM tasks_process WHERE kind = %s AND {_STEADY} LIMIT 1"


def a_worker_may_judge() -> bool:
    """Whether there is any worker that has kept its heartbeat for 15 s without a gap."""
    return bool(sql.query(_A_WORKER_MAY, [ProcessKind.WORK, DEAD_AFTER, GAP]))


def bury_dead(process_id: uuid.UUID) -> list[str]:
    """Mark processes without a heartbeat as dead, unless this one may not judge. Answers who they were."""
    rows = sql.query(_BURY, [DEAD_AFTER, process_id, DEAD_AFTER, GAP])
    return [f"{row.kind} {row.host}:{row.pid}" for row in rows]

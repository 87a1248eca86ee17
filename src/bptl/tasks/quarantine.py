"""Tasks that failed for good because processes died, or lost a place, while their unit ran (design, rule 8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Value
from django.db.models.lookups import GreaterThan

from bptl.tasks import sql
from bptl.tasks.models import BACKWARDS, Task


@dataclass(frozen=True, slots=True)
class Death:
    """One lease that counts. ``host`` and ``pid`` are empty where the row of the process is kept no longer;
    ``wrote_off``: the unit did not end when it was told to, so that its place was given up and the process restarted.
    """

    attempt: int
    at: datetime
    host: str
    pid: int | None
    wrote_off: bool


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One task with the deaths that led to it, in their order."""

    task: Task
    unit: str
    deaths: Sequence[Death] = field(default_factory=list)


_LYING = Task.objects.filter(status="delivered", outcome="failed", quarantined_at__isnull=False)

_DEATHS = """
SELECT l.task_id, l.number AS attempt, coalesce(l.performed_at, l.ended_at) AS at, coalesce(p.host, '') AS host, p.pid,
    coalesce(l.error ? 'wrote_off', false) AS wrote_off
FROM tasks_lease l LEFT JOIN tasks_process p ON p.id = l.holder_id
WHERE l.task_id = ANY(%s) AND l.claimed_at IS NOT NULL AND (
    l.error ? 'wrote_off' OR (l.performed_at IS NULL AND (l.ended_as = 'process_dead'
        OR (l.ended_as = 'superseded' AND p.stopped_at IS NOT NULL))))
ORDER BY l.task_id, l.number
"""


def exists() -> bool:
    """Whether any task lies in quarantine."""
    return _LYING.exists()


def page(*, before_id: int | None = None, limit: int = 50) -> Sequence[Quarantined]:
    """At most ``limit`` of them, newest first; those before a task when its id is given."""
    found = _LYING.select_related("engine", "mapping").defer("variables", "extension_properties").order_by(BACKWARDS)
    if before_id is not None:
        found = found.filter(GreaterThan(BACKWARDS, Value(-before_id)))
    tasks = list(found[:limit])
    deaths: dict[int, list[Death]] = defaultdict(list)
    for row in sql.query(_DEATHS, [[task.pk for task in tasks]]):
        deaths[row.task_id].append(Death(row.attempt, row.at, row.host, row.pid, row.wrote_off))
    # Those from before a person's retry count no longer.
    return [
        Quarantined(task, str((task.result or {}).get("unit", "")), deaths[task.pk][-task.crashes or None :])
        for task in tasks
    ]

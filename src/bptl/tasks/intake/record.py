"""The answer of a fetch becomes tasks and leases, in one statement that also ends the leases that they replace."""

from __future__ import annotations

import uuid
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DataError, transaction

from bptl.connections.models import Mapping
from bptl.engines.base import Engine, EngineError, ExternalTask
from bptl.lib.ids import time_ordered_id
from bptl.lib.json import storable
from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.tasks.intake.fetches import Announced
from bptl.tasks.intake.leasing import lease_statement
from bptl.tasks.models import Fetch
from bptl.tasks.wake import wake

log = get_logger(__name__)


@dataclass(slots=True)
class Recorded:
    """What became of an answer, as external ids: ``leased`` are ours now; ``refused`` are locked for us and must be
    given back; ``unstorable`` with the reason must be failed at the engine. ``closed`` means that the fetch was closed
    before its answer came: nothing was recorded, who closed it frees what it holds. ``characters``: the length of all
    that was recorded, as JSON."""

    leased: dict[str, uuid.UUID] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    unstorable: dict[str, str] = field(default_factory=dict)
    closed: bool = False
    characters: int = field(default=0, compare=False)


def record(
    fetch: Announced, tasks: Sequence[ExternalTask], *, mappings: MappingOf[str, Mapping], engine: Engine
) -> Recorded:
    """Record the answer of a fetch; ``mappings`` by topic. Wakes workers for what there is to do.

    A task that still has a live lease here is taken over only when the engine, asked again, names this fetch's worker
    id: the order of answers is not the order of locks (design, rule 10).
    """
    arrivals = [_Arrival(task, mappings[task.topic]) for task in tasks]
    contested = _confirm(fetch, arrivals, engine)
    recorded = _store(fetch, [arrival for arrival in arrivals if arrival.task.id not in contested])
    if recorded.closed:
        log.warning("fetch.answered_too_late", fetch=fetch.number, worker_id=fetch.worker_id, tasks=len(tasks))
        return recorded
    leased = recorded.leased
    recorded.refused = [
        a.task.id for a in arrivals if a.task.id not in leased and a.task.id not in recorded.unstorable | contested
    ] + [external_id for external_id, ours in contested.items() if ours]
    wake(len(leased))
    return recorded


@dataclass(slots=True)
class _Arrival:
    task: ExternalTask
    mapping: Mapping
    lease_id: uuid.UUID = field(default_factory=time_ordered_id)
    replaces: uuid.UUID | None = None
    """The live lease that this arrival may end, confirmed by the engine."""

    def row(self) -> dict[str, Any]:
        task = self.task
        return {
            "external_id": task.id,
            "lease_id": str(self.lease_id),
            "replaces": str(self.replaces) if self.replaces else None,
            "topic": task.topic,
            "mapping_id": self.mapping.id,
            "lock_ms": self.mapping.lock_seconds * 1000,
            "priority": task.priority + self.mapping.priority,
            "engine_retries": task.retries,
            "heard": task.error_details[:36],
            "variables": {name: variable.to_json() for name, variable in task.variables.items()},
            "extension_properties": dict(task.extension_properties),
            "process_instance_id": task.process_instance_id,
            "process_definition_id": task.process_definition_id,
            "process_definition_key": task.process_definition_key,
            "execution_id": task.execution_id,
            "activity_id": task.activity_id,
            "activity_instance_id": task.activity_instance_id,
            "business_key": task.business_key,
            "tenant_id": task.tenant_id,
            "created_at": task.created_at.isoformat() if task.created_at else None,
            "engine_locked_until": task.lock_expires_at.isoformat() if task.lock_expires_at else None,
        }


def _confirm(fetch: Announced, arrivals: Sequence[_Arrival], engine: Engine) -> dict[str, bool]:
    """Ask the engine about arrivals that have a live lease. Answers those that must not be recorded: True when the
    engine says (or may say) that they are locked for this fetch, so that they are given back."""
    live = sql.query(
        "SELECT external_id, lease_id FROM tasks_task"
        " WHERE engine_id = %s AND external_id = ANY(%s) AND lease_id IS NOT NULL",
        [fetch.engine_id, [arrival.task.id for arrival in arrivals]],
    )
    lease_of = {row.external_id: row.lease_id for row in live}
    skipped: dict[str, bool] = {}
    for arrival in arrivals:
        lease_id = lease_of.get(arrival.task.id)
        if lease_id is None:
            continue
        try:
            holder = engine.get(arrival.task.id).worker_id
        except EngineError as error:
            log.warning("task.not_confirmed", external_id=arrival.task.id, error=str(error))
            skipped[arrival.task.id] = True
            continue
        if holder == fetch.worker_id:
            arrival.replaces = lease_id
        else:
            log.warning("task.arrived_too_late", external_id=arrival.task.id, fetch=fetch.number, holder=holder)
            skipped[arrival.task.id] = False
    return skipped


def _store(fetch: Announced, arrivals: Sequence[_Arrival]) -> Recorded:
    """Close the fetch and record, in one statement; should the database refuse a value, one by one, so that one bad
    task stops no other."""
    try:
        return _run(fetch, arrivals)
    except DataError:
        return _store_each(fetch, arrivals)


@transaction.atomic
def _store_each(fetch: Announced, arrivals: Sequence[_Arrival]) -> Recorded:
    together = _run(fetch, [])
    if together.closed:
        return together
    for arrival in arrivals:
        try:
            with transaction.atomic():
                together.leased |= _run(fetch, [arrival], closes=False).leased
        except DataError as error:
            log.exception("task.unstorable", external_id=arrival.task.id)
            together.unstorable[arrival.task.id] = str(error)
    return together


def _run(fetch: Announced, arrivals: Sequence[_Arrival], *, closes: bool = True) -> Recorded:
    text = storable([arrival.row() for arrival in arrivals])
    rows = sql.query(
        _RECORD if closes else _RECORD_MORE,
        [
            *([fetch.number] if closes else []),
            text,
            fetch.engine_id,
            fetch.engine_id,
            fetch.worker_id,
            fetch.number,
            fetch.process_id,
            fetch.started_at,
        ],
    )
    given = {row.id for row in rows}
    leased = {arrival.task.id: arrival.lease_id for arrival in arrivals if arrival.lease_id in given}
    return Recorded(leased=leased, closed=closes and None not in given, characters=len(text))


_OF_ENGINES = {
    "found": "t.engine_id = %s",
    "columns": "engine_id",
    "values": "%s",
    "conflict": "(engine_id, external_id)",
    "begun": "%s::timestamptz",
}
_CLOSED = f"""closed AS (
    UPDATE tasks_fetch SET closed_at = now(), closed_as = '{Fetch.End.ANSWERED}' WHERE id = %s AND closed_at IS NULL
    RETURNING id
), """

_RECORD = f"""{lease_statement(**_OF_ENGINES, before=_CLOSED, only_if="EXISTS (SELECT 1 FROM closed)")}
SELECT id FROM given UNION ALL SELECT NULL FROM closed
"""
# The row without an id says that the fetch was still open: nobody else has closed it, and it is ours to record.

_RECORD_MORE = lease_statement(**_OF_ENGINES) + "SELECT id FROM given"

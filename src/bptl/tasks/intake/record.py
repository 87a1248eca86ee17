"""The answer of a fetch becomes tasks and leases, in one statement that also ends the leases that they replace."""

from __future__ import annotations

import uuid
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DataError, transaction
from django.db.models.functions import Now

from bptl.connections.models import Mapping
from bptl.engines.base import Engine, EngineError, ExternalTask
from bptl.lib.json import storable
from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.tasks.intake.fetches import Announced
from bptl.tasks.lifecycle import LeaseEnd, Status, new_lease_cases
from bptl.tasks.models import Fetch
from bptl.tasks.wake import wake

log = get_logger(__name__)


@dataclass(slots=True)
class Recorded:
    """What became of an answer, as external ids: ``leased`` are ours now; ``refused`` are locked for us and must be
    given back; ``unstorable`` with the reason must be failed at the engine. ``closed`` means that the fetch was closed
    before its answer came: nothing was recorded, who closed it frees what it holds."""

    leased: dict[str, uuid.UUID] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    unstorable: dict[str, str] = field(default_factory=dict)
    closed: bool = False


def record(
    fetch: Announced, tasks: Sequence[ExternalTask], *, mappings: MappingOf[str, Mapping], engine: Engine
) -> Recorded:
    """Record the answer of a fetch; ``mappings`` by topic. Wakes workers for what there is to do.

    A task that still has a live lease here is taken over only when the engine, asked again, names this fetch's worker
    id: the order of answers is not the order of locks (design, rule 10).
    """
    arrivals = [_Arrival(task, mappings[task.topic]) for task in tasks]
    contested = _confirm(fetch, arrivals, engine)
    with transaction.atomic():
        closed = Fetch.objects.filter(id=fetch.number, closed_at=None).update(
            closed_at=Now(), closed_as=Fetch.End.ANSWERED
        )
        if not closed:
            log.warning("fetch.answered_too_late", fetch=fetch.number, worker_id=fetch.worker_id, tasks=len(tasks))
            return Recorded(closed=True)
        recorded = _store(fetch, [arrival for arrival in arrivals if arrival.task.id not in contested])
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
    lease_id: uuid.UUID = field(default_factory=uuid.uuid4)
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
    """One statement for all; should the database refuse a value, one by one, so that one bad task stops no other."""
    if not arrivals:
        return Recorded()
    try:
        with transaction.atomic():
            return Recorded(leased=_run(fetch, arrivals))
    except DataError as error:
        if len(arrivals) == 1:
            log.exception("task.unstorable", external_id=arrivals[0].task.id)
            return Recorded(unstorable={arrivals[0].task.id: str(error)})
    together = Recorded()
    for arrival in arrivals:
        one = _store(fetch, [arrival])
        together.leased |= one.leased
        together.unstorable |= one.unstorable
    return together


def _run(fetch: Announced, arrivals: Sequence[_Arrival]) -> dict[str, uuid.UUID]:
    rows = sql.query(
        _RECORD,
        [
            storable([arrival.row() for arrival in arrivals]),
            fetch.engine_id,
            fetch.engine_id,
            fetch.worker_id,
            fetch.number,
            fetch.process_id,
            fetch.started_at,
        ],
    )
    return {row.external_id: row.lease_id for row in rows}


def _case(column: str, *, keep: str, otherwise: str) -> str:
    """SQL that keeps ``column`` when the decision is not *queued* and clears it when it is."""
    return f"{column} = CASE WHEN s.decided = 'queued' THEN {otherwise} ELSE {keep} END"


def _decision() -> str:
    """The decision of a new lease as SQL over t (the row) and i (the arrival), made from the lifecycle."""
    known = "(t.outcome_id IS NOT NULL AND i.heard = t.outcome_id::text)"
    branches = " ".join(
        f"WHEN t.status = '{status}' AND t.outcome = '{outcome}' AND {'' if heard else 'NOT '}{known} THEN '{decided}'"
        for status, outcome, heard, decided in new_lease_cases()
    )
    return f"CASE {branches} END"


_COLUMNS = """topic, mapping_id, priority, engine_retries, variables, extension_properties, process_instance_id,
    process_definition_id, process_definition_key, execution_id, activity_id, activity_instance_id, business_key,
    tenant_id, created_at"""

_COPIED = ", ".join(f"{name.strip()} = s.{name.strip()}" for name in _COLUMNS.split(","))

_RECORD = f"""
WITH incoming AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS x(
        external_id text, lease_id uuid, replaces uuid, topic text, mapping_id bigint, lock_ms int, priority bigint,
        engine_retries int, heard text, variables jsonb, extension_properties jsonb, process_instance_id text,
        process_definition_id text, process_definition_key text, execution_id text, activity_id text,
        activity_instance_id text, business_key text, tenant_id text, created_at timestamptz,
        engine_locked_until timestamptz)
), seen AS (
    SELECT t.id, t.lease_id AS old_lease, {_decision()} AS decided, i.*,
        CASE WHEN t.status = '{Status.RUNNING}' AND EXISTS (
            SELECT 1 FROM tasks_lease l JOIN tasks_process p ON p.id = l.holder_id WHERE l.id = t.lease_id
            AND (p.stopped_at IS NOT NULL OR p.heartbeat_at < now() - interval '15 seconds')
        ) THEN 1 ELSE 0 END AS crashed
    FROM tasks_task t JOIN incoming i ON i.external_id = t.external_id
    WHERE t.engine_id = %s
    ORDER BY t.id FOR UPDATE OF t
), renewed AS (
    UPDATE tasks_task t SET
        status = s.decided, {_COPIED},
        {_case("outcome", keep="t.outcome", otherwise="''")},
        {_case("outcome_id", keep="t.outcome_id", otherwise="NULL")},
        {_case("result", keep="t.result", otherwise="NULL")},
        {_case("report_tries", keep="t.report_tries", otherwise="0")},
        {_case("report_error", keep="t.report_error", otherwise="''")},
        {_case("by_hand", keep="t.by_hand", otherwise="false")},
        next_report_at = CASE WHEN s.decided IN ('{Status.PERFORMED}', '{Status.UNCERTAIN}') THEN now() END,
        report_refusals = 0, reporter_id = NULL, parked = false, assumed = false, look_at = NULL, retry_at = NULL,
        offer_due = false,
        lease_id = s.lease_id, last_lease_id = s.lease_id, attempts = t.attempts + 1, changed_at = now(),
        crashes = t.crashes + s.crashed
    FROM seen s
    WHERE t.id = s.id AND t.lease_id IS NOT DISTINCT FROM s.replaces AND t.lease_id IS NOT DISTINCT FROM s.old_lease
    RETURNING t.id, t.external_id, t.lease_id, t.attempts, s.old_lease, s.lock_ms, s.engine_locked_until
), replaced AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.SUPERSEDED}'
    FROM renewed r WHERE l.id = r.old_lease AND l.ended_at IS NULL
    RETURNING l.id
), added AS (
    INSERT INTO tasks_task (engine_id, external_id, {_COLUMNS}, status, outcome, lease_id, last_lease_id,
        attempts, by_hand, report_tries, report_refusals, report_error, parked, assumed, offer_due, crashes)
    SELECT %s, i.external_id, {_COLUMNS}, '{Status.QUEUED}', '', i.lease_id, i.lease_id,
        1, false, 0, 0, '', false, false, false, 0
    FROM incoming i WHERE NOT EXISTS (SELECT 1 FROM seen s WHERE s.external_id = i.external_id)
    ON CONFLICT (engine_id, external_id) DO NOTHING
    RETURNING id, external_id, lease_id, attempts
), leased AS (
    SELECT id, external_id, lease_id, attempts, lock_ms, engine_locked_until FROM renewed
    UNION ALL
    SELECT a.id, a.external_id, a.lease_id, a.attempts, i.lock_ms, i.engine_locked_until
    FROM added a JOIN incoming i USING (external_id)
)
INSERT INTO tasks_lease (id, task_id, number, worker_id, fetch_number, holder_id, lock_ms, locked_until,
    engine_locked_until, extensions, recorded_at, outcome, ended_as)
SELECT l.lease_id, l.id, l.attempts, %s, %s, %s, l.lock_ms, %s::timestamptz + l.lock_ms * interval '1 ms',
    l.engine_locked_until, 0, now(), '', ''
FROM leased l
WHERE (SELECT count(*) FROM replaced) >= 0  -- the old leases end before the new ones begin
RETURNING id AS lease_id, (SELECT external_id FROM leased WHERE leased.lease_id = tasks_lease.id) AS external_id
"""

"""The one statement that gives a new lease: of what a fetch brought, and of what a caller of the REST API asks for.

It decides by the lifecycle what a new lease makes of a known task, and ends the lease that it replaces.
"""

from __future__ import annotations

from bptl.tasks.lifecycle import LeaseEnd, Status, new_lease_cases


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


def lease_statement(
    *, found: str, columns: str, values: str, conflict: str, begun: str, before: str = "", only_if: str = "true"
) -> str:
    """The statement, with the parts that tell tasks of engines from those of callers.

    ``found`` is the condition on t (tasks_task) by which known tasks are found beside their external id; ``columns``
    and ``values`` are what a new row has beside the columns of every task; ``conflict`` is the unique index;
    ``begun`` the time from which locks are reckoned; ``before`` common table expressions that come first, ``only_if`` a
    condition on them without which nothing arrives. Parameters: those of ``before``, the arrivals as JSON, those of
    ``found``, those of ``values``, worker id, number of the fetch, holder, those of ``begun``.

    It ends with the common table expression ``given``, whose ``id`` are the new leases; the reading follows.
    """
    return f"""
WITH {before}incoming AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS x(
        external_id text, lease_id uuid, replaces uuid, topic text, mapping_id bigint, lock_ms int, priority bigint,
        engine_retries int, heard text, variables jsonb, extension_properties jsonb, process_instance_id text,
        process_definition_id text, process_definition_key text, execution_id text, activity_id text,
        activity_instance_id text, business_key text, tenant_id text, created_at timestamptz,
        engine_locked_until timestamptz)
    WHERE {only_if}
), seen AS (
    SELECT t.id, t.lease_id AS old_lease, {_decision()} AS decided, i.*,
        CASE WHEN t.status = '{Status.RUNNING}' AND EXISTS (
            SELECT 1 FROM tasks_lease l JOIN tasks_process p ON p.id = l.holder_id WHERE l.id = t.lease_id
            AND (p.stopped_at IS NOT NULL OR p.heartbeat_at < now() - interval '15 seconds')
        ) THEN 1 ELSE 0 END AS crashed
    FROM tasks_task t JOIN incoming i ON i.external_id = t.external_id
    WHERE {found} AND t.external_id = ANY(ARRAY(SELECT external_id FROM incoming))
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
        next_report_at = CASE WHEN s.decided IN ('{Status.PERFORMED}', '{Status.UNCERTAIN}', '{Status.WAITING}')
            THEN now() END,
        report_refusals = 0, reporter_id = NULL, parked = false, assumed = false, look_at = NULL, retry_at = NULL,
        offer_due = false,
        lease_id = s.lease_id, last_lease_id = s.lease_id, attempts = t.attempts + 1, changed_at = now(),
        crashes = t.crashes + s.crashed
    FROM seen s
    WHERE t.id = s.id AND t.lease_id IS NOT DISTINCT FROM s.replaces AND t.lease_id IS NOT DISTINCT FROM s.old_lease
    RETURNING t.id, t.external_id, t.lease_id, t.attempts, s.old_lease, s.lock_ms, s.engine_locked_until
), replaced AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.SUPERSEDED}'
    WHERE l.id = ANY(ARRAY(SELECT old_lease FROM renewed)) AND l.ended_as = ''
    RETURNING l.id
), added AS (
    INSERT INTO tasks_task ({columns}, external_id, {_COLUMNS}, status, outcome, lease_id, last_lease_id,
        attempts, by_hand, report_tries, report_refusals, report_error, parked, assumed, offer_due, crashes)
    SELECT {values}, i.external_id, {_COLUMNS}, '{Status.QUEUED}', '', i.lease_id, i.lease_id,
        1, false, 0, 0, '', false, false, false, 0
    FROM incoming i WHERE NOT EXISTS (SELECT 1 FROM seen s WHERE s.external_id = i.external_id)
    ON CONFLICT {conflict} DO NOTHING
    RETURNING id, external_id, lease_id, attempts
), leased AS (
    SELECT id, external_id, lease_id, attempts, lock_ms, engine_locked_until FROM renewed
    UNION ALL
    SELECT a.id, a.external_id, a.lease_id, a.attempts, i.lock_ms, i.engine_locked_until
    FROM added a JOIN incoming i USING (external_id)
), given AS (
    INSERT INTO tasks_lease (id, task_id, number, worker_id, fetch_number, holder_id, lock_ms, locked_until,
        engine_locked_until, extensions, recorded_at, outcome, ended_as)
    SELECT l.lease_id, l.id, l.attempts, %s, %s, %s, l.lock_ms, {begun} + l.lock_ms * interval '1 ms',
        l.engine_locked_until, 0, now(), '', ''
    FROM leased l
    WHERE (SELECT count(*) FROM replaced) >= 0  -- the old leases end before the new ones begin
    RETURNING id
)
"""

"""The outbox: which reports are due, who sends them, and what their answers do to the rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction

from bptl.lib.json import storable
from bptl.lib.log import get_logger
from bptl.tasks import effects, metrics, sql
from bptl.tasks.delivery.report import Answer, Report, Verdict
from bptl.tasks.lifecycle import MOVES, LeaseEnd, Move, Outcome, Status

log = get_logger(__name__)

REFUSAL_WAITS = tuple(timedelta(seconds=seconds) for seconds in (1, 5, 20, 60))
"""The plan of reports: an outcome that the engine tried and refused is reported after these waits, then parked."""

LATER_WAITS = tuple(timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 5, 10))
"""Waits while the engine gives no usable answer; the last one repeats as long as it takes."""

_PERFORMED = MOVES[Move.DELIVER].statuses[0]

_TAKE = f"""
WITH picked AS (
    SELECT t.id, t.lease_id FROM tasks_task t
    WHERE t.status = '{_PERFORMED}' AND NOT t.parked AND t.next_report_at <= now()
      AND (t.reporter_id = %s OR (t.reporter_id IS NULL AND (t.lease_id IS NOT NULL OR t.by_hand)))
      AND EXISTS (SELECT 1 FROM tasks_process p WHERE p.id = %s AND p.stopped_at IS NULL)
    ORDER BY t.next_report_at LIMIT %s FOR UPDATE OF t SKIP LOCKED
), taken AS (
    UPDATE tasks_task t SET reporter_id = %s, report_tries = t.report_tries + 1,
        next_report_at = now() + interval '1 minute'
    FROM picked WHERE t.id = picked.id
    RETURNING t.id, t.engine_id, t.external_id, t.topic, t.last_lease_id, t.lease_id, t.outcome_id, t.outcome, t.result,
        t.report_tries, t.report_refusals
), held AS (
    UPDATE tasks_lease l SET holder_id = %s FROM taken WHERE l.id = taken.lease_id AND l.ended_at IS NULL
)
SELECT taken.*, l.worker_id FROM taken JOIN tasks_lease l ON l.id = taken.last_lease_id
"""
# Without a live lease only what a person decided is reported, under the last lease, while the engine allows it.


def take_due(process_id: uuid.UUID, *, maximum: int = 64) -> list[Report]:
    """Take over reports that are due: our own to repeat, and those of a fresh lease that nobody reports yet.

    The statement that takes them over names the reporter and counts the try (design, rule 1).
    """
    rows = sql.query(_TAKE, [process_id, process_id, maximum, process_id, process_id])
    return [
        Report(
            task_id=row.id,
            engine_id=row.engine_id,
            external_id=row.external_id,
            topic=row.topic,
            lease_id=row.last_lease_id,
            worker_id=row.worker_id,
            outcome_id=row.outcome_id,
            outcome=Outcome(row.outcome),
            result=row.result,
            tries=row.report_tries,
            refusals=row.report_refusals,
            by_author=False,
        )
        for row in rows
    ]


_DELIVERED = f"""
WITH incoming AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS x(task_id bigint, lease_id uuid, outcome_id uuid, assumed boolean)
), seen AS (
    SELECT t.id, t.lease_id AS live, i.lease_id, i.assumed FROM tasks_task t JOIN incoming i ON i.task_id = t.id
    WHERE t.id = ANY(%s) AND t.status = '{_PERFORMED}' AND t.outcome_id = i.outcome_id
    ORDER BY t.id FOR UPDATE OF t
), moved AS (
    UPDATE tasks_task t SET status = '{MOVES[Move.DELIVER].target}', lease_id = NULL, reporter_id = NULL,
        next_report_at = NULL, parked = false, look_at = NULL, assumed = seen.assumed, changed_at = now(),
        retry_at = CASE WHEN t.outcome = 'failed' AND (t.result->>'retries')::int > 0 AND NOT seen.assumed
            THEN now() + (t.result->>'wait_ms')::bigint * interval '1 ms' END
    FROM seen WHERE t.id = seen.id
    RETURNING t.id
)
UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.DELIVERED}'
WHERE l.id = ANY(ARRAY(SELECT live FROM seen UNION ALL SELECT lease_id FROM seen)) AND l.ended_as = ''
"""
# Not fenced by the lease: a 204 is proof wherever the stored outcome is the one that was sent. retry_at: the engine
# began to wait before it answered, so by then its wait is over.

_LOST = f"""
WITH moved AS (
    UPDATE tasks_task t SET status = '{Status.LOST}', lease_id = NULL, reporter_id = NULL, next_report_at = NULL,
        look_at = NULL, changed_at = now()
    WHERE t.id = %s AND t.status = '{_PERFORMED}' AND t.outcome_id = %s AND t.last_lease_id = %s
    RETURNING t.id
), ended AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.LOST}'
    FROM moved WHERE l.id = %s AND l.ended_at IS NULL
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, %s, 'task.lost', '', %s::jsonb FROM moved
RETURNING task_id
"""

_ENDED = f"""
WITH moved AS (
    UPDATE tasks_task t SET lease_id = NULL, reporter_id = NULL, next_report_at = NULL, by_hand = false,
        report_error = %s, look_at = now(), changed_at = now()
    WHERE t.id = %s AND t.status = '{_PERFORMED}' AND t.outcome_id = %s AND t.last_lease_id = %s
    RETURNING t.id
), ended AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.REFUSED}'
    FROM moved WHERE l.id = %s AND l.ended_at IS NULL
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, %s, 'lease.refused', '', %s::jsonb FROM moved
"""

_AGAIN = f"""
WITH moved AS (
    UPDATE tasks_task t SET next_report_at = now() + %s, report_refusals = t.report_refusals + %s, report_error = %s
    WHERE t.id = %s AND t.status = '{_PERFORMED}' AND t.outcome_id = %s AND t.reporter_id = %s
    RETURNING t.id, t.report_refusals
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, %s, 'report.refused', '', %s::jsonb FROM moved WHERE %s
"""

_PARKED = f"""
WITH moved AS (
    UPDATE tasks_task t SET parked = true, next_report_at = NULL, reporter_id = NULL, report_error = %s,
        look_at = now() + interval '30 seconds', changed_at = now()
    WHERE t.id = %s AND t.status = '{_PERFORMED}' AND t.outcome_id = %s AND t.reporter_id = %s
    RETURNING t.id
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, %s, 'task.parked', '', %s::jsonb FROM moved
"""


def delivered(verdicts: Iterable[Verdict]) -> None:
    """Note a group of reports that the engine took, or must have taken."""
    rows = [
        {
            "task_id": verdict.report.task_id,
            "lease_id": str(verdict.report.lease_id),
            "outcome_id": str(verdict.report.outcome_id),
            "assumed": verdict.answer is Answer.ASSUMED,
        }
        for verdict in verdicts
    ]
    if rows:
        sql.query(_DELIVERED, [storable(rows), [row["task_id"] for row in rows]])


def settle(process_id: uuid.UUID, verdict: Verdict) -> bool:
    """Note one answer that did not deliver.

    True when the plan of reports is used up: the caller parks the task at the engine and calls ``parked``.
    """
    report, reason, refusals = verdict.report, verdict.reason, verdict.report.refusals
    detail = storable({"reason": reason, "try": report.tries})
    log.warning("report.not_taken", task_id=report.task_id, answer=verdict.answer, reason=reason, tries=report.tries)
    match verdict.answer:
        case Answer.LOST:
            params = [report.task_id, report.outcome_id, report.lease_id, report.lease_id, report.lease_id, detail]
            if sql.query(_LOST, params):
                metrics.LOST.add(metrics.engine(report.engine_id), report.topic)
        case Answer.LEASE_ENDED:
            sql.query(
                _ENDED,
                [reason, report.task_id, report.outcome_id, *[report.lease_id] * 3, detail],
            )
        case Answer.UNACCEPTABLE:
            return True
        case Answer.REFUSED if refusals >= len(REFUSAL_WAITS):
            return True
        case Answer.REFUSED:
            _again(process_id, verdict, wait=REFUSAL_WAITS[refusals], refused=True, detail=detail)
        case Answer.LATER:
            wait = verdict.wait or LATER_WAITS[min(report.tries, len(LATER_WAITS)) - 1]
            _again(process_id, verdict, wait=wait, refused=False, detail=detail)
        case Answer.TAKEN | Answer.ASSUMED:
            delivered([verdict])
    return False


def parked(process_id: uuid.UUID, verdict: Verdict) -> None:
    """Note that the engine holds the task as an incident "work done, engine refuses"; the result is kept."""
    report = verdict.report
    detail = storable({"reason": verdict.reason})
    sql.query(_PARKED, [verdict.reason, report.task_id, report.outcome_id, process_id, report.lease_id, detail])


def _again(process_id: uuid.UUID, verdict: Verdict, *, wait: timedelta, refused: bool, detail: str) -> None:
    report = verdict.report
    sql.query(
        _AGAIN,
        [
            wait,
            int(refused),
            verdict.reason,
            report.task_id,
            report.outcome_id,
            process_id,
            report.lease_id,
            detail,
            refused,
        ],
    )


_UNCERTAIN = MOVES[Move.DOUBT].target

_TAKE_DOUBTS = f"""
WITH picked AS (
    SELECT t.id FROM tasks_task t
    WHERE t.status = '{_UNCERTAIN}' AND NOT t.parked AND t.lease_id IS NOT NULL AND t.next_report_at <= now()
      AND EXISTS (SELECT 1 FROM tasks_process p WHERE p.id = %s AND p.stopped_at IS NULL)
    ORDER BY t.next_report_at LIMIT %s FOR UPDATE OF t SKIP LOCKED
), taken AS (
    UPDATE tasks_task t SET report_tries = t.report_tries + 1, next_report_at = now() + interval '1 minute'
    FROM picked WHERE t.id = picked.id
    RETURNING t.id, t.engine_id, t.external_id, t.topic, t.lease_id, t.report_tries, t.report_error
)
SELECT taken.*, l.worker_id FROM taken JOIN tasks_lease l ON l.id = taken.lease_id
"""


def take_doubts(process_id: uuid.UUID, *, maximum: int = 64) -> list[Report]:
    """Uncertain tasks that the engine must hear of as incidents, so that nobody fetches them; any process may do it."""
    rows = sql.query(_TAKE_DOUBTS, [process_id, maximum])
    return [
        Report(
            task_id=row.id,
            engine_id=row.engine_id,
            external_id=row.external_id,
            topic=row.topic,
            lease_id=row.lease_id,
            worker_id=row.worker_id,
            outcome_id=row.lease_id,
            outcome=Outcome.FAILED,
            result={
                "message": f"uncertain, a person must decide: {row.report_error}",
                "details": "An effect may have happened and nobody can be asked. See the task's effects in BPTL.",
                "retries": 0,
                "wait_ms": 0,
            },
            tries=row.report_tries,
            refusals=0,
            by_author=False,
            doubt=True,
        )
        for row in rows
    ]


_DOUBT_PARKED = f"""
UPDATE tasks_task SET parked = true, next_report_at = NULL, changed_at = now()
WHERE id = %s AND status = '{_UNCERTAIN}' AND lease_id = %s
"""

_DOUBT_LEASE_ENDED = f"""
WITH moved AS (
    UPDATE tasks_task t SET lease_id = NULL, next_report_at = NULL, changed_at = now()
    WHERE t.id = %s AND t.status = '{_UNCERTAIN}' AND t.lease_id = %s
    RETURNING t.id
)
UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.REFUSED}'
FROM moved WHERE l.task_id = moved.id AND l.ended_at IS NULL
"""

_DOUBT_LATER = f"""
UPDATE tasks_task SET next_report_at = now() + %s WHERE id = %s AND status = '{_UNCERTAIN}' AND lease_id = %s
"""


def settle_doubt(verdict: Verdict) -> None:
    """Note what the engine said to the parking of an uncertain task. Gone there or not, a person is asked."""
    report = verdict.report
    match verdict.answer:
        case Answer.TAKEN | Answer.ASSUMED | Answer.LOST:
            _settle_doubt(_DOUBT_PARKED, report)
        case Answer.LEASE_ENDED:
            _settle_doubt(_DOUBT_LEASE_ENDED, report)
        case _:
            wait = verdict.wait or LATER_WAITS[min(report.tries, len(LATER_WAITS)) - 1]
            sql.query(_DOUBT_LATER, [wait, report.task_id, report.lease_id])
            log.warning("task.not_parked", task_id=report.task_id, reason=verdict.reason)


def _settle_doubt(statement: str, report: Report) -> None:
    # Together: killed in between, it would be parked with nothing left to ask, and nobody would move it.
    with transaction.atomic():
        sql.query(statement, [report.task_id, report.lease_id])
        effects.offer_when_answered(report.task_id, answered=False)

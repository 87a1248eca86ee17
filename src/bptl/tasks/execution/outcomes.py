"""How a run ended, and its storing: committed before anything is reported (design, rule 2)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bptl.lib.json import storable, storable_text
from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.tasks.callbacks import Wanted
from bptl.tasks.endings import Ending
from bptl.tasks.lifecycle import MOVES, Move, Outcome

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A run that ended without an outcome: an effect may have happened and only a person can say."""

    reason: str


HAND_BACK = timedelta(seconds=10)
"""So long a task that met an outage stays locked before it is offered again: nothing that is fetched still may spin."""


@dataclass(frozen=True, slots=True)
class HandedBack:
    """A run that met a service or an engine that is down: its task goes back to the engine, and no retry is spent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """One ended run: its task, its lease, its ending, and the callback that follows when it is completed."""

    task_id: int
    lease_id: uuid.UUID
    ending: Ending
    callback: Wanted | None = None


_RULE = MOVES[Move.PERFORM]

_CALLBACKS = """, asked AS (
    INSERT INTO tasks_callback (task_id, outcome_id, url, place, state, error, next_try_at, ended_at)
    SELECT i.task_id, i.lease_id, i.callback->>'url', i.callback->>'place', i.callback->>'state', i.callback->>'error',
        CASE WHEN i.callback->>'error' = '' THEN now() END, CASE WHEN i.callback->>'error' <> '' THEN now() END
    FROM incoming i WHERE i.callback IS NOT NULL AND i.lease_id = ANY(ARRAY(SELECT lease_id FROM stored))
    ON CONFLICT (task_id, outcome_id) DO NOTHING
)"""


def _store(callbacks: str = "", *, callback: str = "") -> str:
    return f"""
WITH incoming AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
        AS x(task_id bigint, lease_id uuid, outcome text, result jsonb, error jsonb, error_group text, crashes int,
            quarantined boolean{callback})
), stored AS (
    UPDATE tasks_task t SET status = '{_RULE.target}', outcome = i.outcome, outcome_id = i.lease_id,
        result = i.result, error_group = i.error_group, reporter_id = %s, report_tries = 1, report_refusals = 0,
        report_error = '', next_report_at = now() + interval '1 minute', changed_at = now(),
        crashes = t.crashes + CASE WHEN t.status = '{_RULE.statuses[0]}' THEN i.crashes ELSE 0 END,
        quarantined_at = CASE WHEN i.quarantined THEN now() END
    FROM incoming i
    WHERE t.id = ANY(%s) AND t.id = i.task_id AND t.lease_id = i.lease_id AND (t.status = '{_RULE.statuses[0]}'
        OR (t.status = '{_RULE.target}' AND t.outcome_id = i.lease_id AND t.reporter_id = %s AND t.report_tries = 1
            AND t.outcome = i.outcome AND t.result = i.result))
    RETURNING t.lease_id
), marked AS (
    UPDATE tasks_lease l SET performed_at = now(), outcome = i.outcome, error = i.error
    FROM incoming i WHERE l.id = ANY(ARRAY(SELECT lease_id FROM stored)) AND l.id = i.lease_id
    RETURNING l.id
){callbacks}
SELECT id FROM marked
"""


_STORE = _store()
_STORE_WITH_CALLBACKS = _store(_CALLBACKS, callback=", callback jsonb")
# report_tries = 1: the statement that stores the outcome also says that its first report has begun. next_report_at is
# pushed while that report is under way; the reporter sets it again when it knows more. The last line lets the same
# group be stored again when the database took it and was gone before it said so.


def store(process_id: uuid.UUID, endings: Sequence[Ended]) -> set[uuid.UUID]:
    """Commit a group of outcomes, with the callbacks that follow them, and name this process their reporter.

    Answers the leases whose outcome was taken.
    An outcome whose lease has ended is refused here and never reported: somebody else may hold the task.
    """
    if not endings:
        return set()
    rows = [_row(ended) for ended in endings]
    statement = _STORE_WITH_CALLBACKS if any("callback" in row for row in rows) else _STORE
    taken = {
        row.id
        for row in sql.query(statement, [storable(rows), process_id, [ended.task_id for ended in endings], process_id])
    }
    for ended in endings:
        if ended.lease_id not in taken:
            log.warning("outcome.refused", task_id=ended.task_id, lease=str(ended.lease_id))
    return taken


def _row(ended: Ended) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task_id": ended.task_id,
        "lease_id": str(ended.lease_id),
        "outcome": ended.ending.outcome,
        "result": ended.ending.result,
        "error": ended.ending.error,
        "error_group": ended.ending.error_group,
        "crashes": int(ended.ending.wrote_off),
        "quarantined": ended.ending.quarantined,
    }
    if (asked := ended.callback) is not None and ended.ending.outcome is Outcome.COMPLETED:
        row["callback"] = {"url": asked.url, "place": asked.place, "state": asked.state, "error": asked.fault}
    return row


_DOUBTFUL = MOVES[Move.DOUBT]

_DOUBT = f"""
WITH moved AS (
    UPDATE tasks_task t SET status = '{_DOUBTFUL.target}', reporter_id = NULL, parked = false, report_tries = 0,
        report_error = %s, next_report_at = now(), changed_at = now()
    WHERE t.id = %s AND t.lease_id = %s AND t.status = '{_DOUBTFUL.statuses[0]}'
    RETURNING t.id, t.lease_id
), marked AS (
    UPDATE tasks_lease l SET performed_at = now(), error = %s::jsonb FROM moved WHERE l.id = moved.lease_id
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, lease_id, 'task.uncertain', '', %s::jsonb FROM moved
RETURNING task_id
"""


def doubt(task_id: int, lease_id: uuid.UUID, reason: str) -> bool:
    """Commit that a run left an effect open: the task is parked at the engine and a person decides. False when the
    lease has ended meanwhile."""
    reason = storable_text(reason)
    text = storable({"message": reason})
    taken = bool(sql.query(_DOUBT, [reason, task_id, lease_id, text, text]))
    if not taken:
        log.warning("outcome.refused", task_id=task_id, lease=str(lease_id))
    return taken

"""How a run ended, and its storing: committed before anything is reported (design, rule 2)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bptl.lib.json import storable, storable_text
from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.tasks.error_groups import group_of
from bptl.tasks.lifecycle import MOVES, Move, Outcome
from bptl.tasks.retries import Retry

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of one run with what will be reported: JSON that rows keep.

    completed: ``variables`` (wire form). failed: ``message``, ``details``, ``retries``, ``wait_ms``, ``unit``.
    thrown: ``code``, ``message``, ``variables``, ``catcher``. ``error_group`` is that of a failure.
    """

    outcome: Outcome
    result: Mapping[str, Any]
    error_group: str = ""

    @classmethod
    def completed(cls, variables: Mapping[str, Any]) -> Ending:
        """The work is done; ``variables`` in wire form."""
        return cls(Outcome.COMPLETED, {"variables": dict(variables)})

    @classmethod
    def failed(cls, message: str, details: str, retry: Retry, *, unit: str = "") -> Ending:
        """The work failed; ``retry`` says whether and when again, ``unit`` what ran, as far as that is known."""
        wait_ms = int(retry.wait / timedelta(milliseconds=1))
        result = {"message": message, "details": details, "retries": retry.left, "wait_ms": wait_ms, "unit": unit}
        return cls(Outcome.FAILED, result, group_of(unit, message).key)

    @classmethod
    def thrown(cls, code: str, message: str, variables: Mapping[str, Any], *, catcher: str) -> Ending:
        """A BPMN error; ``catcher`` says what is known of who catches it."""
        result = {"code": code, "message": message, "variables": dict(variables), "catcher": catcher}
        return cls(Outcome.THROWN, result)

    @property
    def error(self) -> dict[str, Any] | None:
        """What the lease's row remembers of a run that did not complete."""
        if self.outcome is Outcome.COMPLETED:
            return None
        return {key: value for key, value in self.result.items() if key != "variables"}


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
    """One ended run: its task, its lease, its ending."""

    task_id: int
    lease_id: uuid.UUID
    ending: Ending


_RULE = MOVES[Move.PERFORM]

_STORE = f"""
WITH incoming AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
        AS x(task_id bigint, lease_id uuid, outcome text, result jsonb, error jsonb, error_group text)
), stored AS (
    UPDATE tasks_task t SET status = '{_RULE.target}', outcome = i.outcome, outcome_id = i.lease_id,
        result = i.result, error_group = i.error_group, reporter_id = %s, report_tries = 1, report_refusals = 0,
        report_error = '', next_report_at = now() + interval '1 minute', changed_at = now()
    FROM incoming i
    WHERE t.id = ANY(%s) AND t.id = i.task_id AND t.lease_id = i.lease_id AND (t.status = '{_RULE.statuses[0]}'
        OR (t.status = '{_RULE.target}' AND t.outcome_id = i.lease_id AND t.reporter_id = %s AND t.report_tries = 1
            AND t.outcome = i.outcome AND t.result = i.result))
    RETURNING t.lease_id
), marked AS (
    UPDATE tasks_lease l SET performed_at = now(), outcome = i.outcome, error = i.error
    FROM incoming i WHERE l.id = ANY(ARRAY(SELECT lease_id FROM stored)) AND l.id = i.lease_id
    RETURNING l.id
)
SELECT id FROM marked
"""
# report_tries = 1: the statement that stores the outcome also says that its first report has begun. next_report_at is
# pushed while that report is under way; the reporter sets it again when it knows more. The last line lets the same
# group be stored again when the database took it and was gone before it said so.


def store(process_id: uuid.UUID, endings: Sequence[Ended]) -> set[uuid.UUID]:
    """Commit a group of outcomes and name this process their reporter. Answers the leases whose outcome was taken.

    An outcome whose lease has ended is refused here and never reported: somebody else may hold the task.
    """
    if not endings:
        return set()
    rows = [
        {
            "task_id": ended.task_id,
            "lease_id": str(ended.lease_id),
            "outcome": ended.ending.outcome,
            "result": ended.ending.result,
            "error": ended.ending.error,
            "error_group": ended.ending.error_group,
        }
        for ended in endings
    ]
    taken = {
        row.id
        for row in sql.query(_STORE, [storable(rows), process_id, [ended.task_id for ended in endings], process_id])
    }
    for ended in endings:
        if ended.lease_id not in taken:
            log.warning("outcome.refused", task_id=ended.task_id, lease=str(ended.lease_id))
    return taken


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

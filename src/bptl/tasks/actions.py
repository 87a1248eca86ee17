"""What a person does to a task: recorded with who and why, refused where the lifecycle refuses it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.db import transaction

from bptl.connections import engines
from bptl.connections.models import Mapping as TopicMapping
from bptl.engines.base import Engine, EngineError, LockRefused
from bptl.engines.variables import encode_all
from bptl.lib.json import storable
from bptl.tasks import callbacks, effects, leases, sql
from bptl.tasks.error_groups import group_of
from bptl.tasks.lifecycle import MOVES, LeaseEnd, Move, Outcome, Status, TransitionRefused, allowed
from bptl.tasks.models import Effect, Event, Lease, Task
from bptl.tasks.wake import wake


class ActionRefused(Exception):
    """What was asked makes no sense for the task as it is now; ``reason`` says what would."""

    def __init__(self, task_id: int, reason: str) -> None:
        self.task_id = task_id
        self.reason = reason
        super().__init__(f"task {task_id}: {reason}")


_CALLED = "no engine offers it: its caller repeats the call with Idempotency-Key %s"


def retry(task_id: int, *, variables: Mapping[str, Any] | None = None, actor: str, reason: str) -> None:
    """Let the engine offer a failed task now: the next lease runs its unit again.

    An incident gets one retry; a task that waits for its next retry is offered at once. ``variables`` (Python values)
    are set at the engine before that: those that are local to the activity there, the others at the process instance.
    Raises ActionRefused unless the task is delivered (failed), UnsendableValue for a variable that no engine takes,
    EngineError when the engine does not do it: what it had set until then stays set.
    """
    wire = encode_all(variables or {})
    task = Task.objects.select_related("engine").get(id=task_id)
    if (task.status, task.outcome) != (Status.DELIVERED, Outcome.FAILED):
        raise ActionRefused(task_id, f"only a failed task is tried again, this one is {_where(task)}")
    if task.engine is None:
        raise ActionRefused(task_id, _CALLED % task.external_id)
    detail = {"variables": sorted(wire)} if wire else {}
    with transaction.atomic():
        waiting = Task.objects.filter(id=task_id, status=task.status, outcome=task.outcome)
        if not waiting.update(crashes=0, quarantined_at=None):
            raise ActionRefused(task_id, "it has moved on meanwhile")
        _note(task, "task.retried", actor=actor, reason=reason, **detail)
    engine = _engine(task)
    try:
        if wire:
            engine.set_variables(task.process_instance_id, wire, execution_id=task.execution_id or None)
        _offer(task, engine)
    except EngineError as error:
        _note(task, "task.retry_refused", actor=actor, reason=str(error))
        raise
    leases.offered(task_id)


def _offer(task: Task, engine: Engine) -> None:
    if engine.get(task.external_id).retries == 0:
        engine.set_retries(task.external_id, 1)
        return
    last = Lease.objects.get(id=task.last_lease_id)
    # A refusal means that its wait is over already: any fetch can have it.
    with suppress(LockRefused):
        engine.extend(task.external_id, worker_id=last.worker_id, duration=leases.GIVE_BACK)


_DELIVER_AGAIN = f"""
UPDATE tasks_task SET parked = false, reporter_id = NULL, report_refusals = 0,
    next_report_at = CASE WHEN lease_id IS NOT NULL OR by_hand THEN now() END,
    look_at = CASE WHEN lease_id IS NULL THEN now() END, changed_at = now()
WHERE id = %s AND status = '{Status.PERFORMED}' AND (parked OR lease_id IS NULL)
RETURNING lease_id
"""


def deliver_again(task_id: int, *, actor: str, reason: str) -> None:
    """Report a stored outcome again; the work is not repeated. Under its live lease, else under the next one.

    Raises ActionRefused unless the task is performed and nobody is reporting it; also for a call of the REST API, whose
    stored outcome only its caller can fetch.
    """
    task = Task.objects.select_related("engine").get(id=task_id)
    if task.engine is None:
        raise ActionRefused(task_id, _CALLED % task.external_id)
    with transaction.atomic():
        rows = sql.query(_DELIVER_AGAIN, [task_id])
        if not rows:
            raise ActionRefused(
                task_id, f"only a parked or lease-less result is delivered again, this task is {_where(task)}"
            )
        _note(task, "task.delivered_again", actor=actor, reason=reason)
    if rows[0].lease_id is None:
        _engine(task).set_retries(task.external_id, 1)
        leases.offered(task_id)
    wake()


_COMPLETE = f"""
UPDATE tasks_task SET status = '{MOVES[Move.COMPLETE_BY_HAND].target}', outcome = '{Outcome.COMPLETED}',
    outcome_id = %s, result = %s::jsonb, error_group = '', by_hand = true, reporter_id = NULL,
    report_tries = 0, report_refusals = 0, report_error = '', next_report_at = now(), look_at = NULL, assumed = false,
    parked = false, changed_at = now()
WHERE id = %s AND status = %s AND outcome = %s
RETURNING id
"""


def complete_by_hand(task_id: int, variables: Mapping[str, Any], *, actor: str, reason: str) -> None:
    """Say that the work of a task is done, with these variables (Python values); its unit is not run again, and the
    callback that the task asks for follows.

    Reported under the last lease while the engine allows it, else under the next one. Raises TransitionRefused where
    the lifecycle does not allow it, UnsendableValue for a variable that no engine takes.
    """
    wire = {name: variable.to_json() for name, variable in encode_all(variables).items()}
    task = Task.objects.get(id=task_id)
    move = Move.COMPLETE_BY_HAND
    outcome_id = uuid.uuid4()
    with transaction.atomic():
        rows = (
            sql.query(_COMPLETE, [outcome_id, storable({"variables": wire}), task_id, task.status, task.outcome])
            if allowed(move, Status(task.status), Outcome(task.outcome))
            else []
        )
        if not rows:
            raise TransitionRefused(move, task_id=task_id, status=task.status, outcome=task.outcome)
        asked = callbacks.wanted(task.variables) if task.engine_id is not None else None
        if asked is not None:
            callbacks.ask(task_id, outcome_id, asked)
        _note(task, "task.completed_by_hand", actor=actor, reason=reason, variables=sorted(variables))
    wake()


def settle_effect(effect_id: int, *, happened: bool, result: Any = None, actor: str, reason: str) -> bool:
    """Say what became of an open effect of an uncertain task: it happened (with this JSON result), or it did not.

    True when that was the last open one: the task is offered again and its next lease runs the unit, which finds the
    ledger. Raises ActionRefused when nobody is asked (yet): the effect is not open, or its task not parked at the
    engine.
    """
    effect = Effect.objects.select_related("task").get(id=effect_id)
    task = effect.task
    if task.status != Status.UNCERTAIN or effect.end:
        raise ActionRefused(task.id, f"effect {effect.key!r} is not waiting for an answer, the task is {_where(task)}")
    if not task.parked and task.lease_id is not None:
        raise ActionRefused(task.id, "the engine does not know yet that it is parked; ask again in a moment")
    with transaction.atomic():
        if not effects.answer(effect_id, happened=happened, result=result, actor=actor):
            raise ActionRefused(task.id, f"effect {effect.key!r} was answered meanwhile")
        answer = "it happened" if happened else "it did not happen"
        _note(task, "effect.settled", actor=actor, reason=reason, effect=effect.key, answer=answer)
        return effects.offer_when_answered(task.id)


_GIVE_UP = f"""
WITH moved AS (
    UPDATE tasks_task t SET status = '{MOVES[Move.GIVE_UP].target}', outcome = '{Outcome.FAILED}', outcome_id = %s,
        result = %s::jsonb, error_group = %s, lease_id = NULL, reporter_id = NULL, next_report_at = NULL,
        parked = false, look_at = NULL, changed_at = now()
    WHERE t.id = %s AND t.status = '{MOVES[Move.GIVE_UP].statuses[0]}' AND (t.parked OR t.lease_id IS NULL)
    RETURNING t.id, t.last_lease_id
)
UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.DELIVERED}'
FROM moved WHERE l.id = moved.last_lease_id AND l.ended_at IS NULL
"""


def give_up(task_id: int, *, actor: str, reason: str) -> None:
    """Leave an uncertain task as the incident that it is at the engine.

    Raises TransitionRefused when it is not uncertain, ActionRefused when the engine does not hold it back yet.
    """
    task = Task.objects.get(id=task_id)
    if task.status == Status.UNCERTAIN and not task.parked and task.lease_id is not None:
        raise ActionRefused(task.id, "the engine does not know yet that it is parked; ask again in a moment")
    # Its unit is the mapping's of now: a doubt has kept no other.
    unit = TopicMapping.objects.filter(id=task.mapping_id or 0).values_list("unit", flat=True).first() or ""
    message = f"given up by {actor}: {reason}"
    result = {"message": message, "details": task.report_error, "retries": 0, "wait_ms": 0, "unit": unit}
    with transaction.atomic():
        sql.query(_GIVE_UP, [uuid.uuid4(), storable(result), group_of(unit, message).key, task_id])
        moved = Task.objects.get(id=task_id)
        if moved.status != Status.DELIVERED or task.status != Status.UNCERTAIN:
            raise TransitionRefused(Move.GIVE_UP, task_id=task_id, status=task.status, outcome=task.outcome)
        _note(moved, "task.given_up", actor=actor, reason=reason)


def hand_back(task_id: int, *, actor: str, reason: str) -> None:
    """End our lease on a queued or running task and let the engine offer it again; a running unit is cancelled.

    Raises TransitionRefused when it is neither.
    """
    task = Task.objects.select_related("engine").get(id=task_id)
    lease = Lease.objects.filter(task=task, ended_at=None).first()
    if lease is None or not allowed(Move.RETURN, Status(task.status), Outcome(task.outcome)):
        raise TransitionRefused(Move.RETURN, task_id=task_id, status=task.status, outcome=task.outcome)
    with transaction.atomic():
        if not leases.end([lease.id], how=LeaseEnd.GIVEN_BACK, reason=f"{actor}: {reason}"):
            task.refresh_from_db()
            raise TransitionRefused(Move.RETURN, task_id=task_id, status=task.status, outcome=task.outcome)
        _note(task, "task.handed_back", actor=actor, reason=reason)
    leases.give_back(task.external_id, worker_id=lease.worker_id, engine=_engine(task))


def possible(task: Task) -> tuple[str, ...]:
    """What a person may do to the task as it is now: retry, deliver_again, complete, give_up, hand_back; or answer in
    the place of whoever it waits for, or let it fail (``tasks.answering``)."""
    state = Status(task.status), Outcome(task.outcome)
    allowed_now = {
        "retry": state == (Status.DELIVERED, Outcome.FAILED) and task.engine_id is not None,
        "deliver_again": task.status == Status.PERFORMED
        and task.engine_id is not None
        and (task.parked or task.lease_id is None),
        "complete": allowed(Move.COMPLETE_BY_HAND, *state),
        "give_up": allowed(Move.GIVE_UP, *state) and (task.parked or task.lease_id is None),
        "answer": allowed(Move.ANSWER, *state),
        "fail": allowed(Move.ANSWER, *state),
        "hand_back": task.lease_id is not None and allowed(Move.RETURN, *state),
    }
    return tuple(name for name, yes in allowed_now.items() if yes)


def _engine(task: Task) -> Engine:
    return engines.client(task.engine)


def _where(task: Task) -> str:
    return f"{task.status} ({task.outcome})" if task.outcome else task.status


def _note(task: Task, name: str, *, actor: str, reason: str, **detail: Any) -> None:
    Event.objects.create(task=task, lease_id=task.lease_id, name=name, actor=actor, detail={"reason": reason, **detail})

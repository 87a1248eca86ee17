"""Addresses at which somebody outside completes a task: asked for, answered, used, or too late.

Every move locks the address first and its task after it, so that an answer, the unit's *pending* and the deadline come
one after the other, whoever is first (docs/adr/0029-answers-from-outside.md).
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from bptl.connections import mappings
from bptl.connections import secrets as at_rest
from bptl.lib.json import storable
from bptl.lib.log import get_logger
from bptl.tasks import callbacks, sql
from bptl.tasks.endings import Ending
from bptl.tasks.lifecycle import MOVES, Move, Outcome, Status
from bptl.tasks.models import Completion, Task
from bptl.tasks.retries import Retry, next_retry, plan_of
from bptl.work_units.contract import LeaseEnded

log = get_logger(__name__)

PREFIX = "bptl_completion_"
"""Begins every token, so that it is known, and masked, wherever it turns up (``lib.redaction``)."""

RANDOM_BYTES = 32

State = Completion.State

USABLE = (State.OPEN, State.AWAITED, State.ANSWERED)
ANSWERABLE = Q(state__in=[State.OPEN, State.AWAITED])

PATH = "api/v1/completions/"
"""Where the API takes answers; the token follows."""


class Refusal(StrEnum):
    """Why an answer is not taken."""

    USED = "used"
    """It was answered before, with something else."""
    EXPIRED = "expired"
    """Its deadline has passed."""
    OVER = "over"
    """The task has ended without it."""


class UnknownToken(Exception):
    """No address has this token."""


class NotTaken(Exception):
    """The answer changes nothing any more; ``completion`` is the address as it is."""

    def __init__(self, refusal: Refusal, completion: Completion) -> None:
        self.refusal = refusal
        self.completion = completion
        super().__init__(f"completion {completion} of task {completion.task_id}: {refusal}")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that fits: what the row keeps of it (JSON), the digest of what was sent, and a person's name, if any.

    ``kept`` is ``outcome`` with ``variables`` (wire form); or ``message``, ``details``, ``retries`` (None: as planned);
    or ``code``, ``message``, ``variables``, ``catcher``.
    """

    kept: Mapping[str, Any]
    digest: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides about retries of a task that fails without running: its plan's waits, and the engine's number."""

    waits: Sequence[timedelta]
    engine_retries: int | None
    unit: str

    def retry(self, left: int | None = None) -> Retry:
        """The retry that one failure leads to; ``left`` is how many are left when that was said."""
        return next_retry(self.waits, engine_retries=self.engine_retries if left is None else left + 1)


def terms_of(task: Task) -> Terms:
    """By which plan a waiting task fails: its mapping's, its model's, its unit's."""
    mapping = task.mapping
    unit = mappings.unit(mapping) if mapping else None
    plan = plan_of(
        mapping=mapping.retry_plan if mapping else "",
        extension_properties=task.extension_properties,
        unit=unit.retry_plan if unit else "",
    )
    return Terms(plan.waits, task.engine_retries, mapping.unit if mapping else "")


def digest_of(token: str) -> str:
    """By which a token is found."""
    return hashlib.sha256(token.encode()).hexdigest()


_MINE = f"SELECT id FROM tasks_task WHERE id = %s AND lease_id = %s AND status = '{Status.RUNNING}' FOR SHARE"

_LATE = "UPDATE tasks_completion SET state = 'expired', encrypted_token = '' WHERE id = %s"

_ADD = """
INSERT INTO tasks_completion (task_id, key, number, unit, lease_id, digest, encrypted_token, asked_at, deadline, state,
    answered_by, answer_digest)
VALUES (%s, %s, (SELECT coalesce(max(number), 0) + 1 FROM tasks_completion WHERE task_id = %s AND key = %s),
    %s, %s, %s, %s, now(), now() + %s, 'open', '', '')
RETURNING id
"""


@transaction.atomic
def ask(task_id: int, lease_id: uuid.UUID, *, key: str, unit: str, wait: timedelta) -> Completion:
    """The usable address of this key, as it was given before or made now. Raises LeaseEnded.

    One that was answered is given again too: the unit, which does not know that yet, answers *pending* and gets it.
    """
    usable = Completion.objects.select_for_update().filter(task_id=task_id, key=key, state__in=USABLE).first()
    if not sql.query(_MINE, [task_id, lease_id]):
        raise LeaseEnded(f"the lease ended before completion {key!r} was asked for")
    if usable is not None and (usable.state == State.ANSWERED or not _is_late(usable)):
        return usable
    if usable is not None:
        sql.query(_LATE, [usable.pk])
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    parameters = [task_id, key, task_id, key, unit, lease_id, digest_of(token), at_rest.encrypt(token), wait]
    (row,) = sql.query(_ADD, parameters)
    return Completion.objects.get(pk=row.id)


def _is_late(completion: Completion) -> bool:
    return Completion.objects.filter(pk=completion.pk, deadline__lte=Now()).exists()


def find(token: str) -> Completion:
    """The address of a token, with its task. Raises UnknownToken."""
    found = Completion.objects.filter(digest=digest_of(token)).select_related("task__engine", "task__mapping").first()
    if found is None:
        raise UnknownToken
    return found


def refusal(completion: Completion, *, digest: str = "") -> Refusal | None:
    """Why it would take no answer now; None for one that it takes, or has taken: the same one, by its ``digest``."""
    if completion.state in (State.ANSWERED, State.USED):
        return None if digest and completion.answer_digest == digest else Refusal.USED
    if completion.state == State.EXPIRED or _is_late(completion):
        return Refusal.EXPIRED
    return Refusal.OVER if _is_over(completion.task) else None


def _is_over(task: Task) -> bool:
    done = task.outcome in (Outcome.COMPLETED, Outcome.THROWN)
    return task.status == Status.LOST or (task.status in (Status.PERFORMED, Status.DELIVERED) and done)


_TAKE = """
UPDATE tasks_completion SET state = %s, answer = %s::jsonb, answer_digest = %s, answered_by = %s, answered_at = now(),
    encrypted_token = CASE WHEN %s = 'used' THEN '' ELSE encrypted_token END
WHERE id = %s AND state = %s AND deadline > now()
RETURNING id
"""


@transaction.atomic
def take(completion_id: int, told: Told) -> bool:
    """Commit an answer; the task that waits for it becomes performed. False when the same was taken before.

    Raises NotTaken: of an answer and the deadline, and of two answers, exactly one is first.
    """
    completion = Completion.objects.select_for_update().get(pk=completion_id)
    # Read after the lock: whatever moved the task by this address has been committed.
    completion.task = task = Task.objects.select_related("mapping").get(pk=completion.task_id)
    if refused := refusal(completion, digest=told.digest):
        raise NotTaken(refused, completion)
    if completion.state in (State.ANSWERED, State.USED):
        return False
    awaited = completion.state == State.AWAITED and task.status == Status.WAITING
    state = State.USED if awaited else State.ANSWERED
    parameters = [state, storable(told.kept), told.digest, told.by, state, completion.pk, completion.state]
    if not sql.query(_TAKE, parameters):
        raise NotTaken(Refusal.EXPIRED, completion)
    if awaited and not _perform(task, ending_of(told.kept, terms_of(task))):
        # Between our look at the task and now its engine forgot it; nothing of this answer is kept.
        raise NotTaken(Refusal.OVER, completion)
    log.info("completion.taken", task_id=task.pk, key=completion.key, outcome=told.kept["outcome"], waiting=awaited)
    return True


_ANSWER = MOVES[Move.ANSWER]

_PERFORM = f"""
WITH moved AS (
    UPDATE tasks_task t SET status = '{_ANSWER.target}', outcome = %s, outcome_id = t.last_lease_id, result = %s::jsonb,
        error_group = %s, reporter_id = NULL, report_tries = 0, report_refusals = 0, report_error = '', by_hand = false,
        next_report_at = CASE WHEN t.lease_id IS NOT NULL THEN now() END,
        look_at = CASE WHEN t.lease_id IS NULL AND t.engine_id IS NOT NULL THEN now() END, changed_at = now()
    WHERE t.id = %s AND t.status = '{_ANSWER.statuses[0]}'
    RETURNING t.last_lease_id
)
UPDATE tasks_lease l SET performed_at = now(), outcome = %s, error = %s::jsonb FROM moved
WHERE l.id = moved.last_lease_id
RETURNING l.id
"""
# Nobody is its reporter: any process may take the report over, under the live lease, else under the next one.


def _perform(task: Task, ending: Ending) -> bool:
    error = storable(ending.error) if ending.error is not None else None
    parameters = [ending.outcome, storable(ending.result), ending.error_group, task.pk, ending.outcome, error]
    if not sql.query(_PERFORM, parameters):
        return False
    if ending.outcome is Outcome.COMPLETED and (asked := callbacks.wanted(task.variables)) is not None:
        callbacks.ask(task.pk, task.last_lease_id, asked)
    return True


def ending_of(answer: Mapping[str, Any], terms: Terms) -> Ending:
    """What an answer, as a row keeps it, makes of the task."""
    match Outcome(answer["outcome"]):
        case Outcome.FAILED:
            retry = terms.retry(answer["retries"])
            return Ending.failed(answer["message"], answer["details"], retry, unit=terms.unit)
        case Outcome.THROWN:
            return Ending.thrown(answer["code"], answer["message"], answer["variables"], catcher=answer["catcher"])
        case _:
            return Ending.completed(answer["variables"])


def ending_without(completion: Completion, terms: Terms) -> Ending:
    """What the end of its deadline makes of a task that waits for it."""
    deadline = completion.deadline.astimezone(UTC)
    asked = completion.asked_at.astimezone(UTC)
    return Ending.failed(
        f"no answer before {deadline:%Y-%m-%d %H:%M:%S} UTC",
        f"{completion.unit} asked for it at {asked:%Y-%m-%d %H:%M:%S} UTC (completion {completion}). A new attempt "
        "makes a fresh address; the old one is refused from now on.",
        terms.retry(),
        unit=terms.unit,
    )


_DUE = "state IN ('open', 'awaited') AND deadline <= now()"

DUE = f"EXISTS (SELECT 1 FROM tasks_completion WHERE {_DUE})"
"""SQL: whether a deadline has passed that nobody has looked at."""

_TOO_LATE = f"""
UPDATE tasks_completion SET state = 'expired', encrypted_token = '' WHERE id = %s AND {_DUE} RETURNING id
"""


def due(*, maximum: int) -> list[int]:
    """Addresses whose deadline has passed, the oldest first."""
    rows = sql.query(f"SELECT id FROM tasks_completion WHERE {_DUE} ORDER BY deadline LIMIT %s", [maximum])
    return [row.id for row in rows]


@transaction.atomic
def expire(completion_id: int) -> bool:
    """Let one end whose deadline has passed: the task that waits for it has failed. True when one has."""
    completion = Completion.objects.select_for_update().filter(pk=completion_id).first()
    if completion is None or not sql.query(_TOO_LATE, [completion_id]):
        return False
    task = Task.objects.select_related("mapping").get(pk=completion.task_id)
    if completion.state != State.AWAITED or task.status != Status.WAITING:
        return False
    failed = _perform(task, ending_without(completion, terms_of(task)))
    log.warning("completion.expired", task_id=task.pk, key=completion.key)
    return failed

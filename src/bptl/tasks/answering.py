"""An answer to a task that waits, or will: from outside, at its completion address, or by a person in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from bptl.connections import engines
from bptl.connections.secrets import Undecryptable
from bptl.engines.variables import UnsendableValue, encode_all
from bptl.lib.redaction import redact
from bptl.tasks import completions
from bptl.tasks.completions import NotTaken, Told
from bptl.tasks.execution.catchers import Caught, caught
from bptl.tasks.execution.faults import DETAILS_LIMIT, shortened
from bptl.tasks.lifecycle import Move, Outcome, Status, TransitionRefused
from bptl.tasks.models import Completion, Event, Task
from bptl.tasks.wake import wake
from bptl.work_units.contract import FieldFault, InvalidOutput, WorkUnit
from bptl.work_units.registry import UnknownUnit, load


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody says of the work: completed with ``variables``; failed with ``message``, ``details`` and
    ``retries`` that are left (None: as the retry plan has it); thrown with ``code``, ``message`` and ``variables``.

    Variables are JSON values by the names that the process knows.
    """

    outcome: Outcome
    variables: Mapping[str, Any]
    message: str = ""
    details: str = ""
    retries: int | None = None
    code: str = ""


class Misfit(Exception):
    """The answer does not fit the unit that asked for it; ``faults`` names every bad field."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in faults))


class NoUnit(Exception):
    """The unit that asked is not installed here, so nobody can say whether the answer fits. Nothing was done."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the work unit {name!r} is not installed")


def from_outside(token: str, answer: Answer, *, digest: str) -> bool:
    """Commit an answer to the address of a token; ``digest`` tells it from every other.

    False when the same answer was taken before: whoever repeats it may be sure of it. Raises UnknownToken, NotTaken,
    Misfit, NoUnit; nothing is changed then.
    """
    completion = completions.find(token)
    if refused := completions.refusal(completion, digest=digest):
        raise NotTaken(refused, completion)
    taken = completions.take(completion.pk, Told(_kept(completion, answer), digest))
    wake()
    return taken


def by_person(task_id: int, answer: Answer, *, actor: str, reason: str) -> None:
    """Answer in the place of whoever a task waits for; its address is used up. Who and why are kept with the task.

    Raises TransitionRefused when the task does not wait (any more), Misfit, NoUnit.
    """
    task = Task.objects.get(id=task_id)
    waits = Completion.objects.filter(task_id=task_id, state=completions.State.AWAITED)
    completion = waits.select_related("task__engine", "task__mapping").first()
    if task.status != Status.WAITING or completion is None:
        raise _refused(task)
    told = Told(_kept(completion, answer), by=actor)
    detail = {"reason": reason, "outcome": answer.outcome, "variables": sorted(answer.variables)}
    try:
        with transaction.atomic():
            completions.take(completion.pk, told)
            Event.objects.create(
                task=task, lease_id=task.last_lease_id, name="task.answered", actor=actor, detail=detail
            )
    except NotTaken as error:
        task.refresh_from_db()
        raise _refused(task) from error
    wake()


def _refused(task: Task) -> TransitionRefused:
    return TransitionRefused(Move.ANSWER, task_id=task.pk, status=task.status, outcome=task.outcome)


def _kept(completion: Completion, answer: Answer) -> dict[str, Any]:
    """What the row keeps of an answer. Raises Misfit and NoUnit."""
    unit = _unit(completion)
    match answer.outcome:
        case Outcome.FAILED:
            return {
                "outcome": Outcome.FAILED,
                "message": shortened(answer.message),
                "details": redact(answer.details)[:DETAILS_LIMIT],
                "retries": answer.retries,
            }
        case Outcome.THROWN:
            return _thrown(completion, unit, answer)
        case _:
            try:
                return {"outcome": Outcome.COMPLETED, "variables": _wire(unit.read_answer(answer.variables))}
            except InvalidOutput as error:
                raise Misfit([FieldFault(f"variables.{path}", reason) for path, reason in error.faults]) from error


def _unit(completion: Completion) -> WorkUnit:
    try:
        return load().get(completion.unit)
    except UnknownUnit as error:
        raise NoUnit(completion.unit) from error


def _wire(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {name: variable.to_json() for name, variable in encode_all(values).items()}
    except UnsendableValue as error:
        raise Misfit([FieldFault("variables", str(error))]) from error


def _thrown(completion: Completion, unit: WorkUnit, answer: Answer) -> dict[str, Any]:
    if answer.code not in unit.throws:
        known = ", ".join(sorted(unit.throws)) or "none"
        raise Misfit([FieldFault("code", f"is no error code of {unit.name}; there are: {known}")])
    variables = _wire(answer.variables)
    known_of_it = _caught(completion.task, answer.code)
    message = shortened(answer.message or answer.code)
    if known_of_it is Caught.NO:
        # The engine would end the execution silently; an incident does not.
        text = f"BPMN error {answer.code} is caught by no boundary event of the model: {message}"
        return {"outcome": Outcome.FAILED, "message": shortened(text), "details": answer.details, "retries": 0}
    return {
        "outcome": Outcome.THROWN,
        "code": answer.code,
        "message": message,
        "variables": variables,
        "catcher": known_of_it,
    }


def _caught(task: Task, code: str) -> Caught:
    try:
        engine = engines.client(task.engine)
    except Undecryptable:
        return Caught.NOT_CHECKED
    return caught(
        task.engine,
        engine,
        definition_id=task.process_definition_id,
        instance_id=task.process_instance_id,
        activity_id=task.activity_id,
        code=code,
    )

"""What is wrong with a task and what to do about it: the first thing on its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Completion, Task
from bptl.tasks.queries import TaskStory
from bptl.web.durations import duration

_LINK = " ← "
"""Between the links of a chain of errors, the cause first (execution.faults)."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A title, the cause, what followed from it, and steps for a person; ``tone`` is error, warning or info."""

    title: str
    cause: str = ""
    because: Sequence[str] = field(default_factory=list)
    todo: Sequence[str] = field(default_factory=list)
    commands: Sequence[str] = field(default_factory=list)
    details: str = ""
    tone: str = "error"


def trouble(story: TaskStory) -> Trouble | None:
    """What a person should know first; None when all is well."""
    task = story.task
    if task.status == Status.UNCERTAIN:
        return _uncertain(story)
    if task.parked:
        return Trouble(
            _("The work is done, but the engine refuses the result"),
            cause=task.report_error,
            todo=[
                _("Mend what the engine complains about: usually a step of the model right after this task."),
                _("Then let the stored result be delivered again; the work is not repeated."),
            ],
            commands=[_command("deliver-again", task)],
        )
    if story.doubled:
        return Trouble(
            _("An effect happened twice"),
            cause=", ".join(story.doubled),
            todo=[_("Look in the service that the unit called, and set right there what is there twice.")],
        )
    if task.report_error and task.status == Status.PERFORMED:
        return Trouble(
            _("The engine has not taken the result yet"),
            cause=task.report_error,
            todo=[_("Nothing: it is tried again by itself, and the result is kept.")],
            tone="warning",
        )
    if task.status == Status.LOST:
        return _at_rest(story)
    if (awaited := story.awaited) is not None:
        return _waiting(task, awaited)
    if task.engine_id is None and task.outcome in {Outcome.FAILED, Outcome.THROWN}:
        return _answered(task)
    if task.outcome == Outcome.FAILED:
        return _failed(task)
    if task.outcome == Outcome.THROWN:
        return _thrown(task)
    return _at_rest(story)


def _uncertain(story: TaskStory) -> Trouble:
    task = story.task
    todo = [_("Look in the service that the unit called whether the effect is there, then decide.")]
    commands = [
        f"bptl tasks settle {effect.pk} {answer} --reason …"
        for effect in story.questions
        for answer in ("--happened --result JSON", "--did-not-happen")
    ]
    commands.append(_command("complete", task))
    if task.parked or task.lease_id is None:
        commands.append(_command("give-up", task))
    else:
        todo.append(_("It can be settled as soon as the engine knows that it is held back: a moment."))
    return Trouble(_("Nobody knows whether its effect happened"), cause=task.report_error, todo=todo, commands=commands)


def _waiting(task: Task, awaited: Completion) -> Trouble:
    until = date_format(timezone.localtime(awaited.deadline), "DATETIME_FORMAT")
    return Trouble(
        _("Waits for somebody outside BPTL, until %(time)s") % {"time": until},
        todo=[
            _("Nothing: it goes on when the answer comes, and holds no place of a worker meanwhile."),
            _("Without an answer in time the attempt has failed; the retry plan decides, and a new one asks again."),
            _("Who knows that no answer will come can give it here, or let the task fail."),
        ],
        commands=[_command("answer", task), _command("fail", task)],
        tone="info",
    )


def _failed(task: Task) -> Trouble:
    result: Mapping[str, Any] = task.result or {}
    cause, *because = str(result.get("message", "")).split(_LINK)
    details = str(result.get("details", ""))
    retries = result.get("retries") or 0
    if retries:
        text = _("Nothing yet: the engine offers it again after %(time)s; retries left: %(retries)d.")
        todo = [text % {"time": duration(result.get("wait_ms", 0) / 1000), "retries": retries}]
        return Trouble(_("This attempt failed"), cause, because, todo, details=details, tone="warning")
    return Trouble(
        _("Failed, and no retries are left: an incident at the engine"),
        cause,
        because,
        [
            _("Take away the cause: the variables of the process, the service, or the model."),
            _("Then let the engine offer it once more, or complete it when somebody has done its work."),
        ],
        [_command("retry", task), _command("complete", task)],
        details,
    )


def _answered(task: Task) -> Trouble:
    """A call of the REST API that did not succeed: its caller was told, and only its caller can repeat it."""
    result: Mapping[str, Any] = task.result or {}
    cause, *because = str(result.get("message", "")).split(_LINK)
    code = result.get("code", "")
    if task.outcome == Outcome.THROWN:
        return Trouble(
            _("Ended with BPMN error %(code)s") % {"code": code},
            cause,
            todo=[_("Nothing: its caller was told. A repeated call gets the same answer.")],
            tone="info",
        )
    return Trouble(
        _("Failed; its caller was told"),
        cause,
        because,
        [
            _("Take away the cause: the variables of the call, the service, or the model."),
            _("Then let the caller repeat its call with the same Idempotency-Key: what has happened is not repeated."),
        ],
        [_command("complete", task)],
        str(result.get("details", "")),
    )


def _thrown(task: Task) -> Trouble:
    result: Mapping[str, Any] = task.result or {}
    return Trouble(
        _("Ended with BPMN error %(code)s") % {"code": result.get("code", "")},
        cause=str(result.get("message", "")),
        todo=[_("Nothing, when a boundary event of the model catches this code; otherwise the process ended there.")],
        tone="info",
    )


def _at_rest(story: TaskStory) -> Trouble | None:
    task = story.task
    if task.status == Status.LOST:
        return Trouble(
            _("The engine no longer knows this task"),
            todo=[_("Nothing: its process was cancelled, or somebody else completed it.")],
            tone="info",
        )
    if task.status == Status.RETURNED and task.engine_id is None:
        return Trouble(
            _("Nobody works on it"),
            todo=[_("Nothing: it goes on when its caller repeats the call with the same Idempotency-Key.")],
            tone="info",
        )
    if task.status == Status.RETURNED:
        return Trouble(
            _("It lies at the engine"),
            todo=[_("Nothing, when a mapping fetches its topic: then the next free worker takes it.")],
            tone="info",
        )
    earlier = next((lease.error for lease in reversed(story.leases) if lease.error), None)
    if earlier and task.outcome != Outcome.COMPLETED:
        cause, *because = str(earlier.get("message", "")).split(_LINK)
        title = _("The attempt before this one failed; it is being tried again")
        return Trouble(title, cause, because, tone="info")
    return None


def _command(verb: str, task: Task) -> str:
    return f"bptl tasks {verb} {task.pk} --reason …"

"""What an action on a task does at the engine and to the effects, said before somebody does it."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bptl.connections.secrets import Undecryptable
from bptl.engines.base import EngineError, NotFound
from bptl.tasks.answering import Misfit
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import Effect, Task
from bptl.tasks.queries import TaskStory
from bptl.web import problems
from bptl.web.problems import Problem
from bptl.web.words import OUTCOMES, STATUSES

RIGHTS = "READ, UPDATE, UPDATE_VARIABLE on Process Instance"
"""What actions on tasks take at the engine."""


def of_retry(story: TaskStory) -> Sequence[str]:
    """The engine offers the task again."""
    waits = bool((story.task.result or {}).get("retries"))
    return [
        _("The engine offers the task at once, without the rest of its wait.")
        if waits
        else _("The engine gets one retry for the task: its incident ends there, and the task is offered again."),
        _("The next free worker runs the whole work unit again."),
        *_ledger(story),
        _("When it fails again, it is a failure again: nothing else is lost."),
    ]


def of_changed_retry(story: TaskStory) -> Sequence[str]:
    """The same, with other variables."""
    return [
        _("What you change is set at the engine first, for the whole process instance: other steps see it too."),
        _("A variable that is local to this activity, such as an input parameter, is changed there only."),
        *of_retry(story),
    ]


def of_delivery(story: TaskStory) -> Sequence[str]:
    """The stored result is reported again."""
    return [
        _("The stored result is reported to the engine once more. The work unit does not run; no effect is repeated."),
        _("It goes out under the lease that we still have.")
        if story.task.lease_id
        else _("Our lease has ended: the engine gets one retry, and the result goes out when it is fetched again."),
        _("When the engine refuses it again, the task is parked again and the result is kept."),
    ]


def of_completion(story: TaskStory) -> Sequence[str]:
    """A person says that the work is done."""
    return [
        _("The engine is told that the task is completed, with the variables below, and the process goes on."),
        _("The work unit does not run. Nobody checks that these are the variables that it would have set."),
        *_left_open(story),
        _("It cannot be taken back."),
    ]


def of_giving_up(story: TaskStory) -> Sequence[str]:
    """An uncertain task is left as it is."""
    return [
        _("The task stays the incident that it is at the engine; its process waits there."),
        *_left_open(story),
        _("Later it can still be tried again or completed by hand."),
    ]


def of_handing_back(story: TaskStory) -> Sequence[str]:
    """Our lease ends."""
    running = story.task.status == Status.RUNNING
    return [
        _("Our lease ends and the engine offers the task again, to us too. No retry is used up."),
        *(
            [
                _("The work unit that runs now is told to stop; what it has done until then stays done."),
                _("The next attempt starts from the beginning."),
                *_ledger(story),
            ]
            if running
            else [_("Nothing has run under this lease yet.")]
        ),
    ]


def of_answering(story: TaskStory) -> Sequence[str]:
    """A person answers in the place of somebody outside."""
    return [
        _("Your answer counts: the engine is told that the task is completed, with the variables below."),
        _("The address that was given out is refused from then on. Nobody outside is told."),
        *_late(story),
        _("It cannot be taken back."),
    ]


def of_failing(story: TaskStory) -> Sequence[str]:
    """A person ends the waiting with a failure."""
    return [
        _("The task fails at once, without retries: an incident at its engine, with what you write as its cause."),
        _("The address that was given out is refused from then on. Nobody outside is told."),
        *_late(story),
        _("Later it can still be tried again, with a fresh address, or completed by hand."),
    ]


def _late(story: TaskStory) -> Sequence[str]:
    if story.task.lease_id is not None or story.task.engine_id is None:
        return []
    return [_("Our lease has ended: it goes out when the task is fetched again.")]


def of_settling(story: TaskStory) -> Sequence[str]:
    """A person says what became of an effect."""
    others = len(story.questions) - 1
    return [
        _("It happened: it is not done again, and the work unit goes on with the result that you give."),
        _("It did not happen: the next attempt does it. When it did happen after all, it is there twice."),
        ngettext(
            "The task waits until the other open effect is settled too.",
            "The task waits until the other %(count)d open effects are settled too.",
            others,
        )
        % {"count": others}
        if others
        else _("It is the last open effect: the engine gets one retry, and the next free worker runs the unit again."),
    ]


def _ledger(story: TaskStory) -> Sequence[str]:
    happened = _keys(story, Effect.End.HAPPENED)
    unknown = _keys(story, "")
    if not story.effects:
        return [_("The ledger knows no effect of it: what the unit does outside without the ledger is done once more.")]
    texts = []
    if happened:
        texts.append(_("Not repeated, because the ledger knows that it happened: %(effects)s.") % {"effects": happened})
    if unknown:
        texts.append(
            _("Unknown whether it happened: %(effects)s. The service is asked before it is done.")
            % {"effects": unknown}
        )
    return texts


def _left_open(story: TaskStory) -> Sequence[str]:
    unknown = _keys(story, "")
    if not unknown:
        return []
    return [_("Nobody asks any more whether this happened: %(effects)s.") % {"effects": unknown}]


def _keys(story: TaskStory, end: str) -> str:
    return ", ".join(dict.fromkeys(effect.key for effect in story.effects if effect.end == end))


def refusal(story: TaskStory) -> Problem:
    """Why the task as it is now does not allow what was asked."""
    task = story.task
    if task.status == Status.UNCERTAIN and not task.parked and task.lease_id is not None:
        return Problem(
            _("The engine does not know yet that the task is held back"),
            todo=[_("Try it again in a moment.")],
        )
    words = [str(STATUSES[task.status].label), *([str(OUTCOMES[task.outcome].label)] if task.outcome else [])]
    return Problem(
        _("The task is elsewhere now: this cannot be done"),
        _("It is %(where)s.") % {"where": ", ".join(words)},
        [_("Look at the task: its page shows what happened meanwhile and what can be done now.")],
    )


def of_misfit(error: Misfit) -> Problem:
    """What was typed is not what the unit declares."""
    return Problem(
        _("The answer does not fit the work unit"),
        str(error),
        [_("What you typed is still here: mend it, then send it again.")],
    )


def stale() -> Problem:
    """The task changed between the page and the answer."""
    return Problem(
        _("The task has changed since you opened this page"),
        todo=[
            _("What you typed is still here, and nothing was done. Read again what will happen."),
            _("Then send it once more, or go back to the task."),
        ],
    )


def of_engine(task: Task, error: EngineError | Undecryptable) -> Problem:
    """Why the engine did not do its part. What you typed can be sent again: no step does harm when it is repeated."""
    if task.engine is None or isinstance(error, NotFound):
        return Problem(
            _("The engine no longer knows this task"),
            str(error),
            [_("Nothing: its process was cancelled, or somebody else completed it.")],
        )
    found = problems.of_engine(task.engine, error, usual=RIGHTS)
    again = _("What you typed is still here: send it again when that is mended. Repeating it does no harm.")
    return Problem(found.title, found.cause, [*found.todo, again])

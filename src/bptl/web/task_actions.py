"""What a person does to a task: a page that says what will happen, a reason, and then it is done.

Each action is one class. Its page is shown with GET and done with POST; where the lifecycle refuses it, or the engine
does not do its part, the same page says why and what to do, and keeps what was typed.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View

from bptl.connections import mappings
from bptl.connections.secrets import Undecryptable
from bptl.engines.base import EngineError
from bptl.engines.variables import decode
from bptl.tasks import actions, answering, queries
from bptl.tasks.actions import ActionRefused
from bptl.tasks.answering import Answer, Misfit, NoUnit
from bptl.tasks.lifecycle import Outcome, TransitionRefused
from bptl.tasks.models import Effect, Task
from bptl.tasks.queries import TaskStory
from bptl.web import consequences
from bptl.web.action_forms import ReasonForm, SettleForm
from bptl.web.problems import Problem
from bptl.web.reason_form import LONGEST_REASON
from bptl.web.rights import person
from bptl.web.typed import VariableRows, rows_of
from bptl.work_units.description import inputs_of, outputs_of


@dataclass(slots=True)
class Asked:
    """One visit of such a page: the task as it is, and what was typed."""

    story: TaskStory
    form: ReasonForm
    rows: VariableRows | None = None
    effect: Effect | None = None


class TaskAction(ABC, View):
    """The page of one action. Subclasses say what it is called, what it does, and do it."""

    http_method_names: Sequence[str] = ["get", "head", "post", "options"]

    name: ClassVar[str]
    """As ``actions.possible`` names it."""
    label: ClassVar[str | Promise]
    """On the button."""
    form_class: ClassVar[type[ReasonForm]] = ReasonForm
    says: ClassVar[staticmethod[[TaskStory], Sequence[str]]]
    """What will happen, from ``consequences``."""

    @abstractmethod
    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """Do it; answers what to tell.

        Raises ActionRefused, TransitionRefused, EngineError, Undecryptable or Misfit.
        """

    def rows(self, story: TaskStory) -> VariableRows | None:
        """The variables that can be typed, if any."""
        return None

    def allowed(self, asked: Asked) -> bool:
        """Whether the task allows it as it is now."""
        return self.name in actions.possible(asked.story.task)

    def get(self, request: HttpRequest, task_id: int, effect_id: int | None = None) -> HttpResponse:
        """What will happen, and the form; 409 with the reason where the task does not allow it."""
        story = _story(task_id)
        form = self.form_class(initial={"seen": story.task.last_lease_id})
        asked = Asked(story, form, self.rows(story), _effect(story, effect_id))
        if not self.allowed(asked):
            return self._page(request, asked, HTTPStatus.CONFLICT, consequences.refusal(story), closed=True)
        return self._page(request, asked, HTTPStatus.OK)

    def post(self, request: HttpRequest, task_id: int, effect_id: int | None = None) -> HttpResponse:
        """Do it and go back to the task.

        What does not fit is shown with 200, as forms are; what was refused with 409 or 502.
        """
        story = _story(task_id)
        form = self.form_class(request.POST)
        asked = Asked(story, form, self.rows(story), _effect(story, effect_id))
        if asked.rows is not None:
            asked.rows.read(request.POST)
        if not form.is_valid() or not (asked.rows is None or asked.rows.valid):
            return self._page(request, asked, HTTPStatus.OK)
        if form.cleaned_data["seen"] != story.task.last_lease_id:
            return self._page(request, asked, HTTPStatus.CONFLICT, consequences.stale())
        try:
            told = self.do(asked, actor=person(request).get_username(), reason=form.cleaned_data["reason"])
        except (ActionRefused, TransitionRefused):
            asked.story = _story(task_id)
            return self._page(request, asked, HTTPStatus.CONFLICT, consequences.refusal(asked.story))
        except Misfit as error:
            return self._page(request, asked, HTTPStatus.OK, consequences.of_misfit(error))
        except (EngineError, Undecryptable) as error:
            problem = consequences.of_engine(story.task, error)
            asked.story = _story(task_id)
            return self._page(request, asked, HTTPStatus.BAD_GATEWAY, problem)
        messages.success(request, told)
        return redirect("task", task_id)

    def _page(
        self,
        request: HttpRequest,
        asked: Asked,
        status: HTTPStatus,
        problem: Problem | None = None,
        *,
        closed: bool = False,
    ) -> HttpResponse:
        context = {
            "task": asked.story.task,
            "label": self.label,
            "consequences": type(self).says(asked.story),
            "problem": problem,
            "form": asked.form,
            # Of the task as this page tells of it, not as the one before did.
            "seen": asked.story.task.last_lease_id,
            "rows": asked.rows,
            "effect": asked.effect,
            "arguments": _json_text(asked.effect.arguments) if asked.effect else "",
            "longest_reason": LONGEST_REASON,
            "closed": closed,
        }
        return render(request, "web/act.html", context, status=status)


class Retry(TaskAction):
    """The engine offers a failed task now."""

    name = "retry"
    label = gettext_lazy("Retry now")
    says = staticmethod(consequences.of_retry)

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``actions.retry``."""
        actions.retry(asked.story.task.pk, actor=actor, reason=reason)
        return _("The engine offers the task again.")


class RetryWithVariables(TaskAction):
    """The same with variables that are changed first."""

    name = "retry"
    label = gettext_lazy("Retry with changed variables")
    says = staticmethod(consequences.of_changed_retry)

    def rows(self, story: TaskStory) -> VariableRows:
        """What the task was fetched with, and what its unit wants besides."""
        unit = mappings.unit(story.task.mapping) if story.task.mapping else None
        wanted = [one for one in inputs_of(unit) if one.required] if unit else []
        return rows_of(story.task.variables, wanted)

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``actions.retry``."""
        variables = asked.rows.changed if asked.rows else {}
        actions.retry(asked.story.task.pk, variables=variables, actor=actor, reason=reason)
        if not variables:
            return _("You changed no variable; the engine offers the task again.")
        return _("Changed: %(names)s. The engine offers the task again.") % {"names": ", ".join(sorted(variables))}


class DeliverAgain(TaskAction):
    """A stored result is reported again."""

    name = "deliver_again"
    label = gettext_lazy("Deliver again")
    says = staticmethod(consequences.of_delivery)

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``actions.deliver_again``."""
        actions.deliver_again(asked.story.task.pk, actor=actor, reason=reason)
        return _("The stored result is reported again.")


class Complete(TaskAction):
    """A person did the work."""

    name = "complete"
    label = gettext_lazy("Complete by hand")
    says = staticmethod(consequences.of_completion)

    def rows(self, story: TaskStory) -> VariableRows:
        """What the unit would have set."""
        unit = mappings.unit(story.task.mapping) if story.task.mapping else None
        return rows_of({}, outputs_of(unit) if unit else ())

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``actions.complete_by_hand``."""
        variables = asked.rows.changed if asked.rows else {}
        actions.complete_by_hand(asked.story.task.pk, variables, actor=actor, reason=reason)
        return _("The task is completed by hand; the engine is told now.")


class AnswerOutside(TaskAction):
    """A person answers in the place of somebody outside."""

    name = "answer"
    label = gettext_lazy("Answer for the outside")
    says = staticmethod(consequences.of_answering)

    def rows(self, story: TaskStory) -> VariableRows:
        """What the unit declares."""
        unit = mappings.unit(story.task.mapping) if story.task.mapping else None
        return rows_of({}, outputs_of(unit) if unit else ())

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``answering.by_person``."""
        typed = asked.rows.changed if asked.rows else {}
        variables = {name: decode(variable, name=name) for name, variable in typed.items()}
        _answer(asked, Answer(Outcome.COMPLETED, variables), actor=actor, reason=reason)
        return _("The answer is stored; the engine is told now.")


class Fail(TaskAction):
    """A waiting task fails now."""

    name = "fail"
    label = gettext_lazy("Fail now")
    says = staticmethod(consequences.of_failing)

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``answering.by_person``."""
        failure = Answer(Outcome.FAILED, {}, message=f"ended by {actor}: {reason}", retries=0)
        _answer(asked, failure, actor=actor, reason=reason)
        return _("The task has failed; the engine is told now.")


def _answer(asked: Asked, answer: Answer, *, actor: str, reason: str) -> None:
    try:
        answering.by_person(asked.story.task.pk, answer, actor=actor, reason=reason)
    except NoUnit as error:
        raise ActionRefused(asked.story.task.pk, str(error)) from error


class GiveUp(TaskAction):
    """An uncertain task stays an incident."""

    name = "give_up"
    label = gettext_lazy("Give up")
    says = staticmethod(consequences.of_giving_up)

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``actions.give_up``."""
        actions.give_up(asked.story.task.pk, actor=actor, reason=reason)
        return _("Given up: the task stays an incident at its engine.")


class HandBack(TaskAction):
    """Our lease ends."""

    name = "hand_back"
    label = gettext_lazy("Hand back")
    says = staticmethod(consequences.of_handing_back)

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``actions.hand_back``."""
        actions.hand_back(asked.story.task.pk, actor=actor, reason=reason)
        return _("The task is handed back to its engine.")


class Settle(TaskAction):
    """A person says what became of an effect."""

    name = "settle"
    label = gettext_lazy("Settle the effect")
    form_class = SettleForm
    says = staticmethod(consequences.of_settling)

    def allowed(self, asked: Asked) -> bool:
        """Whether this effect is a question now."""
        return asked.effect in asked.story.questions

    def do(self, asked: Asked, *, actor: str, reason: str) -> str:
        """See ``actions.settle_effect``."""
        if asked.effect is None:
            raise Http404
        happened = asked.form.cleaned_data["answer"] == "happened"
        result = asked.form.cleaned_data["result"]
        last = actions.settle_effect(asked.effect.pk, happened=happened, result=result, actor=actor, reason=reason)
        if last:
            return _("The last open effect is settled: the engine offers the task again.")
        return _("The effect is settled; the task waits for other answers.")


@dataclass(frozen=True, slots=True)
class Offer:
    """A button on the page of a task."""

    label: str | Promise
    address: str
    first: bool = False


PAGES: Mapping[str, type[TaskAction]] = {
    "retry": Retry,
    "retry-with-variables": RetryWithVariables,
    "deliver-again": DeliverAgain,
    "complete": Complete,
    "answer": AnswerOutside,
    "fail": Fail,
    "give-up": GiveUp,
    "hand-back": HandBack,
}
"""The pages by the last part of their address; their names in the URL configuration begin with ``task-``."""


def offers(story: TaskStory) -> Sequence[Offer]:
    """The buttons for a task as it is now, the likeliest first."""
    found: list[tuple[str | Promise, str]] = [
        (
            _("Settle %(effect)s") % {"effect": effect.key},
            reverse("effect-settle", args=[story.task.pk, effect.pk]),
        )
        for effect in story.questions
    ]
    possible = actions.possible(story.task)
    found += [
        (page.label, reverse(f"task-{part}", args=[story.task.pk]))
        for part, page in PAGES.items()
        if page.name in possible
    ]
    return [Offer(label, address, first=not place) for place, (label, address) in enumerate(found)]


def _story(task_id: int) -> TaskStory:
    try:
        return queries.story(task_id)
    except Task.DoesNotExist as error:
        raise Http404 from error


def _effect(story: TaskStory, effect_id: int | None) -> Effect | None:
    """The effect that the address names; 404 for one of another task."""
    if effect_id is None:
        return None
    found = next((effect for effect in story.effects if effect.pk == effect_id), None)
    if found is None:
        raise Http404
    return found


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) if value else ""

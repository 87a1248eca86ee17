"""Circuit breakers on the pages of services and engines: how one stands, and a person who opens or closes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View

from bptl.connections import breakers
from bptl.connections.breakers import Subject
from bptl.connections.models import Engine, Opening
from bptl.connections.service_models import Service
from bptl.tasks import breaker_changes
from bptl.web.acting import by
from bptl.web.breaker_words import CLOSED, word
from bptl.web.reason_form import ReasonField, ReasonForm
from bptl.web.words import Word


@dataclass(frozen=True, slots=True)
class Shown:
    """A breaker on the page of its service or engine: its word, what is open, its last openings, and its two pages."""

    word: Word
    opening: Opening | None
    history: Sequence[Opening]
    open_address: str
    close_address: str


def shown(subject: Subject) -> Shown:
    """How the breaker of a service or an engine stands."""
    history = breakers.history(subject)
    opening = next((one for one in history if one.closed_at is None), None)
    kind = _kind(subject)
    return Shown(
        word(opening) if opening is not None else CLOSED,
        opening,
        history,
        reverse(f"{kind}-breaker-open", args=[subject.pk]),
        reverse(f"{kind}-breaker-close", args=[subject.pk]),
    )


class WindowForm(ReasonForm):
    """Why, and until when."""

    reason = ReasonField(longest=500)
    until = forms.DateTimeField(
        label=gettext_lazy("Until"),
        help_text=gettext_lazy("Then it is asked whether it is there, and closes once it answers."),
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "class": "utrecht-textbox utrecht-textbox--html-input"},
            format="%Y-%m-%dT%H:%M",
        ),
    )


class BreakerAction(ABC, View):
    """What is done to a breaker with a reason: shown with GET, done with POST."""

    http_method_names: Sequence[str] = ["get", "head", "post", "options"]

    label: ClassVar[str | Promise]
    form_class: ClassVar[type[ReasonForm]]

    @abstractmethod
    def says(self, subject: Subject) -> Sequence[str]:
        """What will happen, one sentence each."""

    @abstractmethod
    def do(self, request: HttpRequest, subject: Subject, said: dict[str, Any]) -> str:
        """Do it; answers what to tell. Raises ValidationError by field."""

    def get(self, request: HttpRequest, **which: int) -> HttpResponse:
        """What will happen, and the form."""
        return self._page(request, _found(**which), self.form_class())

    def post(self, request: HttpRequest, **which: int) -> HttpResponse:
        """Do it, and go to the service or the engine."""
        subject = _found(**which)
        form = self.form_class(request.POST)
        if not form.is_valid():
            return self._page(request, subject, form)
        try:
            told = self.do(request, subject, form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
            return self._page(request, subject, form)
        messages.success(request, told)
        return redirect(_kind(subject), subject.pk)

    def _page(self, request: HttpRequest, subject: Subject, form: ReasonForm) -> HttpResponse:
        kind = _kind(subject)
        back = reverse(kind, args=[subject.pk])
        list_name = _("Services") if kind == "service" else _("Engines")
        context = {
            "label": self.label,
            "name": subject.name,
            "crumbs": [(reverse(f"{kind}s"), list_name), (back, subject.name)],
            "consequences": self.says(subject),
            "form": form,
            "back": back,
        }
        return render(request, "web/decide.html", context)


class OpenBreaker(BreakerAction):
    """A maintenance window begins."""

    label = gettext_lazy("Fetch nothing for a while")
    form_class = WindowForm

    def says(self, subject: Subject) -> Sequence[str]:
        """What a window does."""
        if isinstance(subject, Service):
            bound = subject.mappings.values("mapping").distinct().count()
            first = _(
                "Nothing is fetched for the mappings that use it (%(count)d). What waits at the engine stays there."
            )
            what = first % {"count": bound}
        else:
            what = _("Nothing is fetched from it. Results that are here are still reported.")
        return [
            what,
            _("The fetch that is under way may still bring tasks: they are handed back, and no retry is spent."),
            _("Units that run now go on; the next call of one to it is refused, and its task is handed back."),
            _("When the time is over it is asked whether it is there; after two good answers all goes on by itself."),
        ]

    def do(self, request: HttpRequest, subject: Subject, said: dict[str, Any]) -> str:
        """See ``breaker_changes.open_window``."""
        breaker_changes.open_window(subject, by=by(request), reason=said["reason"], until=said["until"])
        return _("Nothing is fetched that needs %(name)s, until the time that you gave.") % {"name": subject.name}


class CloseBreaker(BreakerAction):
    """It is fetched for again."""

    label = gettext_lazy("Fetch again now")
    form_class = ReasonForm

    def says(self, subject: Subject) -> Sequence[str]:
        """What closing does."""
        if breakers.opening(subject) is None:
            return [_("It is closed already: nothing changes.")]
        return [
            _("Its tasks are fetched again within seconds, without asking first whether it is there."),
            _("Should it still be down, the first task that meets it opens it again, and is handed back."),
        ]

    def do(self, request: HttpRequest, subject: Subject, said: dict[str, Any]) -> str:
        """See ``breaker_changes.close_now``."""
        breaker_changes.close_now(subject, by=by(request), reason=said["reason"])
        return _("What needs %(name)s is fetched again.") % {"name": subject.name}


def _found(*, service_id: int | None = None, engine_id: int | None = None) -> Subject:
    if service_id is not None:
        return get_object_or_404(Service, pk=service_id)
    return get_object_or_404(Engine, pk=engine_id)


def _kind(subject: Subject) -> str:
    return "service" if isinstance(subject, Service) else "engine"

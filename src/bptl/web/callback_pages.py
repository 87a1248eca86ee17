"""Callbacks: what waits, what was refused and why, and trying one again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from bptl.accounts.roles import Role
from bptl.tasks import callbacks
from bptl.tasks.models import Callback
from bptl.web.reason_form import ReasonForm
from bptl.web.rights import needs, person
from bptl.web.words import CALLBACK_STATES, Word

PAGE_SIZE = 50


class CallbackFilterForm(forms.Form):
    """What the address of the list may say."""

    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[("", gettext_lazy("all")), *((state, word.label) for state, word in CALLBACK_STATES.items())],
    )
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


@dataclass(frozen=True, slots=True)
class Shown:
    """One callback as a page shows it. ``address`` says nothing of what its query holds; ``again``: a person may have
    it tried again."""

    callback: Callback
    word: Word
    address: str
    again: bool


def shown(found: Iterable[Callback]) -> Sequence[Shown]:
    """Callbacks for a page."""
    return [
        Shown(
            one,
            CALLBACK_STATES[one.state],
            callbacks.masked(one.url),
            again=one.state in callbacks.ATTENTION and bool(one.url),
        )
        for one in found
    ]


@needs(Role.VIEWER)
@require_safe
def callback_list(request: HttpRequest) -> HttpResponse:
    """All of them or those of one state, newest first."""
    form = CallbackFilterForm(request.GET)
    form.is_valid()
    state, place = form.cleaned_data.get("state", ""), form.cleaned_data.get("before")
    found = callbacks.page(state=state, before_id=place, limit=PAGE_SIZE)
    context = {
        "form": form,
        "rows": shown(found.callbacks),
        "state": state,
        "newest": _address(state) if place is not None else "",
        "older": _address(state, before=found.older) if found.older else "",
    }
    return render(request, "web/callbacks.html", context)


@needs(Role.OPERATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def callback_again(request: HttpRequest, callback_id: int) -> HttpResponse:
    """Try one that was refused or given up again, for a reason."""
    ended = Callback.objects.filter(state__in=callbacks.ATTENTION).exclude(url="")
    callback = get_object_or_404(ended, pk=callback_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        actor, reason = person(request).get_username(), form.cleaned_data["reason"]
        try:
            callbacks.again(callback_id, actor=actor, reason=reason)
        except callbacks.AgainRefused:
            messages.info(request, _("Somebody else had it tried again just now."))
        else:
            messages.success(request, _("It is tried again within half a minute."))
        return redirect("callbacks")
    context = {
        "label": _("Try again"),
        "name": callback.place or _("callback"),
        "crumbs": [(reverse("callbacks"), _("Callbacks"))],
        "consequences": [
            _("This address is called again: %(address)s") % {"address": callbacks.masked(callback.url)},
            _("Why it ended: %(reason)s") % {"reason": callback.error},
            _("It is tried for another day, unless it is refused again."),
            _("Its receiver may have had it before: by the Idempotency-Key it can tell."),
        ],
        "form": form,
        "back": reverse("callbacks"),
    }
    return render(request, "web/decide.html", context)


def _address(state: str, **place: object) -> str:
    said = urlencode({**({"state": state} if state else {}), **place})
    return reverse("callbacks") + (f"?{said}" if said else "")

"""Callbacks: what waits, what was refused and why; trying one again, or dismissing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    """One callback as a page shows it. ``address`` says nothing of what its query holds; ``again`` and ``dismiss``: a
    person may have it tried again, or dismiss it."""

    callback: Callback
    word: Word
    address: str
    again: bool
    dismiss: bool


def shown(found: Iterable[Callback]) -> Sequence[Shown]:
    """Callbacks for a page."""
    return [
        Shown(
            one,
            CALLBACK_STATES[one.state],
            callbacks.masked(one.url),
            again=one.state in callbacks.NOT_CALLED and bool(one.url),
            dismiss=one.state in callbacks.ATTENTION,
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
    """Try one that was not called again, for a reason."""
    ended = Callback.objects.filter(state__in=callbacks.NOT_CALLED).exclude(url="")
    callback = get_object_or_404(ended, pk=callback_id)
    consequences = [
        _("This address is called again: %(address)s") % {"address": callbacks.masked(callback.url)},
        _("Why it ended: %(reason)s") % {"reason": callback.error},
        _("It is tried for another day, unless it is refused again."),
        _("Its receiver may have had it before: by the Idempotency-Key it can tell."),
    ]
    done = _("It is tried again within half a minute.")
    return _decide(request, callback, callbacks.again, label=_("Try again"), consequences=consequences, done=done)


@needs(Role.OPERATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def callback_dismiss(request: HttpRequest, callback_id: int) -> HttpResponse:
    """Say, for a reason, that nobody needs to look any more at one that was refused or given up."""
    callback = get_object_or_404(Callback, state__in=callbacks.ATTENTION, pk=callback_id)
    consequences = [
        _("This address is not called: %(address)s") % {"address": callbacks.masked(callback.url) or "–"},
        _("Why it ended: %(reason)s") % {"reason": callback.error},
        _("The overview does not point to it any more. Its task stays as it is."),
    ]
    if callback.url:
        consequences.append(_("It can still be tried again later."))
    done = _("It is dismissed.")
    return _decide(request, callback, callbacks.dismiss, label=_("Dismiss"), consequences=consequences, done=done)


def _decide(
    request: HttpRequest,
    callback: Callback,
    act: Callable[..., None],
    *,
    label: str,
    consequences: Sequence[str],
    done: str,
) -> HttpResponse:
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            act(callback.pk, actor=person(request).get_username(), reason=form.cleaned_data["reason"])
        except callbacks.LeftAsItIs:
            messages.info(request, _("Somebody else did something about it just now."))
        else:
            messages.success(request, done)
        return redirect("callbacks")
    context = {
        "label": label,
        "name": callback.place or _("callback"),
        "crumbs": [(reverse("callbacks"), _("Callbacks"))],
        "consequences": consequences,
        "form": form,
        "back": reverse("callbacks"),
    }
    return render(request, "web/decide.html", context)


def _address(state: str, **place: object) -> str:
    said = urlencode({**({"state": state} if state else {}), **place})
    return reverse("callbacks") + (f"?{said}" if said else "")

"""API tokens: which machine calls in whose name and what it may; made here, their key shown once. For administrators.

Others see on the page of their account which tokens act in their name: a token can call work units, which no role of
a person allows, so nobody makes one for themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from bptl.accounts import tokens
from bptl.accounts.models import Token, User
from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from bptl.web.acting import by
from bptl.web.reason_form import ReasonForm
from bptl.web.rights import needs
from bptl.web.words import TOKEN_STATES

YEAR = timedelta(days=365)


class TokenForm(forms.Form):
    """A new token."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        help_text=gettext_lazy("Which machine has it, for instance flowable."),
        widget=forms.TextInput(attrs={"class": "utrecht-textbox utrecht-textbox--html-input", "autocomplete": "off"}),
    )
    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("username"),
        label=gettext_lazy("Acts as"),
        to_field_name="username",
        empty_label=gettext_lazy("choose a user"),
        help_text=gettext_lazy("Give each machine a user of its own: what it does is kept under that name."),
        widget=forms.Select(attrs={"class": "utrecht-select utrecht-select--html-select"}),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("What it may do"),
        choices=[(scope.value, scope.label) for scope in Scope],
        initial=[Scope.CALL.value],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one.")},
    )
    last_day = forms.DateField(
        label=gettext_lazy("Valid up to and including"),
        required=False,
        help_text=gettext_lazy("Empty: it is valid until it is revoked."),
        widget=forms.DateInput(
            attrs={"type": "date", "class": "utrecht-textbox utrecht-textbox--html-input"}, format="%Y-%m-%d"
        ),
    )

    @property
    def choices(self) -> Sequence[tuple[Scope, bool]]:
        """The scopes, and whether each is chosen."""
        chosen = self["scopes"].value() or []
        return [(scope, scope.value in chosen) for scope in Scope]

    def clean_last_day(self) -> datetime | None:
        """The moment at which that day ends, in our own time zone."""
        day = self.cleaned_data["last_day"]
        if day is None:
            return None
        end = timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min))
        if end <= timezone.now():
            raise forms.ValidationError(_("This day is over: choose a later one."))
        return end


@needs(Role.ADMINISTRATOR)
@require_safe
def token_list(request: HttpRequest) -> HttpResponse:
    """All of them, the valid ones first."""
    found = Token.objects.select_related("user").prefetch_related("user__groups").order_by("name", "-created_at")
    rows = [(token, tokens.state(token), tokens.without_effect(token)) for token in found]
    rows.sort(key=lambda row: row[1] is not tokens.State.VALID)
    shown = [(token, _scopes(token), TOKEN_STATES[state], idle) for token, state, idle in rows]
    return render(request, "web/token_list.html", {"rows": shown})


@needs(Role.ADMINISTRATOR)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def token_add(request: HttpRequest) -> HttpResponse:
    """Make one; the answer is the only page that ever shows its key."""
    last_day = timezone.localdate() + YEAR
    form = TokenForm(request.POST or None, initial={"last_day": last_day, "user": request.GET.get("user")})
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            made = tokens.create(
                said["user"],
                name=said["name"],
                scopes=[Scope(scope) for scope in said["scopes"]],
                expires_at=said["last_day"],
                by=by(request),
            )
        except ValidationError as error:
            form.add_error("name", [fault for faults in error.message_dict.values() for fault in faults])
        else:
            context = {"made": made, "without_effect": tokens.without_effect(made.token)}
            return render(request, "web/token_made.html", context)
    return render(request, "web/token_form.html", {"form": form})


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """Refuse its key from now on."""
    token = get_object_or_404(Token.objects.select_related("user"), pk=token_id, revoked_at=None)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        tokens.revoke(token, by=by(request), reason=form.cleaned_data["reason"])
        messages.success(request, _("%(name)s is revoked.") % {"name": token.name})
        return redirect("tokens")
    used: Any = timezone.localtime(token.used_at).strftime("%Y-%m-%d %H:%M") if token.used_at else ""
    context = {
        "label": _("Revoke"),
        "name": token.name,
        "crumbs": [(reverse("tokens"), _("API tokens"))],
        "consequences": [
            _("Its key is refused from now on: who calls with it gets 401."),
            _("It was last used on %(moment)s.") % {"moment": used} if used else _("It was never used."),
            _("What it has asked for already is finished."),
            _("It cannot be taken back: a new token gets another key."),
        ],
        "form": form,
        "back": reverse("tokens"),
    }
    return render(request, "web/decide.html", context)


def _scopes(token: Token) -> Sequence[Scope]:
    return [Scope(scope) for scope in token.scopes]

"""Incidents: what goes wrong now, what was told to whom, and who is told of a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bptl.accounts.roles import Role
from bptl.connections.models import Mapping
from bptl.tasks import quarantine
from bptl.telling import acts, owners, queries
from bptl.telling.models import Incident, Kind, Message
from bptl.web.acting import by
from bptl.web.rights import needs
from bptl.web.task_list import address_of_list
from bptl.web.words import Word

_LARGEST_ID = 2**63 - 1
KINDS = {
    Kind.FAILED: Word(gettext_lazy("failed"), "danger", Kind.FAILED.label),
    Kind.REFUSED: Word(gettext_lazy("refused"), "danger", Kind.REFUSED.label),
    Kind.UNCERTAIN: Word(gettext_lazy("uncertain"), "danger", Kind.UNCERTAIN.label),
    Kind.MAPPING: Word(gettext_lazy("broken mapping"), "danger", Kind.MAPPING.label),
    Kind.ENGINE: Word(gettext_lazy("engine not reached"), "danger", Kind.ENGINE.label),
    Kind.SERVICE: Word(gettext_lazy("service down"), "danger", Kind.SERVICE.label),
    Kind.WORKERS: Word(gettext_lazy("no worker"), "danger", Kind.WORKERS.label),
    Kind.POLLERS: Word(gettext_lazy("no poller"), "danger", Kind.POLLERS.label),
}


class MuteForm(forms.Form):
    """For how long, and why."""

    hours = forms.TypedChoiceField(
        label=gettext_lazy("For"),
        coerce=int,
        choices=[
            ("1", gettext_lazy("1 hour")),
            ("4", gettext_lazy("4 hours")),
            ("24", gettext_lazy("1 day")),
            ("72", gettext_lazy("3 days")),
            ("168", gettext_lazy("1 week")),
        ],
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)


class OwnerForm(forms.Form):
    """Who is told of a mapping."""

    owner_name = forms.CharField(
        label=gettext_lazy("Owner"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("A team or a person, as colleagues call it."),
    )
    owner_mail = forms.CharField(
        label=gettext_lazy("Mail addresses"),
        required=False,
        help_text=gettext_lazy("Separated by commas; each gets its own mail and its own digest."),
    )
    owner_webhook = forms.CharField(
        label=gettext_lazy("Webhook"),
        max_length=500,
        required=False,
        help_text=gettext_lazy("An http(s) address that is called with every message. Not into private networks."),
    )
    owner_secret = forms.CharField(
        label=gettext_lazy("Secret of the webhook"),
        required=False,
        help_text=gettext_lazy("Signs every call; 16 characters or more. Empty keeps the one that is stored."),
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)

    def clean_owner_mail(self) -> list[str]:
        """The addresses; every one that is none is named."""
        addresses = [part.strip() for part in self.cleaned_data["owner_mail"].split(",") if part.strip()]
        for address in addresses:
            try:
                validate_email(address)
            except ValidationError:
                raise forms.ValidationError(_("%(text)s is no mail address.") % {"text": address}) from None
        return addresses


@needs(Role.VIEWER)
@require_safe
def incidents(request: HttpRequest) -> HttpResponse:
    """The page: what goes on, and what is over."""
    before = request.GET.get("before", "")
    place = int(before) if before.isdecimal() and int(before) <= _LARGEST_ID else None
    page = queries.ended(before_id=place)
    context = {
        "open": [(incident, KINDS[Kind(incident.kind)], owners.of_incident(incident)) for incident in _open(place)],
        "ended": [(incident, KINDS[Kind(incident.kind)]) for incident in page.incidents],
        "older": f"{reverse('incidents')}?before={page.older}" if page.older else "",
        "later_page": place is not None,
        "quarantined": quarantine.exists(),
        "fallback": owners.of_installation(),
        "failing": queries.failing(),
        "given_up": queries.given_up(),
        "now": timezone.now(),
    }
    return render(request, "web/incidents.html", context)


def _open(place: int | None) -> Sequence[Incident]:
    return queries.open_incidents() if place is None else []


@needs(Role.VIEWER)
@require_safe
def incident_page(request: HttpRequest, incident_id: int) -> HttpResponse:
    """One incident: its tasks, what was told of it, and the mute."""
    return _incident_page(request, incident_id)


@needs(Role.OPERATOR)
@require_POST
def mute(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Tell nothing of it for a while."""
    form = MuteForm(request.POST)
    get_object_or_404(Incident, pk=incident_id)
    if not form.is_valid():
        return _incident_page(request, incident_id, form=form, status=400)
    until = timezone.now() + timedelta(hours=form.cleaned_data["hours"])
    try:
        acts.mute(incident_id, until=until, by=by(request), reason=form.cleaned_data["reason"])
    except acts.AlreadyOver:
        messages.info(request, _("It is over already: there is nothing to mute."))
    else:
        messages.success(request, _("Nothing more is told of it until then."))
    return redirect("incident", incident_id)


@needs(Role.OPERATOR)
@require_POST
def unmute(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Tell of it again."""
    get_object_or_404(Incident, pk=incident_id)
    acts.unmute(incident_id, by=by(request))
    messages.success(request, _("It is told again when something new happens."))
    return redirect("incident", incident_id)


@needs(Role.ADMINISTRATOR)
@require_POST
def test_installation(request: HttpRequest) -> HttpResponse:
    """Send a test to the addresses of the settings."""
    _say_tried(request, acts.test(None, by=by(request)))
    return redirect("incidents")


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def mapping_owner(request: HttpRequest, mapping_id: int) -> HttpResponse:
    """Who is told of what happens to a mapping; changing it needs a reason."""
    mapping = get_object_or_404(Mapping.objects.select_related("engine"), pk=mapping_id)
    if request.method != "POST":
        return _owner_page(request, mapping, OwnerForm(initial=_owner_of(mapping)))
    form = OwnerForm(request.POST)
    if form.is_valid():
        said = form.cleaned_data
        try:
            acts.set_owner(
                mapping,
                name=said["owner_name"],
                mail=said["owner_mail"],
                webhook=said["owner_webhook"],
                secret=said["owner_secret"] or None,
                by=by(request),
                reason=said["reason"],
            )
        except ValidationError as error:
            for field, faults in error.message_dict.items():
                form.add_error(field if field in form.fields else None, faults)
        else:
            messages.success(request, _("The owner is stored. Send a test to see whether messages arrive."))
            return redirect("mapping-owner", mapping_id)
    return _owner_page(request, get_object_or_404(Mapping, pk=mapping_id), form)


@needs(Role.ADMINISTRATOR)
@require_POST
def test_owner(request: HttpRequest, mapping_id: int) -> HttpResponse:
    """Send a test to whoever is told of this mapping."""
    _say_tried(request, acts.test(get_object_or_404(Mapping, pk=mapping_id), by=by(request)))
    return redirect("mapping-owner", mapping_id)


def _incident_page(
    request: HttpRequest, incident_id: int, *, form: MuteForm | None = None, status: int = 200
) -> HttpResponse:
    try:
        story = queries.story(incident_id)
    except Incident.DoesNotExist:
        return render(request, "web/incident_unknown.html", status=404)
    incident = story.incident
    context = {
        "story": story,
        "incident": incident,
        "word": KINDS[Kind(incident.kind)],
        "list": _list_of(incident),
        "form": form or MuteForm(),
        "muted": incident.muted_until is not None and incident.muted_until > timezone.now(),
    }
    return render(request, "web/incident.html", context, status=status)


def _list_of(incident: Incident) -> str:
    """The list of the tasks that are in this trouble now; empty when it is not about tasks."""
    wanted: dict[str, object] = {"topic": incident.topic}
    if incident.engine:
        wanted["engine"] = incident.engine.name
    match incident.kind:
        case Kind.FAILED:
            return address_of_list(
                {"status": "delivered", "outcome": "failed", "error": incident.error_group, **wanted}
            )
        case Kind.REFUSED:
            return address_of_list({"status": "performed", **wanted})
        case Kind.UNCERTAIN:
            return address_of_list({"status": "uncertain", **wanted})
        case _:
            return ""


def _owner_of(mapping: Mapping) -> dict[str, Any]:
    return {
        "owner_name": mapping.owner_name,
        "owner_mail": ", ".join(mapping.owner_mail),
        "owner_webhook": mapping.owner_webhook,
    }


def _owner_page(request: HttpRequest, mapping: Mapping, form: OwnerForm) -> HttpResponse:
    context = {"mapping": mapping, "form": form, "targets": owners.targets(mapping), "own": mapping.has_owner}
    return render(request, "web/mapping_owner.html", context)


def _say_tried(request: HttpRequest, tried: Sequence[Message]) -> None:
    if not tried:
        messages.warning(request, _("Nobody is told: there is no address."))
    for message in tried:
        told = {"recipient": message.recipient, "error": message.error}
        if message.sent_at:
            messages.success(request, _("A test went to %(recipient)s.") % told)
        else:
            messages.error(request, _("No test reached %(recipient)s: %(error)s") % told)

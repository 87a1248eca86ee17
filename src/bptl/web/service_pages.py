"""Services: how they fare, who uses them, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bptl.accounts.roles import Role
from bptl.connections import breakers, catalogue, service_check, sessions
from bptl.connections.findings import Finding
from bptl.connections.service_models import Service
from bptl.tasks import health, limits
from bptl.web import limit_words, row_actions
from bptl.web.breaker_pages import shown
from bptl.web.reach_words import service_state
from bptl.web.rights import needs
from bptl.web.row_actions import Place
from bptl.web.written_forms import ServiceForm


@needs(Role.VIEWER)
@require_safe
def service_list(request: HttpRequest) -> HttpResponse:
    """All of them, with their state."""
    found = Service.objects.annotate(
        mapping_count=Count("mappings__mapping", distinct=True), grant_count=Count("grants", distinct=True)
    )
    stopped = breakers.open_now().services
    rows = []
    for service in found:
        fares = health.of_service(service.name)
        rows.append((service, service_state(service, fares, stopped.get(service.pk)), fares))
    return render(request, "web/service_list.html", {"rows": rows})


@needs(Role.VIEWER)
@require_safe
def service_page(request: HttpRequest, service_id: int) -> HttpResponse:
    """One of them."""
    return _page(request, get_object_or_404(Service, pk=service_id))


@needs(Role.OPERATOR)
@require_POST
def service_test(request: HttpRequest, service_id: int) -> HttpResponse:
    """Ask the service as a task would, with each login that tasks may use, and say so on its page."""
    service = get_object_or_404(Service, pk=service_id)
    return _page(request, service, service_check.check(service))


def _page(request: HttpRequest, service: Service, findings: Sequence[Finding] | None = None) -> HttpResponse:
    fares = health.of_service(service.name)
    breaker = shown(service)
    context: dict[str, Any] = {
        "service": service,
        "state": service_state(service, fares, breaker.opening),
        "breaker": breaker,
        "opening": breaker.opening,
        "health": fares,
        "findings": findings,
        "limits": limit_words.said([limit for limit in limits.read() if limit.service == service.name]),
        "kept": dict(Service._meta.get_field("data_class").flatchoices)[sessions.data_class(service).value],
        "bindings": service.mappings.select_related("mapping__engine").order_by("mapping__topic", "alias"),
        "units": catalogue.needing(service.kind),
        "grants": service.grants.select_related("application").order_by("application__label"),
    }
    return render(request, "web/service.html", context)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def service_new(request: HttpRequest) -> HttpResponse:
    """Add one."""
    return _form(request, Service(), _("Add a service"), reverse("services"))


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def service_change(request: HttpRequest, service_id: int) -> HttpResponse:
    """Change its settings."""
    service = get_object_or_404(Service, pk=service_id)
    return _form(request, service, _("Change service %(name)s") % {"name": service.name}, _address(service))


def _form(request: HttpRequest, service: Service, title: str, back: str) -> HttpResponse:
    form = ServiceForm(request.POST or None, instance=service)
    if (saved := row_actions.edit(request, form)) is not None:
        return redirect("service", saved.pk)
    return row_actions.form_page(request, form, _place(title, back))


@needs(Role.ADMINISTRATOR)
@require_POST
def service_active(request: HttpRequest, service_id: int, active: str) -> HttpResponse:
    """Let tasks call it, or not."""
    service = get_object_or_404(Service, pk=service_id)
    return row_actions.switch(request, service, active=active == "on", page=_address(service))


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def service_remove(request: HttpRequest, service_id: int) -> HttpResponse:
    """Forget one that no mapping uses."""
    service = get_object_or_404(Service, pk=service_id)
    rights, bound = service.grants.count(), service.mappings.values("mapping").distinct().count()
    says = [_("BPTL forgets the service with its secrets. The service itself is not touched.")]
    if rights:
        text = ngettext(
            "The right of one application to it is removed with it.",
            "The rights of %(count)d applications to it are removed with it.",
            rights,
        )
        says.append(text % {"count": rights})
    used = ""
    if bound:
        text = ngettext(
            "A mapping uses it: give it another service first.",
            "%(count)d mappings use it: give them another service first.",
            bound,
        )
        used = text % {"count": bound}
    place = _place(_("Remove service %(name)s") % {"name": service.name}, _address(service))
    return row_actions.remove(request, service, place, says=says, used=used)


def _address(service: Service) -> str:
    return reverse("service", args=[service.pk])


def _place(title: str, back: str) -> Place:
    return Place(title, _("Services"), reverse("services"), back)

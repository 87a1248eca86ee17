"""Applications: for whom tasks are done, which units may be run, and which services used, with which credentials."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bptl.accounts import audit
from bptl.accounts.roles import Role
from bptl.clients.access import Kind
from bptl.clients.errors import ServiceError
from bptl.connections import catalogue
from bptl.connections.importing import import_applications
from bptl.connections.secrets import Undecryptable
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.web import row_actions, unreachable
from bptl.web.acting import by
from bptl.web.rights import needs
from bptl.web.row_actions import Place
from bptl.web.written_forms import ApplicationForm, GrantForm, ImportForm


@needs(Role.VIEWER)
@require_safe
def application_list(request: HttpRequest) -> HttpResponse:
    """All of them, with what was granted."""
    found = Application.objects.prefetch_related("grants__service")
    importable = _registers().exists()
    return render(request, "web/application_list.html", {"applications": found, "importable": importable})


@needs(Role.VIEWER)
@require_safe
def application_page(request: HttpRequest, application_id: int) -> HttpResponse:
    """One of them."""
    application = get_object_or_404(Application, pk=application_id)
    context = {
        "application": application,
        "grants": application.grants.select_related("service"),
        "mappings": catalogue.for_application(application),
    }
    return render(request, "web/application.html", context)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def application_new(request: HttpRequest) -> HttpResponse:
    """Add one."""
    return _form(request, Application(), _("Add an application"), reverse("applications"))


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def application_change(request: HttpRequest, application_id: int) -> HttpResponse:
    """Change its name and its units."""
    application = get_object_or_404(Application, pk=application_id)
    title = _("Change application %(name)s") % {"name": application.label}
    return _form(request, application, title, _address(application))


def _form(request: HttpRequest, application: Application, title: str, back: str) -> HttpResponse:
    form = ApplicationForm(request.POST or None, instance=application)
    if (saved := row_actions.edit(request, form)) is not None:
        return redirect("application", saved.pk)
    return row_actions.form_page(request, form, _place(title, back))


@needs(Role.ADMINISTRATOR)
@require_POST
def application_active(request: HttpRequest, application_id: int, active: str) -> HttpResponse:
    """Do tasks for it, or not."""
    application = get_object_or_404(Application, pk=application_id)
    return row_actions.switch(request, application, active=active == "on", page=_address(application))


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def application_remove(request: HttpRequest, application_id: int) -> HttpResponse:
    """Forget it with its rights."""
    application = get_object_or_404(Application, pk=application_id)
    amount = application.grants.count()
    says = [_("Tasks that name it in bptlAppId become incidents that say that no application has this id.")]
    if amount:
        text = ngettext(
            "Its right to one service goes with it, with the credentials.",
            "Its rights to %(count)d services go with it, with the credentials.",
            amount,
        )
        says.append(text % {"count": amount})
    place = _place(_("Remove application %(name)s") % {"name": application.label}, _address(application))
    return row_actions.remove(request, application, place, says=says)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def grant_new(request: HttpRequest, application_id: int) -> HttpResponse:
    """Let it use a service."""
    application = get_object_or_404(Application, pk=application_id)
    title = _("Let %(name)s use a service") % {"name": application.label}
    return _grant_form(request, ServiceGrant(application=application), title)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def grant_change(request: HttpRequest, application_id: int, grant_id: int) -> HttpResponse:
    """Change with which credentials."""
    grant = _grant(application_id, grant_id)
    told = {"name": grant.application.label, "service": grant.service.name}
    return _grant_form(request, grant, _("How %(name)s uses %(service)s") % told)


def _grant_form(request: HttpRequest, grant: ServiceGrant, title: str) -> HttpResponse:
    form = GrantForm(request.POST or None, instance=grant)
    if row_actions.edit(request, form, parent=grant.application) is not None:
        return redirect(_address(grant.application))
    return row_actions.form_page(request, form, _place(title, _address(grant.application)))


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def grant_remove(request: HttpRequest, application_id: int, grant_id: int) -> HttpResponse:
    """Take the right away."""
    grant = _grant(application_id, grant_id)
    told = {"name": grant.application.label, "service": grant.service.name}
    says = [
        _("Tasks for %(name)s that need %(service)s become incidents that say which right is missing.") % told,
        _("The credentials that were entered for it are forgotten."),
    ]
    place = _place(_("Take %(service)s away from %(name)s") % told, _address(grant.application))
    return row_actions.remove(request, grant, place, says=says, parent=grant.application)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def application_import(request: HttpRequest) -> HttpResponse:
    """Read the applications of an Autorisaties API; what was granted here stays as it is."""
    form = ImportForm(request.POST or None, services=_registers())
    context: dict[str, object] = {"form": form, "importable": _registers().exists()}
    if request.method == "POST" and form.is_valid():
        service: Service = form.cleaned_data["service"]
        try:
            with transaction.atomic():
                found = import_applications(service, units=form.cleaned_data["units"])
                amounts = {name: len(getattr(found, name)) for name in ("added", "changed", "unchanged", "gone")}
                audit.record("applications.imported", by=by(request), about=service, detail=amounts)
        except (ServiceError, Undecryptable) as error:
            return unreachable.service_page(request, service, error)
        context |= {"found": found, "service": service}
    return render(request, "web/application_import.html", context)


def _registers() -> QuerySet[Service]:
    return Service.objects.filter(kind=Kind.AUTORISATIES, active=True)


def _grant(application_id: int, grant_id: int) -> ServiceGrant:
    rows = ServiceGrant.objects.select_related("application", "service")
    return get_object_or_404(rows, pk=grant_id, application=application_id)


def _address(application: Application) -> str:
    return reverse("application", args=[application.pk])


def _place(title: str, back: str) -> Place:
    return Place(title, _("Applications"), reverse("applications"), back)

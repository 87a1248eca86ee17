"""Admin pages of services, and of the applications that may use them. Secrets can be entered and never read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from bptl.connections import grants, service_check
from bptl.connections.findings import Finding
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.web.admin_audit import Audited
from bptl.web.admin_written import TLS_FIELDS, ReachedForm, SecretForm, TestedAdmin
from bptl.work_units import registry

if TYPE_CHECKING:
    ApplicationModelForm = forms.ModelForm[Application]
    ApplicationModelAdmin = admin.ModelAdmin[Application]
    GrantTabularInline = admin.StackedInline[ServiceGrant, Application]
else:
    ApplicationModelForm = forms.ModelForm
    ApplicationModelAdmin = admin.ModelAdmin
    GrantTabularInline = admin.StackedInline


class ServiceForm(ReachedForm):
    """A service with what is written and never shown."""

    class Meta:
        model = Service
        fields = (
            *("name", "kind", "address", "outway", "fsc_grant_hash", "authentication", "client_id", "user_id"),
            *("user_representation", "header", "token_address", "scope", "timeout_seconds", "data_class", "test_path"),
            "active",
        )


class ServiceAdmin(TestedAdmin):
    """The outside services that work units call."""

    form = ServiceForm
    fieldsets = (
        (None, {"fields": ("name", "active", "kind", "address")}),
        (
            _("Login"),
            {
                "description": _("For tasks of applications that use these, and for tasks without application."),
                "fields": (
                    *("authentication", "client_id", "secret", "user_id", "user_representation"),
                    *("header", "token_address", "scope"),
                ),
            },
        ),
        (_("Calls"), {"fields": ("timeout_seconds", "data_class", "test_path")}),
        (_("NLX and FSC"), {"classes": ("collapse",), "fields": ("outway", "fsc_grant_hash")}),
        (_("TLS"), {"classes": ("collapse",), "fields": TLS_FIELDS}),
    )
    list_display = ("name", "kind", "address", "authentication", "active")
    list_filter = ("active", "kind")
    search_fields = ("name", "address")

    def findings(self, row: Service) -> Sequence[Finding]:
        """What the service answers to each login that tasks may use."""
        return service_check.check(row)


class GrantForm(SecretForm):
    """A right to a service with the application's own credentials."""

    class Meta:
        model = ServiceGrant
        fields = ("service", "as_service", "client_id", "user_id", "user_representation")


class GrantInline(GrantTabularInline):
    """The services that an application may use."""

    model = ServiceGrant
    form = GrantForm
    extra = 0
    fields = ("service", "as_service", "client_id", "secret", "user_id", "user_representation")


class ApplicationForm(ApplicationModelForm):
    """An application whose units are chosen from the registered ones."""

    class Meta:
        model = Application
        fields = ("app_id", "label", "units", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        units = registry.load()
        themes = sorted({name.partition(".")[0] + grants.THEME for name in units.names()})
        choices = [(grants.ALL, gettext("all units"))]
        choices += [(theme, gettext("%(theme)s: all of this theme") % {"theme": theme}) for theme in themes]
        choices += [(unit.name, f"{unit.name} — {unit.summary}") for unit in units]
        # What is stored must stay a choice: it can be taken away, and is not lost in silence.
        known = {choice for choice, _label in choices}
        gone = [unit for unit in self.instance.units if unit not in known]
        choices += [(unit, gettext("%(unit)s (broken: not registered)") % {"unit": unit}) for unit in gone]
        self.fields["units"] = forms.MultipleChoiceField(
            label=_("units"),
            choices=choices,
            required=False,
            widget=forms.CheckboxSelectMultiple,
            help_text=_("Work units that may be run for it."),
        )


class ApplicationAdmin(Audited, ApplicationModelAdmin):
    """For whom tasks are done, and what may be used for them."""

    form = ApplicationForm
    inlines = (GrantInline,)
    fields = ("app_id", "label", "active", "units", "client_ids", "components")
    readonly_fields = ("client_ids", "components")
    list_display = ("label", "app_id", "granted_units", "granted_services", "active")
    list_filter = ("active",)
    search_fields = ("label", "app_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Application]:
        """With the services of each."""
        return super().get_queryset(request).prefetch_related("grants__service")

    @admin.display(description=_("units"), empty_value="-")
    def granted_units(self, application: Application) -> str:
        """Units and themes."""
        return ", ".join(application.units)

    @admin.display(description=_("services"), empty_value="-")
    def granted_services(self, application: Application) -> str:
        """Names of services."""
        return ", ".join(grant.service.name for grant in application.grants.all())

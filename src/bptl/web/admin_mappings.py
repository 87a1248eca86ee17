"""Admin pages of mappings. One whose unit is not registered is marked and can still be opened, paused and mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from bptl.accounts import audit
from bptl.connections import mappings
from bptl.connections.mappings import problems
from bptl.connections.models import Mapping, MappingService
from bptl.web.acting import by
from bptl.web.admin_audit import Audited
from bptl.work_units import registry

if TYPE_CHECKING:
    MappingModelForm = forms.ModelForm[Mapping]
    MappingModelAdmin = admin.ModelAdmin[Mapping]
    ServiceTabularInline = admin.TabularInline[MappingService, Mapping]
    ServiceInlineFormSet = forms.BaseInlineFormSet[MappingService, Mapping, forms.ModelForm[MappingService]]
else:
    MappingModelForm = forms.ModelForm
    MappingModelAdmin = admin.ModelAdmin
    ServiceTabularInline = admin.TabularInline
    ServiceInlineFormSet = forms.BaseInlineFormSet


class ServiceFormSet(ServiceInlineFormSet):
    """The services of one mapping, checked against what its unit needs."""

    def clean(self) -> None:
        """Refuse what the unit could not work with, with every reason."""
        super().clean()
        if any(self.errors):
            return
        kept = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        mappings.check(self.instance, {row["alias"]: row["service"] for row in kept})


class ServiceInline(ServiceTabularInline):
    """Which service the unit gets under which alias."""

    model = MappingService
    formset = ServiceFormSet
    extra = 0
    fields = ("alias", "service")


class MappingForm(MappingModelForm):
    """A mapping whose unit is chosen from the registered ones."""

    unit = forms.ChoiceField(label=_("work unit"))

    class Meta:
        model = Mapping
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        units = registry.load()
        choices = [("", "---------"), *((unit.name, f"{unit.name} — {unit.summary}") for unit in units)]
        current = self.instance.unit
        # What is stored must stay a choice, or a mapping with a broken or old name could not be saved at all.
        if current and current not in units:
            choices.append((current, gettext("%(unit)s (broken: not registered)") % {"unit": current}))
        elif current and current not in units.names():
            name = units.get(current).name
            choices.append((current, gettext("%(old)s (old name of %(unit)s)") % {"old": current, "unit": name}))
        self.fields["unit"] = forms.ChoiceField(label=_("work unit"), choices=choices)


class MappingAdmin(Audited, MappingModelAdmin):
    """Which work unit does which topic."""

    form = MappingForm
    list_display = ("topic", "engine", "unit", "active", "lock_seconds", "longest_run_seconds", "problem_list")
    list_filter = ("active", "engine")
    list_select_related = ("engine",)
    search_fields = ("topic", "unit")
    readonly_fields = ("problem_list", "needs", "unit_page")
    inlines = (ServiceInline,)
    actions = ("activate", "deactivate")
    fieldsets = (
        (None, {"fields": ("engine", "topic", "unit", "active", "problem_list", "needs", "unit_page")}),
        (_("Work"), {"fields": ("lock_seconds", "longest_run_seconds", "retry_plan", "error_codes", "priority")}),
        (_("Order of fetching"), {"fields": ("use_engine_priority", "oldest_first")}),
        (
            _("Filters"),
            {
                "classes": ("collapse",),
                "fields": (
                    "business_key",
                    "definition_keys",
                    "version_tag",
                    "tenant_ids",
                    "without_tenant",
                    "local_variables",
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mapping]:
        """With the services of each, which decide what is wrong with it."""
        return super().get_queryset(request).prefetch_related("services__service")

    @admin.display(description=_("problems"), empty_value="-")
    def problem_list(self, mapping: Mapping) -> SafeString | None:
        """What is wrong with the mapping; empty for a new one."""
        found = problems(mapping) if mapping.pk else []
        return format_html_join("", "<div>⚠ {}</div>", ((problem,) for problem in found)) or None

    @admin.display(description=_("services that the unit needs"))
    def needs(self, mapping: Mapping) -> SafeString | str:
        """Each alias with the type of its API and what for; given below as services of the unit."""
        unit = mappings.unit(mapping) if mapping.unit else None
        if unit is None:
            return gettext("Save with a unit: what it needs is said then.")
        rows = (
            (alias, need.kind or gettext("any type"), need.purpose, gettext("(optional)") if need.optional else "")
            for alias, need in unit.needs.items()
        )
        return format_html_join("", "<div>{}: {}, {} {}</div>", rows) or gettext("none")

    @admin.display(description=_("in the catalogue"))
    def unit_page(self, mapping: Mapping) -> SafeString | str:
        """The page of the unit, and the mapping as an element template for modelers."""
        if not mapping.pk:
            return format_html('<a href="{}">{}</a>', reverse("units"), gettext("all work units"))
        page = format_html('<a href="{}">{}</a>', reverse("unit", args=[mapping.unit]), mapping.unit)
        if mapping.engine_id is None or mappings.unit(mapping) is None:
            return page
        download = reverse("mapping-template", args=[mapping.pk])
        return format_html('{} · <a href="{}">{}</a>', page, download, gettext("element template"))

    @admin.action(description=_("Activate"), permissions=["change"])
    def activate(self, request: HttpRequest, mappings: QuerySet[Mapping]) -> None:
        """Fetch for the chosen mappings."""
        self._set_active(request, mappings, active=True)

    @admin.action(description=_("Deactivate"), permissions=["change"])
    def deactivate(self, request: HttpRequest, mappings: QuerySet[Mapping]) -> None:
        """Stop fetching for the chosen mappings."""
        self._set_active(request, mappings, active=False)

    def _set_active(self, request: HttpRequest, mappings: QuerySet[Mapping], *, active: bool) -> None:
        with transaction.atomic():
            changed = list(mappings.exclude(active=active).select_for_update(of=("self",)))
            # Pollers notice a change by updated_at, which update() does not touch by itself.
            Mapping.objects.filter(pk__in=[mapping.pk for mapping in changed]).update(active=active, updated_at=Now())
            for mapping in changed:
                audit.record("mapping.activated" if active else "mapping.deactivated", by=by(request), about=mapping)
        count = len(changed)
        text = (
            ngettext("%(count)d mapping activated.", "%(count)d mappings activated.", count)
            if active
            else ngettext("%(count)d mapping deactivated.", "%(count)d mappings deactivated.", count)
        )
        self.message_user(request, text % {"count": count}, messages.SUCCESS)

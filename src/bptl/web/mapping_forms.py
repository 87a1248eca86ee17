"""The form of a mapping: a unit from the catalogue, a service for each alias of that unit, checked while one types."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import Q
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bptl.connections import bindings
from bptl.connections.models import Engine, Mapping
from bptl.connections.service_models import Service
from bptl.web.reason_form import ReasonField, ReasonForm
from bptl.work_units import registry
from bptl.work_units.contract import Need, WorkUnit

if TYPE_CHECKING:
    MappingModelForm = forms.ModelForm[Mapping]
    ServiceChoiceField = forms.ModelChoiceField[Service]
else:
    MappingModelForm = forms.ModelForm
    ServiceChoiceField = forms.ModelChoiceField

_ALIAS = "service-"
_CLASSES: Sequence[tuple[type[forms.Widget], str]] = (
    (forms.CheckboxInput, ""),
    (forms.Select, "utrecht-select utrecht-select--html-select"),
    (forms.Textarea, "utrecht-textbox"),
    (forms.Widget, "utrecht-textbox utrecht-textbox--html-input"),
)

SECTIONS: Sequence[tuple[str | Promise, Sequence[str]]] = (
    (
        gettext_lazy("Work"),
        (
            *("longest_run_seconds", "most_at_once", "retry_plan", "error_codes", "priority", "lock_seconds"),
            "quarantine_after",
        ),
    ),
    (gettext_lazy("Order of fetching"), ("use_engine_priority", "oldest_first")),
    (
        gettext_lazy("Only some tasks"),
        ("business_key", "definition_keys", "version_tag", "tenant_ids", "without_tenant", "local_variables"),
    ),
)
"""What stands below engine, topic, unit and services, in this order."""


class CodesField(forms.CharField):
    """The table of BPMN error codes: a line ``cause = code`` for each."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        """The lines of a stored table; what was typed as it is."""
        return "\n".join(f"{cause} = {code}" for cause, code in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        """The table that the lines say. Raises ValidationError for a line that says none."""
        codes = {}
        for line in (super().to_python(value) or "").splitlines():
            cause, equals, code = (part.strip() for part in line.partition("="))
            if not (cause or equals):
                continue
            if not cause or not code:
                raise forms.ValidationError(
                    _("“%(line)s”: write a cause and a code, such as HTTP 404 = NIET_GEVONDEN."),
                    code="codes",
                    params={"line": line.strip()},
                )
            codes[cause] = code
        return codes

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the table says something else; blanks and empty lines are nothing."""
        try:
            return bool(self.to_python(data) != (initial or {}))
        except forms.ValidationError:
            return True


class ServiceField(ServiceChoiceField):
    """A service that fits an alias of the unit."""

    def __init__(self, alias: str, need: Need | None, *, bound: Service | None) -> None:
        fits = Q() if need is None or need.kind is None else Q(kind=need.kind)
        choices = Service.objects.filter(fits | Q(pk=bound.pk if bound else None))
        purpose = f"{need.purpose} ({_('optional')})" if need and need.optional else need.purpose if need else ""
        super().__init__(
            choices, label=alias, help_text=purpose, required=False, to_field_name="name", empty_label=_("none")
        )

    def label_from_instance(self, obj: Service) -> str:
        """Its name and type, and whether it is called at all."""
        return f"{obj.name} ({obj.kind})" if obj.active else f"{obj.name} ({obj.kind}, {_('inactive')})"


class MappingForm(MappingModelForm):
    """Everything of a mapping that people set. ``unit_chosen`` is its unit now; ``seen`` tells of which row it was."""

    engine = forms.ModelChoiceField(
        Engine.objects.all(),
        label=gettext_lazy("Engine"),
        required=False,
        to_field_name="name",
        empty_label=gettext_lazy("none: calls of the REST API"),
        help_text=gettext_lazy("Whose tasks these are. Activiti, Flowable and others call the REST API instead."),
    )
    unit = forms.ChoiceField(label=gettext_lazy("Work unit"))
    error_codes = CodesField(
        label=gettext_lazy("BPMN error codes"),
        required=False,
        help_text=gettext_lazy(
            "What becomes a BPMN error, one in a line: HTTP 404 = NIET_GEVONDEN, or a class of errors such as "
            "InvalidInput = ONGELDIG."
        ),
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    reason = ReasonField()

    class Meta:
        model = Mapping
        fields = ("engine", "topic", "unit", "active", *(name for _title, names in SECTIONS for name in names))
        labels = {"active": gettext_lazy("Fetch at once")}
        help_texts = {
            "active": gettext_lazy("Without it the mapping begins paused."),
            "definition_keys": gettext_lazy("Keys, separated by commas; empty: all that we may see."),
            "tenant_ids": gettext_lazy("Separated by commas; empty: the tenants of the engine."),
            "local_variables": gettext_lazy(
                "Give the unit the variables of the task only, not those of scopes around it."
            ),
            "oldest_first": gettext_lazy("Camunda 7.21 or newer, Operaton, CIB seven."),
        }
        field_classes = {"definition_keys": SimpleArrayField, "tenant_ids": SimpleArrayField}

    def __init__(self, data: QueryDict | None = None, *, instance: Mapping | None = None, **kwargs: Any) -> None:
        mapping = instance or Mapping()
        data = data.copy() if data is not None else None
        super().__init__(data, instance=mapping, **kwargs)
        if not mapping._state.adding:
            # It is paused and resumed on pages of their own, which ask why.
            del self.fields["active"]
            self.initial = {**self.initial, "engine": mapping.engine, "seen": mapping.updated_at.isoformat()}
        else:
            del self.fields["reason"]
        self.fields["unit"] = forms.ChoiceField(label=self.fields["unit"].label, choices=_units(mapping.unit))
        chosen = data.get("unit", "") if data is not None else self.initial.get("unit") or ""
        self.unit_chosen = _registered(chosen)
        self._bound = {} if mapping._state.adding else bindings.of(mapping)
        self._add_services(chosen, data)
        for field in self.fields.values():
            css = next(css for kind, css in _CLASSES if isinstance(field.widget, kind))
            field.widget.attrs |= {"class": css, "autocomplete": "off"} if css else {}
        for name in ("topic", "retry_plan", "business_key", "version_tag"):
            self.fields[name].widget.attrs["spellcheck"] = "false"

    def _add_services(self, chosen: str, data: QueryDict | None) -> None:
        """A field for each alias of the unit; for one that is not registered those that the mapping has already."""
        needs: MappingOf[str, Need | None] = dict.fromkeys(self._bound)
        if self.unit_chosen is not None:
            needs = dict(self.unit_chosen.needs)
        for alias, need in needs.items():
            name, bound = f"{_ALIAS}{alias}", self._bound.get(alias)
            field = self.fields[name] = ServiceField(alias, need, bound=bound)
            self.initial[name] = bound
            if bound is None and need is not None and not need.optional:
                fitting = list(field.queryset[:2])  # type: ignore[index] # a query, never None
                if len(fitting) == 1 and data is None:
                    self.initial[name] = fitting[0]
                elif len(fitting) == 1 and data is not None and name not in data:
                    # Its unit was chosen just now, so nobody has seen this field yet.
                    data[name] = fitting[0].name

    @property
    def services(self) -> Sequence[forms.BoundField]:
        """The fields of the unit's services."""
        return [self[name] for name in self.fields if name.startswith(_ALIAS)]

    @property
    def sections(self) -> Sequence[tuple[str | Promise, Sequence[forms.BoundField], bool]]:
        """The fields below, by title; the last says whether anything of it is set."""
        return [(title, [self[name] for name in names], self._is_set(names)) for title, names in SECTIONS]

    def _is_set(self, names: Sequence[str]) -> bool:
        defaults = Mapping()
        return any(
            name in self.errors or self.fields[name].has_changed(getattr(defaults, name), self[name].value())
            for name in names
        )

    @property
    def bound(self) -> dict[str, Service]:
        """The chosen services by alias."""
        chosen = {
            name.removeprefix(_ALIAS): value for name, value in self.cleaned_data.items() if name.startswith(_ALIAS)
        }
        return {alias: service for alias, service in chosen.items() if service is not None}

    @property
    def changed(self) -> Sequence[str]:
        """Names of what differs from the stored row; ``services`` for those of the unit."""
        names = ["services" if name.startswith(_ALIAS) else name for name in self.changed_data]
        return [name for name in dict.fromkeys(names) if name not in {"seen", "reason"}]

    def clean(self) -> dict[str, Any]:
        """Refuse services that the unit cannot work with, each at its own field."""
        cleaned = super().clean() or self.cleaned_data
        if self.unit_chosen is not None and cleaned.get("active", self.instance.active):
            for alias, sentences in bindings.problems_by_alias(self.unit_chosen, self.bound).items():
                name = f"{_ALIAS}{alias}"
                if name not in self.errors:
                    self.add_error(name, [forms.ValidationError(sentence, code="service") for sentence in sentences])
        return cleaned

    def forgive_what_is_not_typed_yet(self) -> None:
        """While somebody types, a field that is still empty is no fault."""
        for name, errors in list(self.errors.items()):
            left = [error for error in errors.as_data() if error.code not in {"required", "blank"}]
            del self.errors[name]
            if left:
                self.errors[name] = self.error_class(left)


class PauseForm(ReasonForm):
    """Why, which is shown with the mapping too, and until when."""

    reason = ReasonField(longest=500)
    until = forms.DateTimeField(
        label=gettext_lazy("Until"),
        required=False,
        help_text=gettext_lazy("It resumes by itself then. Empty: until somebody resumes it."),
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "class": "utrecht-textbox utrecht-textbox--html-input"},
            format="%Y-%m-%dT%H:%M",
        ),
    )


def _units(current: str) -> Sequence[tuple[str, str]]:
    """The registered units, and what is stored, which must stay a choice or a broken mapping could not be saved."""
    units = registry.load()
    choices = [("", _("choose a unit")), *((unit.name, unit.name) for unit in units)]
    if current and current not in units:
        choices.append((current, _("%(unit)s (broken: not registered)") % {"unit": current}))
    elif current and current not in units.names():
        told = {"old": current, "unit": units.get(current).name}
        choices.append((current, _("%(old)s (old name of %(unit)s)") % told))
    return choices


def _registered(name: str) -> WorkUnit | None:
    try:
        return registry.load().get(name)
    except registry.UnknownUnit:
        return None

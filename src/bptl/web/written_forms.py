"""Forms of what BPTL reaches: engines, services, applications and their rights. Secrets are written and never shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from bptl.connections import grants
from bptl.connections.models import Engine
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.work_units import registry

if TYPE_CHECKING:
    AnyModelForm = forms.ModelForm[Any]
else:
    AnyModelForm = forms.ModelForm

KEPT = _("Stored encrypted and never shown. Leave empty to keep what is stored.")
_TEXTBOX = "utrecht-textbox utrecht-textbox--html-input"
_LOOKS: tuple[tuple[type[forms.Widget], str], ...] = (
    (forms.Textarea, "utrecht-textbox"),
    (forms.Select, "utrecht-select utrecht-select--html-select"),
    (forms.widgets.Input, _TEXTBOX),
)


class WrittenTextarea(forms.Textarea):
    """Shows nothing of what is stored, nor of what was entered just now."""

    def format_value(self, value: Any) -> str:
        """Nothing."""
        return ""


def _pem(label: Any) -> forms.CharField:
    widget = WrittenTextarea(attrs={"rows": 4})
    return forms.CharField(label=label, required=False, widget=widget, help_text=KEPT)


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together; ``folded``: few need them."""

    title: str | Promise
    fields: Sequence[forms.BoundField]
    folded: bool = False
    about: str | Promise = ""


class RowForm(AnyModelForm):
    """A form of one row with the look of the pages. ``sections``: title, names of fields, whether they are folded."""

    sections: ClassVar[Sequence[tuple[str | Promise, Sequence[str], bool]]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field.widget, (forms.CheckboxInput, forms.CheckboxSelectMultiple)):
                continue
            look = next((css for kind, css in _LOOKS if isinstance(field.widget, kind)), "")
            field.widget.attrs = {"class": look, "autocomplete": "off", "spellcheck": "false", **field.widget.attrs}

    def groups(self) -> Iterator[Group]:
        """What the page shows, in its order. A folded group with a fault is open."""
        for title, names, folded in self.sections:
            fields = [self[name] for name in names]
            yield Group(title, fields, folded and not any(field.errors for field in fields))


class SecretForm(RowForm):
    """A row with a secret that is written and never shown."""

    secret = forms.CharField(
        label=_("secret"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text=KEPT,
    )

    def clean(self) -> dict[str, Any] | None:
        """Give the row what was entered, before the model checks what it has."""
        cleaned = super().clean()
        for name in ("secret", "certificate", "key", "authorities"):
            if self.cleaned_data.get(name):
                setattr(self.instance, name, self.cleaned_data[name])
        return cleaned


class ReachedForm(SecretForm):
    """The same with TLS material, which can also be taken away."""

    certificate = _pem(_("client certificate (PEM)"))
    key = _pem(_("its private key (PEM)"))
    forget_certificate = forms.BooleanField(label=_("forget certificate and key"), required=False)
    authorities = _pem(_("own certificate authorities (PEM)"))
    forget_authorities = forms.BooleanField(label=_("trust the system's authorities again"), required=False)

    def clean(self) -> dict[str, Any] | None:
        """Take away what is to be forgotten, give what was entered."""
        if self.cleaned_data.get("forget_certificate"):
            self.instance.certificate = self.instance.key = ""
        if self.cleaned_data.get("forget_authorities"):
            self.instance.authorities = ""
        return super().clean()


_TLS = (_("TLS"), ("certificate", "key", "forget_certificate", "authorities", "forget_authorities"), True)


class EngineForm(ReachedForm):
    """An engine with what is written and never shown."""

    sections = (
        (_("Engine"), ("name", "product", "address", "tenant_ids"), False),
        (_("Login"), ("authentication", "username", "secret"), False),
        (_("OAuth2"), ("token_address", "scope"), True),
        _TLS,
    )

    class Meta:
        model = Engine
        fields = ("name", "product", "address", "authentication", "username", "token_address", "scope", "tenant_ids")


class ServiceForm(ReachedForm):
    """A service with what is written and never shown."""

    sections = (
        (_("Service"), ("name", "kind", "address"), False),
        (
            _("Login, for tasks of applications that use it and for tasks without application"),
            ("authentication", "client_id", "secret", "user_id", "user_representation"),
            False,
        ),
        (_("API key and OAuth2"), ("header", "token_address", "scope"), True),
        (_("Calls"), ("timeout_seconds", "slow_after_seconds", "data_class", "test_path"), False),
        (_("Limits"), ("most_at_once", "most_a_minute"), False),
        (_("NLX and FSC"), ("outway", "fsc_grant_hash"), True),
        _TLS,
    )

    class Meta:
        model = Service
        fields = (
            *("name", "kind", "address", "outway", "fsc_grant_hash", "authentication", "client_id", "user_id"),
            *("user_representation", "header", "token_address", "scope", "timeout_seconds", "slow_after_seconds"),
            *("data_class", "test_path", "most_at_once", "most_a_minute"),
        )


def unit_choices(stored: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Grants of units that can be chosen: all, themes, units; and what is ``stored``, so that it is not lost."""
    units = registry.load()
    themes = sorted({name.partition(".")[0] + grants.THEME for name in units.names()})
    choices = [(grants.ALL, gettext("all units"))]
    choices += [(theme, gettext("%(theme)s: all of this theme") % {"theme": theme}) for theme in themes]
    choices += [(unit.name, f"{unit.name} — {unit.summary}") for unit in units]
    known = {choice for choice, _label in choices}
    gone = [unit for unit in stored if unit not in known]
    return choices + [(unit, gettext("%(unit)s (broken: not registered)") % {"unit": unit}) for unit in gone]


class ApplicationForm(RowForm):
    """An application whose units are chosen from the registered ones."""

    sections = ((_("Application"), ("app_id", "label"), False), (_("Work units"), ("units",), False))

    class Meta:
        model = Application
        fields = ("app_id", "label", "units")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["units"] = forms.MultipleChoiceField(
            label=_("units"),
            choices=unit_choices(self.instance.units),
            required=False,
            widget=forms.CheckboxSelectMultiple,
            help_text=_("Work units that may be run for it."),
        )


class GrantForm(SecretForm):
    """A right to a service, with the application's own credentials or with those of the service."""

    sections = (
        (_("Service"), ("service", "as_service"), False),
        (_("Credentials of the application"), ("client_id", "secret", "user_id", "user_representation"), False),
    )

    class Meta:
        model = ServiceGrant
        fields = ("service", "as_service", "client_id", "user_id", "user_representation")

    def _get_validation_exclusions(self) -> set[str]:
        # No field of the form, but a part of what must be unique.
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded - {"application"}


class ImportForm(forms.Form):
    """Which Autorisaties API is read, and what its new applications may do."""

    service = forms.ModelChoiceField(
        label=_("Autorisaties API"),
        queryset=Service.objects.none(),
        empty_label=None,
        widget=forms.Select(attrs={"class": "utrecht-select utrecht-select--html-select"}),
    )
    units = forms.MultipleChoiceField(
        label=_("Work units of new ones"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Known applications keep what was granted to them."),
    )

    def __init__(self, *args: Any, services: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["service"].queryset = services  # type: ignore[attr-defined]
        self.fields["units"].choices = unit_choices()  # type: ignore[attr-defined]

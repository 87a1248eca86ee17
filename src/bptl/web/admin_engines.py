"""Admin pages of engines. A password or token can be entered and never read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from bptl.connections.models import Engine
from bptl.web.admin_audit import Audited

if TYPE_CHECKING:
    EngineModelForm = forms.ModelForm[Engine]
    EngineModelAdmin = admin.ModelAdmin[Engine]
else:
    EngineModelForm = forms.ModelForm
    EngineModelAdmin = admin.ModelAdmin


class EngineForm(EngineModelForm):
    """An engine with a secret that is written and never shown."""

    secret = forms.CharField(
        label=_("password or token"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted and never shown. Leave empty to keep what is stored."),
    )

    class Meta:
        model = Engine
        fields = ("name", "product", "address", "authentication", "username", "tenant_ids", "active")

    def clean(self) -> dict[str, Any] | None:
        """Give the engine its new secret, before the model checks whether it has one."""
        cleaned = super().clean()
        if self.cleaned_data.get("secret"):
            self.instance.secret = self.cleaned_data["secret"]
        return cleaned


class EngineAdmin(Audited, EngineModelAdmin):
    """The engines that BPTL works for."""

    form = EngineForm
    fields = ("name", "active", "product", "address", "authentication", "username", "secret", "tenant_ids")
    list_display = ("name", "product", "address", "authentication", "active")
    list_filter = ("active", "product")
    search_fields = ("name", "address")

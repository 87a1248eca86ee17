"""What the admin pages of engines, services and applications share: secrets that are only written, and a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from bptl.accounts.roles import Role
from bptl.connections.findings import Finding, Mark
from bptl.web.rights import needs

if TYPE_CHECKING:
    AnyModelForm = forms.ModelForm[Any]
    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyModelForm = forms.ModelForm
    AnyModelAdmin = admin.ModelAdmin

KEPT = _("Stored encrypted and never shown. Leave empty to keep what is stored.")
LEVELS = {Mark.GOOD: messages.SUCCESS, Mark.DOUBT: messages.WARNING, Mark.BAD: messages.ERROR}


class WrittenTextarea(forms.Textarea):
    """Shows nothing of what is stored, nor of what was entered just now."""

    def format_value(self, value: Any) -> str:
        """Nothing."""
        return ""


def _pem(label: Any) -> forms.CharField:
    widget = WrittenTextarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(label=label, required=False, widget=widget, help_text=KEPT)


class SecretForm(AnyModelForm):
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


TLS_FIELDS = ("certificate", "key", "forget_certificate", "authorities", "forget_authorities")


class TestedAdmin(AnyModelAdmin):
    """A page with a button that tests the connection of its row, and says in words what is wrong."""

    change_form_template = "web/admin_tested.html"

    def findings(self, row: Any) -> Sequence[Finding]:
        """What a test of ``row`` finds."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        """With the address of the test."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_test"
        view = needs(Role.ADMINISTRATOR)(self.admin_site.admin_view(require_POST(self._test)))
        return [path("<int:pk>/test/", view, name=name), *super().get_urls()]

    def _test(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self.get_object(request, str(pk))
        if row is None or not self.has_change_permission(request, row):
            raise PermissionDenied
        for finding in self.findings(row):
            self.message_user(request, finding.text, LEVELS[finding.mark])
        return redirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[pk]))

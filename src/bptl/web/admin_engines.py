"""Admin pages of engines. A password or token can be entered and never read back."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from bptl.connections import access
from bptl.connections.findings import Finding
from bptl.connections.models import Engine
from bptl.web.admin_written import TLS_FIELDS, ReachedForm, TestedAdmin


class EngineForm(ReachedForm):
    """An engine with what is written and never shown."""

    class Meta:
        model = Engine
        fields = (
            *("name", "product", "address", "authentication", "username", "token_address", "scope", "tenant_ids"),
            "active",
        )


class EngineAdmin(TestedAdmin):
    """The engines that BPTL works for."""

    form = EngineForm
    fieldsets = (
        (None, {"fields": ("name", "active", "product", "address", "tenant_ids")}),
        (_("Login"), {"fields": ("authentication", "username", "secret", "token_address", "scope")}),
        (_("TLS"), {"classes": ("collapse",), "fields": TLS_FIELDS}),
    )
    list_display = ("name", "product", "address", "authentication", "active")
    list_filter = ("active", "product")
    search_fields = ("name", "address")

    def findings(self, row: Engine) -> Sequence[Finding]:
        """What the engine says of itself and of our rights."""
        return access.check(row).findings

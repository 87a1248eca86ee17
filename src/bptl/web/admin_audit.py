"""Changes on the admin pages go to the audit log, and nowhere else: Django's own log would be a second one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.admin import ModelAdmin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from bptl.accounts import audit
from bptl.web.acting import by
from bptl.web.admin_look import LookOnly

if TYPE_CHECKING:
    AnyModelAdmin = ModelAdmin[Any]
else:
    AnyModelAdmin = ModelAdmin


class Audited(AnyModelAdmin):
    """Every page of the admin that changes something; a test looks whether one forgot it."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Somebody made it."""
        audit.record(f"{obj._meta.model_name}.added", by=by(request), about=obj, detail=_beside(message or []))

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Somebody changed it: the names of the fields, never what is in them."""
        parts = message or []
        changed = [part["changed"].get("fields", []) for part in parts if "changed" in part]
        detail = {"fields": [str(name) for names in changed for name in names], **_beside(parts)}
        audit.record(f"{obj._meta.model_name}.changed", by=by(request), about=obj, detail=detail)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Somebody deleted these."""
        for row in queryset:
            audit.record(f"{row._meta.model_name}.deleted", by=by(request), about=row)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Its history is what the audit log says of it."""
        wanted = urlencode({"object_type": self.model._meta.label_lower, "object_id": object_id})
        return redirect(f"{reverse('audit')}?{wanted}")


def _beside(parts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Rows of the same page to which something happened, such as the grants of an application."""
    found = {
        happened: [part[happened]["object"] for part in parts if "object" in part.get(happened, {})]
        for happened in ("added", "changed", "deleted")
    }
    return {happened: rows for happened, rows in found.items() if rows}


def unaudited(registry: dict[type[Model], ModelAdmin[Any]]) -> list[str]:
    """Pages of the admin that can change something and do not say so in the audit log."""
    return [
        model._meta.label_lower
        for model, page in registry.items()
        if model._meta.app_config.name.startswith("bptl.")
        if not isinstance(page, (Audited, LookOnly))
    ]

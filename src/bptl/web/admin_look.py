"""For admin pages that show and change nothing."""

from __future__ import annotations

from django.db.models import Model
from django.http import HttpRequest


class LookOnly:
    """No adding, changing and deleting."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

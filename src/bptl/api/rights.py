"""What a call of the REST API needs. Every view says it as its ``right``; one that says nothing is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from bptl.accounts.models import User
from bptl.accounts.roles import Role

if TYPE_CHECKING:  # The framework imports this module while it imports its views.
    from rest_framework.views import APIView


@dataclass(frozen=True, slots=True)
class Right:
    """Who may call: people (with a session, or name and password) with ``role``; None is every login."""

    role: Role | None


class AsDeclared(BasePermission):
    """The one permission of every view."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether who calls has what the view says."""
        right = getattr(view, "right", None)
        user = request.user
        if not isinstance(right, Right) or not isinstance(user, User):
            return False
        return right.role is None or request.auth is not None or user.may(right.role)

"""What a call of the REST API needs. Every view says it as its ``right``; one that says nothing is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from bptl.accounts.models import Token, User
from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope

if TYPE_CHECKING:  # The framework imports this module while it imports its views.
    from rest_framework.views import APIView


@dataclass(frozen=True, slots=True)
class Right:
    """Who may call: people (with a session, or name and password) with ``role``, and tokens with ``scope`` whose user
    has the role that the scope asks for. None is every login, or every token.
    """

    role: Role | None
    scope: Scope | None


class ScopeMissing(PermissionDenied):
    """403 that says which scope the token lacks."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(_("The token lacks the scope %(scope)s.") % {"scope": scope})


class RoleMissing(PermissionDenied):
    """403 that says which role the caller lacks."""

    def __init__(self, role: Role) -> None:
        super().__init__(_("This needs the role %(role)s.") % {"role": role})


class ByAddress(BasePermission):
    """Who knows the address may call it: it holds a token that was given to nobody else."""


class AsDeclared(BasePermission):
    """The one permission of every view."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the view says what it needs; raises ScopeMissing and RoleMissing for who lacks it."""
        right = getattr(view, "right", None)
        user = request.user
        if not isinstance(right, Right) or not isinstance(user, User):
            return False
        if isinstance(request.auth, Token):
            if right.scope is not None and right.scope not in request.auth.scopes:
                raise ScopeMissing(right.scope)
            needed = right.scope.role if right.scope is not None else None
        else:
            needed = right.role
        if needed is not None and not user.may(needed):
            raise RoleMissing(needed)
        return True

"""The page of a missing right: which role is needed, which one is there, and whom to ask."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from bptl.accounts import people
from bptl.accounts.models import User
from bptl.web.rights import RoleMissing

MOST_NAMED = 5


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403, whatever was refused."""
    user = getattr(request, "user", None)
    role = user.role if isinstance(user, User) else None
    context = {
        "needed": exception.needed if isinstance(exception, RoleMissing) else None,
        "role": role,
        "known": isinstance(user, User),
        "administrators": people.administrators()[:MOST_NAMED] if isinstance(user, User) else [],
    }
    return render(request, "403.html", context, status=403)

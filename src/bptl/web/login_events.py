"""Logins in the audit log: Django and django-axes tell of them by signals."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from bptl.accounts import audit
from bptl.accounts.models import User
from bptl.web.acting import address
from bptl.web.rights import OIDC_BACKEND


@receiver(user_logged_in)
def logged_in(sender: object, request: HttpRequest, user: User, **_: Any) -> None:
    """Somebody came in."""
    way = "provider" if request.session.get(BACKEND_SESSION_KEY) == OIDC_BACKEND else "password"
    audit.record("login.succeeded", by=audit.By(user.username, address(request)), detail={"by": way})


@receiver(user_logged_out)
def logged_out(sender: object, request: HttpRequest, user: User | None, **_: Any) -> None:
    """Somebody left."""
    if user is not None:
        audit.record("login.ended", by=audit.By(user.username, address(request)))


@receiver(user_login_failed)
def refused(sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A wrong password. Attempts of who is locked out already are not looked at, and so leave no row each."""
    username = str(credentials.get("username") or "")
    if request is not None and username and not getattr(request, "axes_locked_out", False):
        audit.record("login.failed", by=audit.By(username, address(request)))


@receiver(user_locked_out)
def locked_out(sender: object, request: HttpRequest, username: str, **_: Any) -> None:
    """One wrong password too many: the one that locked, not those that follow."""
    if getattr(request, "axes_failures_since_start", None):
        audit.record("login.locked", by=audit.By(username or "", address(request)))

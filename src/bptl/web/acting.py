"""Who acts on a page, for the audit log."""

from __future__ import annotations

from django.http import HttpRequest

from bptl.accounts.audit import By
from bptl.web.rights import person


def by(request: HttpRequest) -> By:
    """The person of the request and their address, which is the one that a trusted proxy names."""
    return By(person(request).get_username(), address(request))


def address(request: HttpRequest) -> str:
    """Where the request comes from."""
    return str(request.META.get("REMOTE_ADDR", ""))

"""Where callbacks may go: to registered services, and to addresses that the installation lists. Nowhere else.

The address comes from a process variable, so from whoever can start a process. Without this, BPTL would POST for them
to whatever it can reach itself (server-side request forgery).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings

from bptl.clients.access import within
from bptl.clients.posting import public_or_in
from bptl.connections import directory, sessions
from bptl.connections.service_models import Service
from bptl.lib.pinned import IPAddress


class NotAllowed(Exception):
    """Nothing is sent there; the text says why, without path and query of the address."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: through the outway of its service, if that has one, and into which networks."""

    url: str
    may_reach: Callable[[IPAddress], bool]
    authorities: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def target(url: str) -> Target:
    """Where a callback to ``url`` goes. Raises NotAllowed; secrets.Undecryptable for authorities that cannot be read.

    A service is reached wherever its name leads: an administrator registered it, and units call it there. What is only
    listed must be public, or lie in one of BPTL_WEBHOOK_NETWORKS.
    """
    address = _normal(url)
    owners = [service for service in directory.services() if _below(address, service.address)]
    if owners:
        return _of_service(max(owners, key=lambda service: len(service.address)), address)
    if any(_below(address, root) for root in settings.BPTL_CALLBACK_ADDRESSES):
        return Target(address, public_or_in(settings.BPTL_WEBHOOK_NETWORKS))
    raise NotAllowed(
        "it belongs to no active registered service and stands below no address of the setting BPTL_CALLBACK_ADDRESSES"
    )


def _of_service(service: Service, address: str) -> Target:
    root = service.outway or service.address
    grant_hash = service.fsc_grant_hash
    return Target(
        root.rstrip("/") + address[len(service.address) - 1 :],
        lambda _: True,
        authorities=sessions.authorities(service),
        headers={"Fsc-Grant-Hash": grant_hash} if grant_hash else {},
    )


def _below(address: str, root: str) -> bool:
    """Whether an address is a root, which ends with a slash, or lies below it."""
    return within(address, root) or f"{address.partition('?')[0]}/" == root


def _normal(url: str) -> str:
    """The one form of an address: scheme and host in lower case, no fragment. Raises NotAllowed."""
    address = url.strip()
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not address.isprintable() or " " in address or "\\" in address:
        raise NotAllowed("it is no http(s) address")
    if "@" in parts.netloc:
        raise NotAllowed("it holds a username or a password; a callback has no login")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")

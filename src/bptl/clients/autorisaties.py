"""The Autorisaties API (1.0): which applications exist, and what each may do at the other APIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypedDict, cast

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient


class Autorisatie(TypedDict):
    """What an application may do at one API; ``component`` is the kind of that API."""

    component: str
    scopes: list[str]


class Applicatie(TypedDict):
    """One application, with the client ids by which it makes itself known."""

    url: str
    clientIds: list[str]
    label: str
    heeftAlleAutorisaties: bool
    autorisaties: list[Autorisatie]


class AutorisatiesClient(ServiceClient):
    """Reads the applications."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.AUTORISATIES})

    def applicaties(self, *, client_ids: str | None = None) -> Iterator[Applicatie]:
        """GET applicaties, all pages; ``client_ids``: only those that have one of these (separated by commas)."""
        query: dict[str, Any] = {"clientIds": client_ids}
        return (cast(Applicatie, item) for item in self.pages("applicaties", query=query))

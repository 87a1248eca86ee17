"""The Besluiten API (ZGW): besluiten, and the informatieobjecten in which they are written down.

Written after its description 1.1.0, and used with 1.0 and later. Resources are dicts as the API has them; ``besluit``
is always the address of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient

Resource = dict[str, Any]


class BesluitenClient(ServiceClient):
    """Every method raises bptl.clients.errors.ServiceError. Methods named by a plural read all pages."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.BESLUITEN})

    def besluiten(self, *, verantwoordelijke_organisatie: str, identificatie: str) -> Iterator[Resource]:
        """The besluiten of an organisation (RSIN) with this identificatie: none or one."""
        query = {"verantwoordelijkeOrganisatie": verantwoordelijke_organisatie, "identificatie": identificatie}
        return self.pages("besluiten", query=query)

    def create_besluit(self, body: Mapping[str, Any]) -> Resource:
        """A new besluit; its identificatie is unique within its verantwoordelijkeOrganisatie."""
        return self.create("besluiten", body)

    def besluitinformatieobjecten(self, besluit: str, *, informatieobject: str | None = None) -> Iterator[Resource]:
        """The informatieobjecten of the besluit, perhaps only the one with this address."""
        return self.pages("besluitinformatieobjecten", query={"besluit": besluit, "informatieobject": informatieobject})

    def create_besluitinformatieobject(self, body: Mapping[str, Any]) -> Resource:
        """A relation of a besluit with an informatieobject; a pair is unique."""
        return self.create("besluitinformatieobjecten", body)

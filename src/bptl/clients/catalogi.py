"""The Catalogi API (ZGW): catalogi, their zaaktypen, and what a zaaktype knows: statustypen, resultaattypen, …

Written after its description 1.3.1, and used with 1.0 and later: no endpoint or filter that is newer or experimental.
Resources are dicts as the API has them; ``zaaktype`` and ``catalogus`` are always the address of one. Lists hold what
has been published (the API's own default), not concepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient

Resource = dict[str, Any]


class CatalogiClient(ServiceClient):
    """Every method raises bptl.clients.errors.ServiceError. Methods named by a plural read all pages."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CATALOGI})

    def catalogus(self, catalogus: str) -> Resource:
        """One catalogus."""
        return self.fetch(catalogus)

    def catalogussen(self, *, domein: str, rsin: str) -> Iterator[Resource]:
        """The catalogi of an organisation with this domein (of at most five letters)."""
        return self.pages("catalogussen", query={"domein": domein, "rsin": rsin})

    def zaaktype(self, zaaktype: str) -> Resource:
        """One version of a zaaktype."""
        return self.fetch(zaaktype)

    def zaaktypen(self, *, catalogus: str, identificatie: str) -> Iterator[Resource]:
        """Every published version of a zaaktype."""
        return self.pages("zaaktypen", query={"catalogus": catalogus, "identificatie": identificatie})

    def statustypen(self, zaaktype: str) -> Iterator[Resource]:
        """The statustypen of a zaaktype."""
        return self.pages("statustypen", query={"zaaktype": zaaktype})

    def resultaattypen(self, zaaktype: str) -> Iterator[Resource]:
        """The resultaattypen of a zaaktype."""
        return self.pages("resultaattypen", query={"zaaktype": zaaktype})

    def roltypen(self, zaaktype: str) -> Iterator[Resource]:
        """The roltypen of a zaaktype."""
        return self.pages("roltypen", query={"zaaktype": zaaktype})

    def eigenschappen(self, zaaktype: str) -> Iterator[Resource]:
        """The eigenschappen that a zaak of the zaaktype may have."""
        return self.pages("eigenschappen", query={"zaaktype": zaaktype})

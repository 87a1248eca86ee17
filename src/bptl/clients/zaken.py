"""The Zaken API (ZGW): zaken, their statussen, resultaat, rollen, objects, documents and eigenschappen.

Written after its description 1.5.1, and used with 1.0 and later: no endpoint or filter that is newer or experimental.
Resources are dicts as the API has them; ``zaak`` is always the address of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient
from bptl.clients.zgw import READ_COORDINATES, WRITE_COORDINATES

Resource = dict[str, Any]


class ZakenClient(ServiceClient):
    """Every method raises bptl.clients.errors.ServiceError. Methods named by a plural read all pages."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ZAKEN})

    def zaak(self, zaak: str) -> Resource:
        """One zaak."""
        return self.fetch(zaak, headers=READ_COORDINATES)

    def zaken(
        self,
        *,
        bronorganisatie: str | None = None,
        identificatie: str | None = None,
        zaaktype: str | None = None,
        startdatum: date | str | None = None,
    ) -> Iterator[Resource]:
        """The zaken that fit everything that is given; ``bronorganisatie`` is an RSIN."""
        query = {
            "bronorganisatie": bronorganisatie,
            "identificatie": identificatie,
            "zaaktype": zaaktype,
            "startdatum": startdatum,
        }
        return self.pages("zaken", query=query, headers=READ_COORDINATES)

    def create_zaak(self, body: Mapping[str, Any]) -> Resource:
        """A new zaak."""
        return self.create("zaken", body, headers=WRITE_COORDINATES)

    def change_zaak(self, zaak: str, changes: Mapping[str, Any]) -> Resource:
        """The zaak with ``changes``; lists are replaced as a whole."""
        return self.change(zaak, changes, headers=WRITE_COORDINATES)

    def statussen(self, zaak: str) -> Iterator[Resource]:
        """Every status that the zaak has had."""
        return self.pages("statussen", query={"zaak": zaak})

    def create_status(self, body: Mapping[str, Any]) -> Resource:
        """A new status; two of one zaak cannot have the same datumStatusGezet."""
        return self.create("statussen", body)

    def resultaten(self, zaak: str) -> Iterator[Resource]:
        """The resultaat of the zaak: none or one."""
        return self.pages("resultaten", query={"zaak": zaak})

    def create_resultaat(self, body: Mapping[str, Any]) -> Resource:
        """The resultaat of a zaak that has none."""
        return self.create("resultaten", body)

    def rollen(self, zaak: str, *, roltype: str | None = None) -> Iterator[Resource]:
        """Who is involved in the zaak, perhaps in the rol of one type (an address) only."""
        return self.pages("rollen", query={"zaak": zaak, "roltype": roltype})

    def create_rol(self, body: Mapping[str, Any]) -> Resource:
        """A new rol."""
        return self.create("rollen", body)

    def zaakobjecten(self, zaak: str, *, object: str | None = None) -> Iterator[Resource]:
        """The objects of the zaak, perhaps only those that are the object with this address."""
        return self.pages("zaakobjecten", query={"zaak": zaak, "object": object})

    def create_zaakobject(self, body: Mapping[str, Any]) -> Resource:
        """A relation of a zaak with an object."""
        return self.create("zaakobjecten", body)

    def zaakinformatieobjecten(self, zaak: str, *, informatieobject: str | None = None) -> Iterator[Resource]:
        """The documents of the zaak, perhaps only the one with this address."""
        return self.pages("zaakinformatieobjecten", query={"zaak": zaak, "informatieobject": informatieobject})

    def create_zaakinformatieobject(self, body: Mapping[str, Any]) -> Resource:
        """A relation of a zaak with a document."""
        return self.create("zaakinformatieobjecten", body)

    def zaakeigenschappen(self, zaak: str) -> Iterator[Resource]:
        """The values of the zaak's eigenschappen."""
        return self.pages(f"{zaak.rstrip('/')}/zaakeigenschappen")

    def create_zaakeigenschap(self, zaak: str, body: Mapping[str, Any]) -> Resource:
        """The value of an eigenschap that the zaak has none of."""
        return self.create(f"{zaak.rstrip('/')}/zaakeigenschappen", body)

    def change_zaakeigenschap(self, zaakeigenschap: str, changes: Mapping[str, Any]) -> Resource:
        """The value (an address) with ``changes``."""
        return self.change(zaakeigenschap, changes)

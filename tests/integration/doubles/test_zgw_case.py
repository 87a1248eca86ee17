"""One whole case over HTTP: what every unit that writes to the ZGW APIs relies on."""

from __future__ import annotations

from bptl.clients.client import ServiceClient
from bptl.work_units.testing import FakeWork
from tests.doubles.zgw.double import ZgwDouble

CRS = {"Accept-Crs": "EPSG:4326", "Content-Crs": "EPSG:4326"}


def test_a_zaak_is_created_gets_a_status_and_a_resultaat_and_is_closed(zgw: ZgwDouble) -> None:
    work = FakeWork(services={"zrc": zgw.access("zrc")})
    zaken, catalogue = work.connect(ServiceClient, "zrc"), zgw.catalogue
    zaak = zaken.create(
        "zaken",
        {
            "zaaktype": catalogue.zaaktype,
            "bronorganisatie": "002220647",
            "verantwoordelijkeOrganisatie": "002220647",
            "startdatum": "2026-01-02",
            "identificatie": "ZAAK-1",
        },
        headers=CRS,
    )
    first = {"zaak": zaak["url"], "statustype": catalogue.statustype(1), "datumStatusGezet": "2026-01-02T10:00:00.5Z"}
    zaken.create("statussen", first)
    zaken.create("resultaten", {"zaak": zaak["url"], "resultaattype": catalogue.resultaattype("Verleend")})
    last = {"zaak": zaak["url"], "statustype": catalogue.statustype(4), "datumStatusGezet": "2026-02-03T10:00:00Z"}
    zaken.create("statussen", last)
    closed = zaken.fetch(zaak["url"], headers=CRS)
    assert (closed["einddatum"], closed["archiefnominatie"], closed["archiefactiedatum"]) == (
        "2026-02-03",
        "vernietigen",
        "2031-02-03",
    )
    assert (zgw.count("zaken", "ZAAK-1"), zgw.count("statussen", "ZAAK-1")) == (1, 2)

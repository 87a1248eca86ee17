"""What the tests of documents share: a document that is there, and somebody else at the Documenten API."""

from __future__ import annotations

from typing import Any

from bptl.clients.access import Access
from bptl.clients.documenten import DocumentenClient
from bptl.work_units.testing import FakeWork
from tests.doubles.zgw.applications import Application
from tests.doubles.zgw.catalogue import RSIN
from tests.doubles.zgw.double import LIMITED, ZgwDouble
from tests.integration.work_units.zaak import zrc

SERVICES = ("zrc", "ztc", "drc", "brc")
DOCUMENTEN = "/documenten/api/v1/enkelvoudiginformatieobjecten"


def services(zgw: ZgwDouble, application: Application = LIMITED) -> dict[str, Access]:
    """What a mapping of these units names."""
    return {alias: zgw.access(alias, application) for alias in SERVICES}


def drc(zgw: ZgwDouble, application: Application = LIMITED) -> DocumentenClient:
    """Somebody else at the Documenten API."""
    return DocumentenClient(zgw.access("drc", application), FakeWork())


def document(zgw: ZgwDouble, *, zaak: str = "", by: DocumentenClient | None = None, **more: Any) -> str:
    """The address of a document that is there, perhaps in a zaak; ``by`` is who creates it."""
    body = {
        "bronorganisatie": RSIN,
        "creatiedatum": "2026-01-05",
        "titel": "Aanvraag",
        "auteur": "Balie",
        "taal": "nld",
        "informatieobjecttype": zgw.catalogue.informatieobjecttype("Aanvraag"),
        "inhoud": "YQ==",
        "bestandsomvang": 1,
        **more,
    }
    url = str((by or drc(zgw)).create_informatieobject(body)["url"])
    if zaak:
        zrc(zgw).create_zaakinformatieobject({"zaak": zaak, "informatieobject": url})
    return url


def path(url: str) -> str:
    """The path of an address."""
    return "/" + url.split("/", 3)[3]

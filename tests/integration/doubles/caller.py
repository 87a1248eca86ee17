"""Somebody who calls the double as any client would: requests, and a JWT made by PyJWT."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any

import jwt
import requests
from requests import Response

from tests.doubles.zgw.applications import Application
from tests.doubles.zgw.double import ALL_RIGHTS, LIMITED, ZgwDouble

CRS = {"Accept-Crs": "EPSG:4326", "Content-Crs": "EPSG:4326"}
RSIN = "002220647"


def token(application: Application = LIMITED, *, secret: str = "", **claims: Any) -> str:
    given = {"iss": application.client_id, "iat": int(time.time()), "client_id": application.client_id, **claims}
    kept = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(kept, secret or application.secret, algorithm="HS256")


class Caller:
    """Calls as one application; answers are not judged."""

    def __init__(self, zgw: ZgwDouble, application: Application = LIMITED) -> None:
        self._zgw = zgw
        self._application = application
        self._session = requests.Session()

    def call(
        self,
        method: str,
        address: str,
        *,
        headers: dict[str, str | None] | None = None,
        timeout: float = 10,
        **more: Any,
    ) -> Response:
        """``address`` begins with the alias of an API (``zrc/zaken``) or is absolute."""
        alias, _, path = address.partition("/")
        url = address if address.startswith("http") else self._zgw.root(alias) + path
        own = (
            f"Token {self._application.token}"
            if "/objects/" in url or "/objecttypes/" in url
            else f"Bearer {token(self._application)}"
        )
        sent: dict[str, str | None] = {"Accept": "application/json", **CRS, "Authorization": own, **(headers or {})}
        kept = {name: value for name, value in sent.items() if value is not None}
        return self._session.request(method, url, headers=kept, timeout=timeout, **more)

    def get(self, address: str, **more: Any) -> Response:
        return self.call("GET", address, **more)

    def post(self, address: str, body: Any, **more: Any) -> Response:
        return self.call("POST", address, json=body, **more)

    def made(self, address: str, body: Any) -> dict[str, Any]:
        """POST what must succeed."""
        response = self.post(address, body)
        assert response.status_code == 201, response.text
        record: dict[str, Any] = response.json()
        return record

    # what many tests begin with

    def zaak(self, identificatie: str = "", **fields: Any) -> dict[str, Any]:
        return self.made("zrc/zaken", self.zaak_body(identificatie=identificatie, **fields))

    def zaak_body(self, **fields: Any) -> dict[str, Any]:
        return {
            "zaaktype": self._zgw.catalogue.zaaktype,
            "bronorganisatie": RSIN,
            "verantwoordelijkeOrganisatie": RSIN,
            "startdatum": "2026-01-02",
            **fields,
        }

    def status_body(self, zaak: dict[str, Any], volgnummer: int, moment: str) -> dict[str, Any]:
        statustype = self._zgw.catalogue.statustype(volgnummer)
        return {"zaak": zaak["url"], "statustype": statustype, "datumStatusGezet": moment}

    def rol_body(self, zaak: dict[str, Any], omschrijving: str, **fields: Any) -> dict[str, Any]:
        return {
            "zaak": zaak["url"],
            "roltype": self._zgw.catalogue.roltype(omschrijving),
            "betrokkeneType": "medewerker",
            "betrokkeneIdentificatie": {"identificatie": "jansen"},
            "roltoelichting": omschrijving,
            **fields,
        }

    def document_body(self, content: bytes | None = b"hallo", **fields: Any) -> dict[str, Any]:
        return {
            "bronorganisatie": RSIN,
            "creatiedatum": "2026-01-02",
            "titel": "Aanvraag",
            "auteur": "BPTL",
            "taal": "nld",
            "formaat": "text/plain",
            "bestandsnaam": "aanvraag.txt",
            "informatieobjecttype": self._zgw.catalogue.informatieobjecttype("Aanvraag"),
            "inhoud": None if content is None else b64encode(content).decode(),
            "bestandsomvang": 0 if content is None else len(content),
            **fields,
        }

    def document(self, content: bytes | None = b"hallo", **fields: Any) -> dict[str, Any]:
        return self.made("drc/enkelvoudiginformatieobjecten", self.document_body(content, **fields))

    def relate(self, zaak: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        return self.made("zrc/zaakinformatieobjecten", {"zaak": zaak["url"], "informatieobject": document["url"]})

    def give_result(self, zaak: dict[str, Any]) -> dict[str, Any]:
        resultaattype = self._zgw.catalogue.resultaattype("Verleend")
        return self.made("zrc/resultaten", {"zaak": zaak["url"], "resultaattype": resultaattype})

    def closed_zaak(self) -> dict[str, Any]:
        zaak = self.zaak()
        self.give_result(zaak)
        self.made("zrc/statussen", self.status_body(zaak, 4, "2026-02-03T10:00:00Z"))
        closed: dict[str, Any] = self.get(zaak["url"]).json()
        return closed


def codes(response: Response) -> list[tuple[str, str]]:
    """Name and code of every invalid param."""
    return [(one["name"], one["code"]) for one in response.json().get("invalidParams", [])]


__all__ = ["ALL_RIGHTS", "CRS", "LIMITED", "RSIN", "Caller", "codes", "token"]

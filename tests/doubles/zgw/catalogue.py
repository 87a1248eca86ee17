"""The catalogue: what a test may add to it, and what is there from the start.

    zgw.catalogue.zaaktype            the zaaktype that is valid today, as its address
    zgw.catalogue.add_zaaktype("KLACHT", statussen=["Ontvangen", "Afgehandeld"])

Everything answers addresses at the double's own host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from tests.doubles.zgw.messages import LINK, Json
from tests.doubles.zgw.world import World

DOMEIN = "ALG"
RSIN = "002220647"
IDENTIFICATIE = "VERGUNNING"
STATUSSEN = ("Ontvangen", "In behandeling", "Besluit genomen", "Afgehandeld")
RESULTATEN = ("Verleend", "Geweigerd", "Ingetrokken")
ROLLEN = (
    ("Initiator", "initiator"),
    ("Hoofdbehandelaar", "behandelaar"),
    ("Behandelaar", "behandelaar"),
    ("Belanghebbende", "belanghebbende"),
    ("Beslisser", "beslisser"),
)
EIGENSCHAPPEN = ("bouwkosten", "behandelwijze")
INFORMATIEOBJECTTYPEN = ("Aanvraag", "Beschikking")
BESLUITTYPE = "Besluit op aanvraag"

_OPEN: Json = {"beginObject": None, "eindeObject": None}


class Catalogue:
    """``url_of`` turns a link of the world's into an address."""

    def __init__(self, world: World, url_of: Callable[[str], str]) -> None:
        self._world = world
        self._url_of = url_of
        today = world.today()
        self.catalogus = self.add_catalogus(DOMEIN, RSIN)
        self.informatieobjecttypen = [self.add_informatieobjecttype(name) for name in INFORMATIEOBJECTTYPEN]
        # Three versions: one that ended, the one of today, and a concept that nobody may use yet.
        past = self.add_zaaktype(ends=today - timedelta(days=366), begins=date(2020, 1, 1))
        current = self.add_zaaktype(begins=today - timedelta(days=365))
        concept = self.add_zaaktype(begins=today + timedelta(days=30), concept=True)
        self.versions = (past, current, concept)
        self.zaaktype = current
        self.besluittype = self.add_besluittype(BESLUITTYPE, zaaktypen=[past, current])

    def statustype(self, volgnummer: int, *, zaaktype: str = "") -> str:
        """By its volgnummer."""
        return self._of("statustypen", zaaktype, volgnummer=volgnummer)

    def resultaattype(self, omschrijving: str, *, zaaktype: str = "") -> str:
        """By its omschrijving."""
        return self._of("resultaattypen", zaaktype, omschrijving=omschrijving)

    def roltype(self, omschrijving: str, *, zaaktype: str = "") -> str:
        """By its omschrijving."""
        return self._of("roltypen", zaaktype, omschrijving=omschrijving)

    def eigenschap(self, naam: str, *, zaaktype: str = "") -> str:
        """By its naam."""
        return self._of("eigenschappen", zaaktype, naam=naam)

    def informatieobjecttype(self, omschrijving: str) -> str:
        """By its omschrijving."""
        return self._of("informatieobjecttypen", None, omschrijving=omschrijving)

    def add_catalogus(self, domein: str, rsin: str) -> str:
        """A catalogus, empty."""
        return self._add(
            "catalogussen",
            domein=domein,
            rsin=rsin,
            naam=f"Catalogus {domein}",
            contactpersoonBeheerNaam="Beheer",
            contactpersoonBeheerTelefoonnummer="",
            contactpersoonBeheerEmailadres="",
            versie="",
            begindatumVersie=None,
        )

    def add_zaaktype(
        self,
        identificatie: str = IDENTIFICATIE,
        *,
        catalogus: str = "",
        begins: date = date(2020, 1, 1),
        ends: date | None = None,
        concept: bool = False,
        statussen: Sequence[str] = STATUSSEN,
        resultaten: Sequence[str] = RESULTATEN,
        rollen: Sequence[tuple[str, str]] = ROLLEN,
        eigenschappen: Sequence[str] = EIGENSCHAPPEN,
        informatieobjecttypen: Sequence[str] | None = None,
    ) -> str:
        """A version of a zaaktype with all that hangs below it; the last of ``statussen`` is the end status."""
        zaaktype = self._add(
            "zaaktypen",
            **self._zaaktype(identificatie, catalogus or self.catalogus, begins=begins, ends=ends, concept=concept),
        )
        for number, omschrijving in enumerate(statussen, start=1):
            self.add_statustype(zaaktype, omschrijving, volgnummer=number, end=number == len(statussen))
        for omschrijving in resultaten:
            self.add_resultaattype(zaaktype, omschrijving)
        for omschrijving, generic in rollen:
            self.add_roltype(zaaktype, omschrijving, generic)
        for naam in eigenschappen:
            self.add_eigenschap(zaaktype, naam)
        given = self.informatieobjecttypen if informatieobjecttypen is None else informatieobjecttypen
        for number, type_ in enumerate(given, start=1):
            self.relate_informatieobjecttype(zaaktype, type_, volgnummer=number)
        return zaaktype

    def add_statustype(self, zaaktype: str, omschrijving: str, *, volgnummer: int, end: bool = False) -> str:
        """A statustype; ``end`` closes the zaak."""
        return self._add(
            "statustypen",
            **self._below(zaaktype),
            omschrijving=omschrijving,
            omschrijvingGeneriek="",
            statustekst="",
            volgnummer=volgnummer,
            isEindstatus=end,
            informeren=False,
            doorlooptijd=None,
            toelichting="",
            checklistitemStatustype=[],
            eigenschappen=[],
            zaakobjecttypen=[],
        )

    def add_resultaattype(
        self, zaaktype: str, omschrijving: str, *, archiefnominatie: str = "vernietigen", period: str | None = "P5Y"
    ) -> str:
        """A resultaattype; its archiefactietermijn counts from the einddatum."""
        return self._add(
            "resultaattypen",
            **self._below(zaaktype),
            omschrijving=omschrijving,
            resultaattypeomschrijving="https://selectielijst.example/api/v1/resultaattypeomschrijvingen/1",
            omschrijvingGeneriek=omschrijving,
            selectielijstklasse="https://selectielijst.example/api/v1/resultaten/1",
            toelichting="",
            archiefnominatie=archiefnominatie,
            archiefactietermijn=period,
            brondatumArchiefprocedure={
                "afleidingswijze": "afgehandeld",
                "datumkenmerk": "",
                "einddatumBekend": False,
                "objecttype": "",
                "registratie": "",
                "procestermijn": None,
            },
            procesobjectaard="",
            indicatieSpecifiek=None,
            procestermijn=None,
            besluittypen=[],
            besluittypeOmschrijving=[],
            informatieobjecttypen=[],
            informatieobjecttypeOmschrijving=[],
        )

    def add_roltype(self, zaaktype: str, omschrijving: str, generic: str) -> str:
        """A roltype with its omschrijvingGeneriek."""
        return self._add("roltypen", **self._below(zaaktype), omschrijving=omschrijving, omschrijvingGeneriek=generic)

    def add_eigenschap(self, zaaktype: str, naam: str) -> str:
        """An eigenschap, a text."""
        return self._add(
            "eigenschappen",
            **self._below(zaaktype),
            naam=naam,
            definitie=naam,
            specificatie={
                "groep": "",
                "formaat": "tekst",
                "lengte": "255",
                "kardinaliteit": "1",
                "waardenverzameling": [],
            },
            toelichting="",
            statustype=None,
        )

    def add_informatieobjecttype(self, omschrijving: str, *, catalogus: str = "") -> str:
        """A type of document that no zaaktype has yet."""
        return self._add(
            "informatieobjecttypen",
            **_OPEN,
            catalogus=catalogus or self.catalogus,
            omschrijving=omschrijving,
            vertrouwelijkheidaanduiding="openbaar",
            beginGeldigheid="2020-01-01",
            eindeGeldigheid=None,
            concept=False,
            informatieobjectcategorie="overig",
            trefwoord=[],
            omschrijvingGeneriek={
                "informatieobjecttypeOmschrijvingGeneriek": omschrijving,
                "definitieInformatieobjecttypeOmschrijvingGeneriek": omschrijving,
                "herkomstInformatieobjecttypeOmschrijvingGeneriek": "KING",
                "hierarchieInformatieobjecttypeOmschrijvingGeneriek": "",
                "opmerkingInformatieobjecttypeOmschrijvingGeneriek": "",
            },
        )

    def relate_informatieobjecttype(self, zaaktype: str, informatieobjecttype: str, *, volgnummer: int = 9) -> str:
        """Documents of this type may be attached to zaken of that one."""
        return self._add(
            "zaaktype-informatieobjecttypen",
            zaaktype=zaaktype,
            zaaktypeIdentificatie=self._record(zaaktype)["identificatie"],
            catalogus=self._record(zaaktype)["catalogus"],
            informatieobjecttype=informatieobjecttype,
            volgnummer=volgnummer,
            richting="inkomend",
            statustype=None,
        )

    def add_besluittype(
        self, omschrijving: str, *, zaaktypen: Sequence[str], informatieobjecttypen: Sequence[str] | None = None
    ) -> str:
        """A besluittype for zaken of some types."""
        given = self.informatieobjecttypen if informatieobjecttypen is None else informatieobjecttypen
        return self._add(
            "besluittypen",
            **_OPEN,
            catalogus=self._record(zaaktypen[0])["catalogus"] if zaaktypen else self.catalogus,
            zaaktypen=list(zaaktypen),
            omschrijving=omschrijving,
            omschrijvingGeneriek="",
            besluitcategorie="",
            reactietermijn="P42D",
            publicatieIndicatie=False,
            publicatietekst="",
            publicatietermijn=None,
            toelichting="",
            informatieobjecttypen=list(given),
            beginGeldigheid="2020-01-01",
            eindeGeldigheid=None,
            concept=False,
            resultaattypen=[],
            resultaattypenOmschrijving=[],
            vastgelegdIn=[],
        )

    @staticmethod
    def _zaaktype(identificatie: str, catalogus: str, *, begins: date, ends: date | None, concept: bool) -> Json:
        return {
            **_OPEN,
            "identificatie": identificatie,
            "omschrijving": f"Zaaktype {identificatie}",
            "omschrijvingGeneriek": "",
            "vertrouwelijkheidaanduiding": "openbaar",
            "doel": "Een aanvraag behandelen",
            "aanleiding": "Een aanvraag",
            "toelichting": "",
            "indicatieInternOfExtern": "extern",
            "handelingInitiator": "Aanvragen",
            "onderwerp": "Vergunning",
            "handelingBehandelaar": "Behandelen",
            "doorlooptijd": "P56D",
            "servicenorm": None,
            "opschortingEnAanhoudingMogelijk": True,
            "verlengingMogelijk": False,
            "verlengingstermijn": None,
            "trefwoorden": [],
            "publicatieIndicatie": False,
            "publicatietekst": "",
            "verantwoordingsrelatie": [],
            "productenOfDiensten": [],
            "selectielijstProcestype": "",
            "referentieproces": {"naam": "Vergunning verlenen", "link": ""},
            "concept": concept,
            "verantwoordelijke": RSIN,
            "beginGeldigheid": begins.isoformat(),
            "eindeGeldigheid": ends.isoformat() if ends else None,
            "versiedatum": begins.isoformat(),
            "catalogus": catalogus,
            "deelzaaktypen": [],
            "gerelateerdeZaaktypen": [],
        }

    def _below(self, zaaktype: str) -> Json:
        record = self._record(zaaktype)
        return {
            **_OPEN,
            "zaaktype": zaaktype,
            "zaaktypeIdentificatie": record["identificatie"],
            "catalogus": record["catalogus"],
            "beginGeldigheid": None,
            "eindeGeldigheid": None,
        }

    def _of(self, name: str, zaaktype: str | None, **equal: Any) -> str:
        if zaaktype is not None:
            equal["zaaktype"] = self._link(zaaktype or self.zaaktype)
        with self._world.lock:
            found = next(self._world.all(name, **equal), None)
        if found is None:
            raise LookupError(f"no {name} with {equal}")
        return self._url_of(found["url"])

    def _record(self, url: str) -> Json:
        return self._world.linked(self._link(url))

    def _link(self, url: str) -> str:
        return LINK + url[len(self._url_of(LINK)) :] if not url.startswith(LINK) else url

    def _add(self, name: str, **record: Any) -> str:
        with self._world.lock:
            kept = self._world.add(name, {field: self._linked(value) for field, value in record.items()})
        return self._url_of(kept["url"])

    def _linked(self, value: Any) -> Any:
        root = self._url_of(LINK)
        if isinstance(value, list):
            return [self._linked(one) for one in value]
        return self._link(value) if isinstance(value, str) and value.startswith(f"{root}/") else value

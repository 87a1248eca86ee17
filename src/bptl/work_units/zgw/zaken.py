"""Zaken: create, look up."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from bptl.clients.catalogi import CatalogiClient
from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import Happened, Inputs, NeverAgain, Outputs, TaskFacts, Work, work_unit
from bptl.work_units.zgw.effects import DUTCH, choose, fingerprint, now, send
from bptl.work_units.zgw.inputs import Address, Nlx, Rsin
from bptl.work_units.zgw.rollen import ZAC, Betrokkene, add_rol, identify, named
from bptl.work_units.zgw.statussen import numbered, set_status
from bptl.work_units.zgw.zaaktypen import zaaktype_of

BRON = "BPTL"
"""The bron of the kenmerk by which a zaak is known to be a task's."""

LONGEST_KENMERK = 40

SETTLES_AFTER = timedelta(seconds=30)
"""A zaak is the dearest thing to double: a slow API gets this long to finish what it began, before it is asked."""

ROLTYPEN = ("Initiator", "Hoofdbehandelaar")
GENERIEK = ("initiator", "behandelaar")


class NieuweZaak(Nlx):
    """What the zaak is about, and whose it is."""

    organisatieRSIN: Rsin = Field(description="RSIN of the bronorganisatie and verantwoordelijkeOrganisatie.")
    zaaktype: Address | None = Field(None, description="Address of the zaaktype; empty: it is looked up.")
    catalogusDomein: str = Field("", description="domein of the catalogus in which the zaaktype is looked up.")
    zaaktypeIdentificatie: str = Field("", description="identificatie of the zaaktype that is looked up.")
    catalogusRSIN: Rsin | None = Field(None, description="RSIN of the catalogus; empty: organisatieRSIN.")
    zaakDetails: dict[str, Any] = Field(
        default_factory=dict, description="More fields of the zaak, as the Zaken API has them; they go before ours."
    )
    initialStatusRemarks: str = Field("", max_length=1000, description="statustoelichting of the first status.")
    Hoofdbehandelaar: Betrokkene | None = Field(
        None, description="Who gets the roltypen Initiator and Hoofdbehandelaar, whichever the zaaktype has."
    )

    @field_validator("zaakDetails")
    @classmethod
    def _kenmerken_are_a_list(cls, details: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(details.get("kenmerken"), list | None):
            raise ValueError("kenmerken must be a list")  # noqa: TRY004 - pydantic wants it
        return details

    @model_validator(mode="after")
    def _names_a_zaaktype(self) -> Self:
        if self.zaaktype is None and not (self.catalogusDomein and self.zaaktypeIdentificatie):
            raise ValueError("give zaaktype, or catalogusDomein and zaaktypeIdentificatie")
        return self


class Aangemaakt(Outputs):
    """The new zaak."""

    zaakUrl: str = Field(description="Address of the zaak.")
    zaakIdentificatie: str = Field(description="identificatie of the zaak.")


@work_unit(
    "zgw.create_zaak",
    needs={
        "zrc": "Zaken API",
        "ztc": "Catalogi API: the zaaktype, its first statustype, its roltypen",
        "zac": ZAC,
    },
    replaces="bptl.work_units.zgw.tasks.zaak.CreateZaakTask",
    nl="""
    Maak een zaak met haar eerste status, en met wie haar behandelt.

    Geef het zaaktype, of het domein van de catalogus en de identificatie van het zaaktype: dan geldt de versie van
    vandaag. zaakDetails vult velden van de zaak aan of vervangt ze, ook de identificatie; zonder identificatie nummert
    de Zaken API. De Hoofdbehandelaar krijgt de roltypen Initiator en Hoofdbehandelaar, voor zover het zaaktype die
    heeft. Alles wordt gecontroleerd voordat er iets gemaakt wordt.

    Zaak, status en rollen worden elk één keer gemaakt, hoe vaak de taak ook geprobeerd wordt. De zaak krijgt daarvoor
    een kenmerk met bron BPTL en het nummer van de externe taak.
    """,
)
def create_zaak(work: Work, inputs: NieuweZaak) -> Aangemaakt:
    """Create a zaak with its first status, and with who treats it.

    Give the zaaktype, or the domein of the catalogus and the identificatie of the zaaktype: then the version that is
    valid today counts. zaakDetails adds to the fields of the zaak or replaces them, identificatie too; without one the
    Zaken API numbers. The Hoofdbehandelaar gets the roltypen Initiator and Hoofdbehandelaar, whichever the zaaktype
    has. Everything is checked before anything is created. The headers of NLX go with every call to the Zaken API.

    Zaak, status and rollen are each created once, however often the task is tried. For that the zaak carries a kenmerk
    with bron BPTL and the id of the external task: a zaak whose answer was lost is looked for by it, among those of its
    zaaktype and startdatum. The application must be allowed to read zaken.

    Differs from the existing BPTL: all pages are read; a zaaktype without first statustype, or without a roltype for
    the Hoofdbehandelaar, is an incident before anything is created. It was documented to set ``zaak``, and never did.
    """
    zrc = work.connect(ZakenClient, "zrc", headers=inputs.headers)
    ztc = work.connect(CatalogiClient, "ztc")
    chosen = choose(work, lambda: _choice(ztc, inputs))
    body = _body(work.task, inputs, chosen)
    statustype = numbered(ztc.statustypen(body["zaaktype"]), 1, zaaktype=body["zaaktype"])
    behandelaar, roltypen = _behandelaar(work, ztc, inputs, zaaktype=body["zaaktype"])
    made = _create(work, zrc, inputs, body)
    zaak = made["zaakUrl"]
    set_status(
        work,
        zrc,
        zaak=zaak,
        statustype=statustype,
        moment=chosen["moment"],
        toelichting=inputs.initialStatusRemarks,
    )
    if behandelaar is not None:
        for roltype in roltypen:
            key = f"create-rol {roltype['omschrijving']}"
            add_rol(work, zrc, key=key, zaak=zaak, roltype=roltype, betrokkene=behandelaar)
    work.log.info("zaak.created", zaak=zaak)
    return Aangemaakt(**made)


def _choice(ztc: CatalogiClient, inputs: NieuweZaak) -> dict[str, str]:
    """The moment at which the zaak begins, and the zaaktype of that day."""
    moment = now()
    zaaktype = inputs.zaaktype or zaaktype_of(
        ztc,
        domein=inputs.catalogusDomein,
        rsin=inputs.catalogusRSIN or inputs.organisatieRSIN,
        identificatie=inputs.zaaktypeIdentificatie,
        day=moment.astimezone(DUTCH).date(),
    )
    return {"moment": moment.isoformat(), "zaaktype": zaaktype}


def _body(task: TaskFacts, inputs: NieuweZaak, chosen: dict[str, str]) -> dict[str, Any]:
    today = datetime.fromisoformat(chosen["moment"]).astimezone(DUTCH).date().isoformat()
    kenmerken = [*(inputs.zaakDetails.get("kenmerken") or []), kenmerk_of(task)]
    return {
        "zaaktype": chosen["zaaktype"],
        "bronorganisatie": inputs.organisatieRSIN,
        "verantwoordelijkeOrganisatie": inputs.organisatieRSIN,
        "registratiedatum": today,
        "startdatum": today,
        **inputs.zaakDetails,
        "kenmerken": kenmerken,
    }


def kenmerk_of(task: TaskFacts) -> dict[str, str]:
    """What a zaak says of the task that made it."""
    try:
        kenmerk = str(UUID(task.external_id))
    except ValueError:
        # Ids that are no UUIDs are unique within one engine or caller only, and may be longer than a kenmerk.
        whole = f"{task.engine}:{task.task_id}:{task.external_id}"
        kenmerk = hashlib.sha256(whole.encode()).hexdigest()[:LONGEST_KENMERK]
    return {"kenmerk": kenmerk, "bron": BRON}


def _behandelaar(
    work: Work, ztc: CatalogiClient, inputs: NieuweZaak, *, zaaktype: str
) -> tuple[Betrokkene | None, list[dict[str, Any]]]:
    """Who treats the zaak, and the roltypen for that."""
    if inputs.Hoofdbehandelaar is None:
        return None, []
    known = list(ztc.roltypen(zaaktype))
    roltypen = [one for one in known if one["omschrijving"] in ROLTYPEN and one["omschrijvingGeneriek"] in GENERIEK]
    if not roltypen:
        raise NeverAgain(
            f"zaaktype {zaaktype} has no roltype {' or '.join(map(repr, ROLTYPEN))} for the Hoofdbehandelaar; it has "
            f"{named(known)}: correct the zaaktype, or leave Hoofdbehandelaar out and use zgw.create_rol"
        )
    return identify(work, inputs.Hoofdbehandelaar), roltypen


def _create(work: Work, zrc: ZakenClient, inputs: NieuweZaak, body: dict[str, Any]) -> dict[str, str]:
    ours = kenmerk_of(work.task)
    by = {"identificatie": body.get("identificatie") or None}
    if by["identificatie"] is None:
        by = {"zaaktype": body["zaaktype"], "startdatum": body["startdatum"]}

    def find() -> Happened | None:
        for zaak in zrc.zaken(bronorganisatie=body["bronorganisatie"], **by):
            if ours in (zaak.get("kenmerken") or []):
                return Happened(_made(zaak))
        return None

    made: dict[str, str] = send(
        work,
        zrc,
        "create-zaak",
        lambda: _made(zrc.create_zaak(body)),
        arguments={
            "bronorganisatie": body["bronorganisatie"],
            "zaaktype": body["zaaktype"],
            "zaakDetails": fingerprint(inputs.zaakDetails),
        },
        reconcile=find,
        settles_after=SETTLES_AFTER,
    )
    return made


def _made(zaak: dict[str, Any]) -> dict[str, str]:
    return {"zaakUrl": zaak["url"], "zaakIdentificatie": zaak["identificatie"]}


class Gezocht(Inputs):
    """Which zaak is looked for."""

    identificatie: str = Field(min_length=1, description="identificatie of the zaak.")
    bronorganisatie: Rsin = Field(description="RSIN of the organisation that gave the identificatie.")


class Gevonden(Outputs):
    """The zaak, if there is one."""

    zaakUrl: str | None = Field(description="Address of the zaak; null when there is none that we may see.")


@work_unit(
    "zgw.lookup_zaak",
    needs={"zrc": "Zaken API"},
    replaces="bptl.work_units.zgw.tasks.zaak.LookupZaak",
    nl="""
    Zoek een zaak met haar identificatie en bronorganisatie.

    Is er geen, of mag de applicatie haar niet zien, dan wordt zaakUrl null.
    """,
)
def lookup_zaak(work: Work, inputs: Gezocht) -> Gevonden:
    """Look up a zaak by its identificatie and bronorganisatie.

    zaakUrl becomes null where there is none, or none that the application may see.
    """
    zrc = work.connect(ZakenClient, "zrc")
    found = next(zrc.zaken(bronorganisatie=inputs.bronorganisatie, identificatie=inputs.identificatie), None)
    return Gevonden(zaakUrl=found["url"] if found else None)

"""Besluiten: decisions in a zaak."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Self

from pydantic import Field, model_validator

from bptl.clients.access import Kind
from bptl.clients.besluiten import BesluitenClient
from bptl.clients.catalogi import CatalogiClient
from bptl.clients.zaken import ZakenClient
from bptl.clients.zgw import uuid_of
from bptl.work_units.contract import Happened, Need, Outputs, Uncertain, Work, work_unit
from bptl.work_units.zgw.effects import DUTCH, choose, fingerprint, now, send
from bptl.work_units.zgw.faults import Faults
from bptl.work_units.zgw.inputs import Address, OfZaak, ResourceAddress, Rsin
from bptl.work_units.zgw.typen import besluittype_of

CREATE = "create-besluit"


class NieuwBesluit(OfZaak):
    """The decision."""

    besluittype: Address | None = Field(None, description="Address of the besluittype.")
    besluittypeOmschrijving: str = Field(
        "", description="omschrijving of the besluittype within the zaaktype, when there is no besluittype."
    )
    verantwoordelijkeOrganisatie: Rsin | None = Field(
        None, description="RSIN of the organisation that decided; empty: that of the zaak."
    )
    datum: date | None = Field(None, description="Day of the decision; empty: the day of the first attempt.")
    ingangsdatum: date | None = Field(None, description="Day from which it holds; empty: datum.")
    toelichting: str = Field("", description="Why it was decided so.")
    besluitDetails: dict[str, Any] = Field(
        default_factory=dict,
        description="More fields of the besluit, as the Besluiten API has them (identificatie, bestuursorgaan, "
        "vervaldatum, publicatiedatum, …); they go before ours.",
    )
    informatieobjecten: list[ResourceAddress] = Field(
        default_factory=list, description="Addresses of the documents in which the besluit is written down."
    )

    @model_validator(mode="after")
    def _names_a_besluittype(self) -> Self:
        if self.besluittype is None and not self.besluittypeOmschrijving:
            raise ValueError("give besluittype or besluittypeOmschrijving")
        return self


class Decided(Outputs):
    """The new besluit."""

    besluitUrl: str = Field(description="Address of the besluit.")
    besluitIdentificatie: str = Field(description="identificatie of the besluit.")


@work_unit(
    "zgw.create_besluit",
    needs={
        "brc": "Besluiten API",
        "zrc": "Zaken API: the zaaktype and the verantwoordelijkeOrganisatie of the zaak",
        "ztc": Need(Kind.CATALOGI, "Catalogi API: besluittypen by their omschrijving", optional=True),
    },
    nl="""
    Leg een besluit in een zaak vast, met de documenten waarin het staat.

    Geef het besluittype, of de omschrijving daarvan binnen het zaaktype. besluitDetails vult velden van het besluit aan
    of vervangt ze, ook de identificatie; zonder identificatie nummert de Besluiten API. Besluit en koppelingen worden
    elk één keer gemaakt. Gaat er met één document iets mis, dan krijgen de andere toch hun beurt; dan mislukt de taak
    en noemt ze elke fout.
    """,
)
def create_besluit(work: Work, inputs: NieuwBesluit) -> Decided:
    """Record a besluit (decision) in a zaak, with the documents in which it is written down.

    Name the besluittype, or its omschrijving within the zaaktype. besluitDetails adds to the fields of the besluit or
    replaces them, identificatie too; without one the Besluiten API numbers. Besluit and relations are each made once.
    When something goes wrong with one document the others get their turn all the same; then the task fails and names
    every error.

    A besluit whose answer was lost is looked for by its identificatie, where the model gives one. Else it is the one of
    this zaak and besluittype that was not there at the first attempt and has our datum, ingangsdatum and toelichting.
    When there are several of these, the task is uncertain.
    """
    brc = work.connect(BesluitenClient, "brc")
    zrc = work.connect(ZakenClient, "zrc")
    # A later attempt would see what an earlier one has made.
    chosen = choose(
        work,
        lambda: {
            "today": now().astimezone(DUTCH).date().isoformat(),
            "before": [one["url"] for one in brc.besluiten(zaak=inputs.zaakUrl)],
        },
    )
    body = _body(work, inputs, zrc.zaak(inputs.zaakUrl), today=chosen["today"])
    made = _create(work, brc, inputs, body, before=chosen["before"])
    faults = Faults()
    for informatieobject in dict.fromkeys(inputs.informatieobjecten):
        with faults.kept(informatieobject):
            _attach(work, brc, made["besluitUrl"], informatieobject)
    faults.tell()
    return Decided(**made)


def _body(work: Work, inputs: NieuwBesluit, zaak: dict[str, Any], *, today: str) -> dict[str, Any]:
    datum = inputs.datum or date.fromisoformat(today)
    besluittype = inputs.besluittype or besluittype_of(
        work.connect(CatalogiClient, "ztc"),
        zaaktype=zaak["zaaktype"],
        omschrijving=inputs.besluittypeOmschrijving,
        day=datum,
    )
    return {
        "zaak": inputs.zaakUrl,
        "besluittype": besluittype,
        "verantwoordelijkeOrganisatie": inputs.verantwoordelijkeOrganisatie or zaak["verantwoordelijkeOrganisatie"],
        "datum": datum.isoformat(),
        "ingangsdatum": (inputs.ingangsdatum or datum).isoformat(),
        "toelichting": inputs.toelichting,
        **inputs.besluitDetails,
    }


def _create(
    work: Work, brc: BesluitenClient, inputs: NieuwBesluit, body: dict[str, Any], *, before: Sequence[str]
) -> dict[str, str]:
    same = ("zaak", "besluittype", "datum", "ingangsdatum", "toelichting")

    def find() -> Happened | None:
        if body.get("identificatie"):
            by = {"identificatie": body["identificatie"]}
            there = brc.besluiten(verantwoordelijke_organisatie=body["verantwoordelijkeOrganisatie"], **by)
        else:
            there = brc.besluiten(zaak=body["zaak"], besluittype=body["besluittype"])
        ours = [one for one in there if one["url"] not in before and all(one.get(name) == body[name] for name in same)]
        if len(ours) > 1:
            urls = ", ".join(one["url"] for one in ours)
            raise Uncertain(CREATE, f"one of these may be ours: {urls}. Say which (besluitUrl, besluitIdentificatie)")
        return Happened(_made(ours[0])) if ours else None

    made: dict[str, str] = send(
        work,
        brc,
        CREATE,
        lambda: _made(brc.create_besluit(body)),
        arguments={
            **{name: body[name] for name in ("zaak", "datum", "ingangsdatum")},
            "besluittype": inputs.besluittype or inputs.besluittypeOmschrijving,
            "toelichting": fingerprint(body["toelichting"]),
            "besluitDetails": fingerprint(inputs.besluitDetails),
        },
        reconcile=find,
    )
    return made


def _made(besluit: dict[str, Any]) -> dict[str, str]:
    return {"besluitUrl": besluit["url"], "besluitIdentificatie": besluit["identificatie"]}


def _attach(work: Work, brc: BesluitenClient, besluit: str, informatieobject: str) -> None:
    body = {"besluit": besluit, "informatieobject": informatieobject}

    def find() -> Happened | None:
        found = brc.besluitinformatieobjecten(besluit, informatieobject=informatieobject)
        return next((Happened(one["url"]) for one in found), None)

    send(
        work,
        brc,
        f"attach-informatieobject {uuid_of(informatieobject)}",
        lambda: brc.create_besluitinformatieobject(body)["url"],
        arguments=body,
        reconcile=find,
    )

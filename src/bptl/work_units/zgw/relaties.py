"""Relations of a zaak: with documents, and with other zaken."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from bptl.clients.zaken import ZakenClient
from bptl.clients.zgw import uuid_of
from bptl.work_units.contract import Happened, Outputs, Work, work_unit
from bptl.work_units.zgw.effects import send
from bptl.work_units.zgw.inputs import Address, Nlx, OfZaak, ResourceAddress

AardRelatie = Literal["vervolg", "onderwerp", "bijdrage"]


class InformatieobjectOfZaak(OfZaak):
    """The document, if there is one."""

    informatieobject: Address | None = Field(
        description="Address (URL) of the informatieobject (document). It must be given; nothing happens when empty."
    )


class Attached(Outputs):
    """The relation."""

    zaakinformatieobject: str | None = Field(
        None, description="Address of the relation (zaakinformatieobject); not set when there was no document."
    )


@work_unit(
    "zgw.attach_informatieobject",
    needs={"zrc": "Zaken API"},
    replaces="bptl.work_units.zgw.tasks.zaak_relations.RelateDocumentToZaakTask",
    nl="""
    Voeg een document (informatieobject) toe aan een zaak.

    Is informatieobject leeg, dan gebeurt er niets. Hoort het document al bij de zaak, dan blijft dat zo.
    """,
)
def attach_informatieobject(work: Work, inputs: InformatieobjectOfZaak) -> Attached:
    """Attach a document (informatieobject) to a zaak.

    Nothing happens when informatieobject is empty. A document that the zaak has already stays as it is.

    Differs from the existing BPTL, which failed at a document that the zaak had.
    """
    if inputs.informatieobject is None:
        work.log.info("informatieobject.not_given", zaak=inputs.zaakUrl)
        return Attached()
    zrc = work.connect(ZakenClient, "zrc")
    return Attached(zaakinformatieobject=attach(work, zrc, inputs.zaakUrl, inputs.informatieobject))


def attach(work: Work, zrc: ZakenClient, zaak: str, informatieobject: str) -> str:
    """The address of the zaakinformatieobject, which is made once: the API lets a pair exist once."""
    body = {"zaak": zaak, "informatieobject": informatieobject}

    def find() -> Happened | None:
        found = zrc.zaakinformatieobjecten(zaak, informatieobject=informatieobject)
        return next((Happened(one["url"]) for one in found), None)

    def create() -> Any:
        return zrc.create_zaakinformatieobject(body)["url"]

    url: str = send(work, zrc, "attach-informatieobject", create, arguments=body, reconcile=find)
    return url


class TwoZaken(Nlx):
    """Which zaken, and how they are related."""

    hoofdZaakUrl: ResourceAddress | None = Field(
        None, description="Address of the zaak that gets the relation; nothing happens when empty."
    )
    zaakUrl: ResourceAddress = Field(description="Address of the zaak that it is related to.")
    aardRelatie: AardRelatie = Field(
        validation_alias=AliasChoices("aardRelatie", "bijdrageAard"), description="What zaakUrl is to hoofdZaakUrl."
    )
    aardRelatieOmgekeerdeRichting: AardRelatie | Literal[""] = Field(
        "onderwerp",
        validation_alias=AliasChoices("aardRelatieOmgekeerdeRichting", "bijdrageAardOmgekeerdeRichting"),
        description="What hoofdZaakUrl is to zaakUrl; empty text: nothing. Not used when aardRelatie is onderwerp.",
    )


@work_unit(
    "zgw.relate_zaak",
    needs={"zrc": "Zaken API"},
    replaces="bptl.work_units.zgw.tasks.zaak_relations.RelateerZaak",
    nl="""
    Relateer een zaak aan een andere zaak.

    De hoofdzaak krijgt de andere zaak bij haar relevante andere zaken. Is aardRelatie niet onderwerp, dan krijgt de
    andere zaak de hoofdzaak erbij, met aardRelatieOmgekeerdeRichting; geef daarvoor lege tekst als dat niet moet.
    Relaties die er al zijn, blijven, en geen relatie komt dubbel. Is hoofdZaakUrl leeg, dan gebeurt er niets.
    """,
)
def relate_zaak(work: Work, inputs: TwoZaken) -> None:
    """Relate a zaak to another one.

    The hoofdzaak gets the other zaak among its relevanteAndereZaken. Unless aardRelatie is onderwerp, the other zaak
    gets the hoofdzaak too, with aardRelatieOmgekeerdeRichting, if that is not empty. Relations that are there stay, and
    none is doubled. Nothing happens when hoofdZaakUrl is empty.

    The Zaken API replaces the list as a whole. Who changes the relations of the same zaak at the same moment can lose
    one; let the model relate one after the other.

    Differs from the existing BPTL: both kinds of relation are checked before anything is changed, a repetition appends
    nothing, and the headers of NLX are really sent.
    """
    hoofdzaak, zaak, reverse = inputs.hoofdZaakUrl, inputs.zaakUrl, inputs.aardRelatieOmgekeerdeRichting
    if hoofdzaak is None:
        work.log.info("hoofdzaak.not_given", zaak=zaak)
        return
    zrc = work.connect(ZakenClient, "zrc", headers=inputs.headers)
    _relate(work, zrc, hoofdzaak, {"url": zaak, "aardRelatie": inputs.aardRelatie})
    if inputs.aardRelatie != "onderwerp" and reverse:
        _relate(work, zrc, zaak, {"url": hoofdzaak, "aardRelatie": reverse})


def _relate(work: Work, zrc: ZakenClient, zaak: str, relation: dict[str, str]) -> None:
    def relations() -> list[dict[str, Any]]:
        return list(zrc.zaak(zaak)["relevanteAndereZaken"])

    def is_there(among: list[dict[str, Any]]) -> bool:
        return any(relation.items() <= one.items() for one in among)

    def find() -> Happened | None:
        return Happened() if is_there(relations()) else None

    before = relations()

    def change() -> None:
        if not is_there(before):
            zrc.change_zaak(zaak, {"relevanteAndereZaken": [*before, relation]})

    send(work, zrc, f"relate-zaak {uuid_of(zaak)}", change, arguments={"zaak": zaak, **relation}, reconcile=find)


class Zaak(Nlx):
    """The zaak, if there is one."""

    hoofdZaakUrl: ResourceAddress | None = Field(
        None,
        validation_alias=AliasChoices("hoofdZaakUrl", "zaakUrl"),
        description="Address of the zaak; nothing happens when empty.",
    )


class Relations(Outputs):
    """Relations of a zaak."""

    zaakRelaties: list[dict[str, Any]] | None = Field(
        None, description="relevanteAndereZaken of the zaak: url and aardRelatie of each; not set without a zaak."
    )


@work_unit(
    "zgw.fetch_zaak_relaties",
    needs={"zrc": "Zaken API"},
    replaces="bptl.work_units.zgw.tasks.zaak_relations.FetchZaakRelaties",
    nl="""
    Haal op aan welke zaken een zaak gerelateerd is.

    Is hoofdZaakUrl leeg, dan gebeurt er niets. Is die variabele er niet, dan geldt zaakUrl.
    """,
)
def fetch_zaak_relaties(work: Work, inputs: Zaak) -> Relations:
    """Fetch to which zaken a zaak is related.

    Nothing happens when hoofdZaakUrl is empty. Where there is no such variable, zaakUrl counts.

    Differs from the existing BPTL: zaakUrl, by which its documentation called the zaak, is read too. The answer always
    was zaakRelaties, although it was documented as relatieZaken.
    """
    if inputs.hoofdZaakUrl is None:
        work.log.info("hoofdzaak.not_given")
        return Relations()
    zaak = work.connect(ZakenClient, "zrc", headers=inputs.headers).zaak(inputs.hoofdZaakUrl)
    return Relations(zaakRelaties=zaak["relevanteAndereZaken"])

"""Objects of a zaak: panden, and whatever else a register knows by an address."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AliasChoices, Field

from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import Happened, Inputs, Outputs, Work, work_unit
from bptl.work_units.zgw.effects import ensure
from bptl.work_units.zgw.faults import Faults
from bptl.work_units.zgw.inputs import Address, Nlx, OfZaak, ResourceAddress

SAME = ("object", "objectType", "objectTypeOverige", "relatieomschrijving")
"""Two zaakobjecten of one zaak that are equal in these mean the same."""


class Panden(OfZaak, Nlx):
    """Which panden belong to the zaak."""

    panden: list[Address] = Field(description="Addresses of panden in the BAG; may be an empty list.")


@work_unit(
    "zgw.relate_pand",
    needs={"zrc": "Zaken API"},
    replaces="bptl.work_units.zgw.tasks.zaak_relations.RelatePand",
    nl="""
    Relateer panden uit de BAG aan een zaak.

    Van elk adres wordt geldigOp weggelaten: het pand blijft hetzelfde. Een pand dat al bij de zaak hoort, komt er niet
    nog eens bij. Gaat er met één pand iets mis, dan krijgen de andere toch hun beurt; de taak mislukt daarna en noemt
    elke fout. Voor andere objecten is er zgw.create_zaakobject.
    """,
)
def relate_pand(work: Work, inputs: Panden) -> None:
    """Relate panden (buildings) of the BAG to a zaak.

    geldigOp is taken out of each address: the pand stays the same. A pand that the zaak has already is not added again.
    When something goes wrong with one pand the others get their turn all the same, and then the task fails and names
    every error. For other objects there is zgw.create_zaakobject.

    Differs from the existing BPTL, which lost every error in silence, and doubled panden when it was repeated.
    """
    zrc = work.connect(ZakenClient, "zrc", headers=inputs.headers)
    faults = Faults()
    for pand in dict.fromkeys(_undated(pand) for pand in inputs.panden):
        with faults.kept(pand):
            body = {"zaak": inputs.zaakUrl, "object": pand, "objectType": "pand", "relatieomschrijving": ""}
            # What tells panden apart stands at the end; a key has a length.
            _ensure(work, zrc, f"relate-pand {pand[-200:]}", body)
    faults.tell()


class NieuwZaakobject(Inputs):
    """Which object belongs to the zaak, and as what."""

    zaakUrl: ResourceAddress | None = Field(
        None,
        validation_alias=AliasChoices("zaakUrl", "zaak"),
        description="Address of the zaak; nothing happens when empty.",
    )
    objectUrl: Address = Field(description="Address of the object.")
    objectType: str = Field(
        min_length=1, description="What kind of object it is, as the Zaken API names it: adres, pand, overige, …"
    )
    objectTypeOverige: str = Field("", max_length=100, description="What kind it is when objectType is overige.")
    relatieomschrijving: str = Field("", max_length=80, description="What the object is to the zaak.")


class Related(Outputs):
    """The relation."""

    zaakObjectUrl: str | None = Field(None, description="Address of the zaakobject; not set without a zaak.")


@work_unit(
    "zgw.create_zaakobject",
    needs={"zrc": "Zaken API"},
    replaces="bptl.work_units.zgw.tasks.zaak_relations.CreateZaakObject",
    nl="""
    Relateer een object aan een zaak.

    Is zaakUrl leeg, dan gebeurt er niets. Heeft de zaak al precies deze relatie (object, soort en omschrijving), dan is
    dat het zaakobject.
    """,
)
def create_zaakobject(work: Work, inputs: NieuwZaakobject) -> Related:
    """Relate an object to a zaak.

    Nothing happens when zaakUrl is empty. When the zaak has exactly this relation already (object, kind and
    omschrijving), that is the zaakobject.

    Differs from the existing BPTL, which made a second, equal one when it was repeated.
    """
    if inputs.zaakUrl is None:
        work.log.info("zaak.not_given", object=inputs.objectUrl)
        return Related()
    body = {
        "zaak": inputs.zaakUrl,
        "object": inputs.objectUrl,
        "objectType": inputs.objectType,
        "objectTypeOverige": inputs.objectTypeOverige,
        "relatieomschrijving": inputs.relatieomschrijving,
    }
    zrc = work.connect(ZakenClient, "zrc")
    return Related(zaakObjectUrl=_ensure(work, zrc, "create-zaakobject", body))


class Zaak(Nlx):
    """The zaak, if there is one."""

    hoofdZaakUrl: ResourceAddress | None = Field(None, description="Address of the zaak; nothing happens when empty.")


class Objects(Outputs):
    """Objects of a zaak."""

    zaakObjects: list[dict[str, Any]] | None = Field(
        None, description="Every zaakobject as the Zaken API has it; not set without a zaak."
    )


@work_unit(
    "zgw.fetch_zaak_objects",
    needs={"zrc": "Zaken API"},
    replaces="bptl.work_units.zgw.tasks.zaak_relations.FetchZaakObjects",
    nl="""
    Haal alle objecten van een zaak op.

    Is hoofdZaakUrl leeg, dan gebeurt er niets.
    """,
)
def fetch_zaak_objects(work: Work, inputs: Zaak) -> Objects:
    """Fetch all objects of a zaak.

    Nothing happens when hoofdZaakUrl is empty.
    """
    if inputs.hoofdZaakUrl is None:
        work.log.info("hoofdzaak.not_given")
        return Objects()
    zrc = work.connect(ZakenClient, "zrc", headers=inputs.headers)
    return Objects(zaakObjects=list(zrc.zaakobjecten(inputs.hoofdZaakUrl)))


def _ensure(work: Work, zrc: ZakenClient, key: str, body: dict[str, str]) -> str:
    """The address of the zaakobject, made unless it is there."""
    wanted = {name: body.get(name, "") for name in SAME}

    def find() -> Happened | None:
        there = zrc.zaakobjecten(body["zaak"], object=body["object"])
        equal = (one for one in there if {name: one.get(name) or "" for name in SAME} == wanted)
        return next((Happened(one["url"]) for one in equal), None)

    url: str = ensure(work, zrc, key, lambda: zrc.create_zaakobject(body)["url"], arguments=body, find=find)
    return url


def _undated(pand: str) -> str:
    """The address without geldigOp, the day on which somebody looked at the pand."""
    parts = urlsplit(pand)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "geldigOp"]
    return urlunsplit(parts._replace(query=urlencode(query)))

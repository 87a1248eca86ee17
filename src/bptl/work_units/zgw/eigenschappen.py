"""Eigenschappen (properties) of a zaak."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from bptl.clients.catalogi import CatalogiClient
from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import BusinessError, Happened, Inputs, Work, work_unit
from bptl.work_units.zgw.effects import fingerprint, send
from bptl.work_units.zgw.inputs import Address, Nlx, OfZaak

UNKNOWN = "EIGENSCHAP_ONBEKEND"


class Eigenschap(Inputs):
    """One eigenschap and its value."""

    naam: str = Field(min_length=1, description="Name of the eigenschap in the zaaktype, exactly.")
    waarde: str = Field("", description="Its value; nothing happens when empty.")


class EigenschapOfZaak(OfZaak, Nlx):
    """The value of an eigenschap."""

    eigenschap: Eigenschap | None = Field(description="It must be given; nothing happens when empty.")
    zaaktype: Address | None = Field(
        None, description="Address of the zaaktype of the zaak; empty (or no text): that is looked up."
    )

    @field_validator("eigenschap", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("zaaktype", mode="before")
    @classmethod
    def _only_an_address(cls, value: Any) -> Any:
        # Models keep the whole zaaktype in a variable of this name, too.
        return value if isinstance(value, str) else None


@work_unit(
    "zgw.create_eigenschap",
    needs={"zrc": "Zaken API", "ztc": "Catalogi API: the eigenschappen of the zaaktype"},
    throws={UNKNOWN: "The zaaktype has no eigenschap of this name."},
    replaces="bptl.work_units.zgw.tasks.zaak_relations.CreateEigenschap",
    nl="""
    Zet de waarde van een eigenschap van een zaak.

    Heeft de zaak de eigenschap al, dan krijgt die de nieuwe waarde. Is eigenschap of de waarde ervan leeg, dan gebeurt
    er niets. Kent het zaaktype de eigenschap niet, dan is dat een BPMN-fout die het model kan afvangen, en anders een
    incident.
    """,
)
def create_eigenschap(work: Work, inputs: EigenschapOfZaak) -> None:
    """Set the value of an eigenschap (property) of a zaak.

    An eigenschap that the zaak has gets the new value. Nothing happens when eigenschap, or its waarde, is empty. A name
    that the zaaktype does not know is a BPMN error, which the model may catch; else it is an incident.

    Differs from the existing BPTL, where a name that the zaaktype does not know did nothing, without a word.
    """
    eigenschap = inputs.eigenschap
    if eigenschap is None or not eigenschap.waarde:
        work.log.info("eigenschap.not_given", zaak=inputs.zaakUrl)
        return
    zrc = work.connect(ZakenClient, "zrc", headers=inputs.headers)
    ztc = work.connect(CatalogiClient, "ztc")
    zaaktype = inputs.zaaktype or zrc.zaak(inputs.zaakUrl)["zaaktype"]
    known = {one["naam"]: one["url"] for one in ztc.eigenschappen(zaaktype)}
    if eigenschap.naam not in known:
        names = ", ".join(map(repr, sorted(known))) or "none"
        raise BusinessError(UNKNOWN, f"zaaktype {zaaktype} has no eigenschap {eigenschap.naam!r}; it has {names}")
    _set(work, zrc, inputs.zaakUrl, eigenschap, address=known[eigenschap.naam])


def _set(work: Work, zrc: ZakenClient, zaak: str, eigenschap: Eigenschap, *, address: str) -> None:
    naam, waarde = eigenschap.naam, eigenschap.waarde

    def current() -> dict[str, Any] | None:
        return next((one for one in zrc.zaakeigenschappen(zaak) if one["naam"] == naam), None)

    def find() -> Happened | None:
        now = current()
        return Happened() if now is not None and now["waarde"] == waarde else None

    before = current()

    def change() -> None:
        if before is None:
            zrc.create_zaakeigenschap(zaak, {"zaak": zaak, "eigenschap": address, "waarde": waarde})
        elif before["waarde"] != waarde:
            zrc.change_zaakeigenschap(before["url"], {"waarde": waarde})

    arguments = {"zaak": zaak, "eigenschap": naam, "waarde": fingerprint(waarde)}
    send(work, zrc, "create-eigenschap", change, arguments=arguments, reconcile=find)

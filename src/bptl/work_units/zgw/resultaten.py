"""The resultaat of a zaak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pydantic import Field, model_validator

from bptl.clients.access import Kind
from bptl.clients.catalogi import CatalogiClient
from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import Happened, Need, NeverAgain, Outputs, Work, work_unit
from bptl.work_units.zgw.effects import fingerprint, send
from bptl.work_units.zgw.inputs import Address, OfZaak


class Resultaat(OfZaak):
    """The resultaat, if there is one."""

    resultaattype: Address | None = Field(None, description="Address of the resultaattype; goes before omschrijving.")
    omschrijving: str = Field(
        "", description="omschrijving of the resultaattype within the zaaktype; upper and lower case are the same."
    )
    toelichting: str = Field("", max_length=1000, description="toelichting of the resultaat.")

    @property
    def is_given(self) -> bool:
        """Whether a resultaat is named at all."""
        return self.resultaattype is not None or self.omschrijving != ""


class NieuwResultaat(Resultaat):
    """The resultaat that the zaak gets."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not self.is_given:
            raise ValueError("give resultaattype or omschrijving")
        return self


class Vastgelegd(Outputs):
    """The new resultaat."""

    resultaatUrl: str = Field(description="Address of the resultaat.")


@work_unit(
    "zgw.create_resultaat",
    needs={
        "zrc": "Zaken API",
        "ztc": Need(Kind.CATALOGI, "Catalogi API: resultaattypen by their omschrijving", optional=True),
    },
    replaces="bptl.work_units.zgw.tasks.resultaat.CreateResultaatTask",
    nl="""
    Leg het resultaat van een zaak vast.

    Geef het resultaattype, of de omschrijving daarvan binnen het zaaktype. Een zaak heeft één resultaat: heeft de zaak
    al een resultaat van dit type, dan is dat het; een ander resultaat wordt door de Zaken API geweigerd.
    """,
)
def create_resultaat(work: Work, inputs: NieuwResultaat) -> Vastgelegd:
    """Record the resultaat of a zaak.

    Name the resultaattype, or its omschrijving within the zaaktype. A zaak has one resultaat: one of this type that is
    there already is taken for it, another one makes the Zaken API refuse.

    Differs from the existing BPTL: all pages of resultaattypen are read, the Catalogi API is needed only for an
    omschrijving, and one that fits none or several is an incident that names those there are.
    """
    zrc = work.connect(ZakenClient, "zrc")
    resultaattype = resultaattype_of(work, inputs, zaaktype=lambda: str(zrc.zaak(inputs.zaakUrl)["zaaktype"]))
    return Vastgelegd(resultaatUrl=set_resultaat(work, zrc, inputs, resultaattype=resultaattype))


def resultaattype_of(work: Work, inputs: Resultaat, *, zaaktype: Callable[[], str]) -> str:
    """The address of the resultaattype that ``inputs`` names; raises NeverAgain."""
    if inputs.resultaattype is not None:
        return inputs.resultaattype
    ztc = work.connect(CatalogiClient, "ztc")
    of = zaaktype()
    known = list(ztc.resultaattypen(of))
    wanted = inputs.omschrijving.strip().casefold()
    found = [one for one in known if one["omschrijving"].strip().casefold() == wanted]
    if len(found) != 1:
        names = ", ".join(repr(one["omschrijving"]) for one in known) or "none"
        raise NeverAgain(
            f"zaaktype {of} has {len(found) or 'no'} resultaattypen with omschrijving {inputs.omschrijving!r}; it has "
            f"{names}: correct omschrijving in the model, give resultaattype, or correct the zaaktype"
        )
    return str(found[0]["url"])


def set_resultaat(work: Work, zrc: ZakenClient, inputs: Resultaat, *, resultaattype: str) -> str:
    """The address of the resultaat, which is recorded once."""
    zaak = inputs.zaakUrl
    body = {"zaak": zaak, "resultaattype": resultaattype, "toelichting": inputs.toelichting}

    def find() -> Happened | None:
        found = (one for one in zrc.resultaten(zaak) if one["resultaattype"] == resultaattype)
        return next((Happened(one["url"]) for one in found), None)

    url: str = send(
        work,
        zrc,
        "create-resultaat",
        lambda: zrc.create_resultaat(body)["url"],
        arguments={
            "zaak": zaak,
            "resultaattype": resultaattype,
            "toelichting": fingerprint(inputs.toelichting),
        },
        reconcile=find,
    )
    return url

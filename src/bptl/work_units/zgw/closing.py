"""The end of a zaak: its resultaat and its end status."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import Field

from bptl.clients.catalogi import CatalogiClient
from bptl.clients.errors import Rejected
from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import NeverAgain, Outputs, Work, work_unit
from bptl.work_units.zgw.effects import choose, now
from bptl.work_units.zgw.resultaten import Resultaat, resultaattype_of, set_resultaat
from bptl.work_units.zgw.statussen import set_status

FIRST = {
    "resultaat-does-not-exist": "give resultaattype or omschrijving, or let zgw.create_resultaat go before",
    "informatieobject-locked": "let zgw.unlock_document go before, for each document that is locked",
    "indicatiegebruiksrecht-unset": "let zgw.set_indicatie_gebruiksrecht go before",
}
"""What must be done before a zaak can be closed, by the code with which the Zaken API refuses."""


class TeSluiten(Resultaat):
    """Which zaak is closed, and with which resultaat."""

    statustoelichting: str = Field("", max_length=1000, description="statustoelichting of the end status.")


class Gesloten(Outputs):
    """What the Zaken API computed when the zaak was closed."""

    einddatum: date | None = Field(description="Day on which the zaak ended.")
    archiefnominatie: str | None = Field(description="blijvend_bewaren or vernietigen.")
    archiefactiedatum: date | None = Field(description="Day on which the zaak is to be destroyed or transferred.")


@work_unit(
    "zgw.close_zaak",
    needs={"zrc": "Zaken API", "ztc": "Catalogi API: the end status and the resultaattypen of the zaaktype"},
    replaces="bptl.work_units.zgw.tasks.zaak.CloseZaakTask",
    nl="""
    Sluit een zaak: leg het resultaat vast en zet de eindstatus.

    Geef resultaattype of omschrijving (van het resultaattype); geef geen van beide als de zaak al een resultaat heeft.
    Heeft de zaak al precies dit resultaat, dan blijft het; heeft ze een ander, dan is dat een incident. Aan een zaak
    die al gesloten is, wordt niets veranderd. De Zaken API weigert te sluiten zonder resultaat, met vergrendelde
    documenten, en met documenten waarvan indicatieGebruiksrecht niet is gezet.
    """,
)
def close_zaak(work: Work, inputs: TeSluiten) -> Gesloten:
    """Close a zaak: record its resultaat and set the end status.

    Give resultaattype or omschrijving (of the resultaattype); give neither when the zaak has its resultaat. The same
    resultaat that is there already stays, another one is an incident. A zaak that is closed already is left as it is.
    The Zaken API refuses to close without a resultaat, with locked documents, and with documents whose
    indicatieGebruiksrecht is not set.

    Differs from the existing BPTL: all pages are read; a zaaktype without end status is an incident before the
    resultaat is recorded; a resultaat that is there does not hinder, and a closed zaak gets no second end status.
    """
    zrc = work.connect(ZakenClient, "zrc")
    ztc = work.connect(CatalogiClient, "ztc")
    zaak = zrc.zaak(inputs.zaakUrl)
    # What the first attempt found: later ones would see its own work.
    found = choose(
        work,
        lambda: {
            "moment": now().isoformat(),
            "closed": zaak["einddatum"] is not None,
            "resultaat": next((one["resultaattype"] for one in zrc.resultaten(inputs.zaakUrl)), None),
        },
    )
    eindstatus = _eindstatus(ztc, zaaktype=zaak["zaaktype"])
    if inputs.is_given:
        _record(work, zrc, inputs, zaaktype=zaak["zaaktype"], found=found)
    elif found["resultaat"] is None:
        work.log.warning("resultaat.not_given", zaak=inputs.zaakUrl)
    if found["closed"]:
        work.log.info("zaak.closed_already", zaak=inputs.zaakUrl)
    else:
        _end(work, zrc, inputs, eindstatus=eindstatus, moment=found["moment"])
        zaak = zrc.zaak(inputs.zaakUrl)
    return Gesloten(
        einddatum=zaak["einddatum"],
        archiefnominatie=zaak["archiefnominatie"],
        archiefactiedatum=zaak["archiefactiedatum"],
    )


def _eindstatus(ztc: CatalogiClient, *, zaaktype: str) -> str:
    found = next((one for one in ztc.statustypen(zaaktype) if one["isEindstatus"]), None)
    if found is None:
        raise NeverAgain(f"zaaktype {zaaktype} has no end status (isEindstatus): correct the zaaktype")
    return str(found["url"])


def _record(work: Work, zrc: ZakenClient, inputs: TeSluiten, *, zaaktype: str, found: dict[str, Any]) -> None:
    """The resultaat that is wanted, unless the zaak had it."""
    resultaattype = resultaattype_of(work, inputs, zaaktype=lambda: zaaktype)
    if found["resultaat"] is None and not found["closed"]:
        set_resultaat(work, zrc, inputs, resultaattype=resultaattype)
    elif found["resultaat"] != resultaattype:
        state = "is closed" if found["closed"] else "is there"
        raise NeverAgain(
            f"zaak {inputs.zaakUrl} {state} with resultaattype {found['resultaat']}, not {resultaattype}: give neither "
            "resultaattype nor omschrijving to leave it, or correct the resultaat of the zaak"
        )


def _end(work: Work, zrc: ZakenClient, inputs: TeSluiten, *, eindstatus: str, moment: str) -> None:
    """Set the end status; a refusal says what to do first."""
    try:
        set_status(
            work,
            zrc,
            zaak=inputs.zaakUrl,
            statustype=eindstatus,
            moment=moment,
            toelichting=inputs.statustoelichting,
        )
    except Rejected as refused:
        first = next((advice for code, advice in FIRST.items() if refused.has(code)), None)
        if first is None:
            raise
        raise NeverAgain(f"the zaak cannot be closed yet: {first} ({refused})") from refused

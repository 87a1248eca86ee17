"""Statussen of a zaak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import Field, model_validator

from bptl.clients.catalogi import CatalogiClient
from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import Happened, NeverAgain, Outputs, Work, work_unit
from bptl.work_units.zgw.effects import choose, fingerprint, now, send
from bptl.work_units.zgw.inputs import Address, OfZaak

SAME_MOMENT = timedelta(milliseconds=1)
"""Two times are the same within this: a service may keep less than we sent."""


class NieuweStatus(OfZaak):
    """Which status the zaak gets."""

    statusVolgnummer: int | None = Field(
        None, ge=1, description="Number of the statustype in the zaaktype; goes before statustype."
    )
    statustype: Address | None = Field(None, description="Address of the statustype.")
    toelichting: str = Field("", max_length=1000, description="Becomes the statustoelichting.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.statusVolgnummer is None and self.statustype is None:
            raise ValueError("give statusVolgnummer or statustype")
        return self


class Gezet(Outputs):
    """The new status."""

    statusUrl: str = Field(description="Address of the status.")


@work_unit(
    "zgw.create_status",
    needs={"zrc": "Zaken API", "ztc": "Catalogi API: the statustypen of the zaaktype"},
    replaces="bptl.work_units.zgw.tasks.status.CreateStatusTask",
    nl="""
    Zet een status bij een zaak.

    Geef het statustype, of het volgnummer daarvan binnen het zaaktype. De datum van de status is het moment van de
    eerste poging. De eindstatus sluit de zaak: gebruik daarvoor liever zgw.close_zaak. Een status op een gesloten zaak
    wordt geweigerd, of heropent de zaak als de applicatie daar rechten voor heeft.
    """,
)
def create_status(work: Work, inputs: NieuweStatus) -> Gezet:
    """Set a status of a zaak.

    Name the statustype, or its number within the zaaktype. The status is dated at the moment of the first attempt, and
    by that date it is found again when its answer was lost. The end status closes the zaak: zgw.close_zaak does that
    better. On a closed zaak a status is refused, or reopens it where the application may do so.

    Differs from the existing BPTL: all pages of statustypen are read, and an unknown number is an incident that names
    the numbers there are.
    """
    zrc = work.connect(ZakenClient, "zrc")
    statustype = inputs.statustype
    if inputs.statusVolgnummer is not None:
        ztc = work.connect(CatalogiClient, "ztc")
        zaaktype = zrc.zaak(inputs.zaakUrl)["zaaktype"]
        statustype = numbered(ztc.statustypen(zaaktype), inputs.statusVolgnummer, zaaktype=zaaktype)
    moment = choose(work, lambda: now().isoformat())
    url = set_status(
        work, zrc, zaak=inputs.zaakUrl, statustype=str(statustype), moment=moment, toelichting=inputs.toelichting
    )
    return Gezet(statusUrl=url)


def numbered(statustypen: Iterable[Mapping[str, Any]], volgnummer: int, *, zaaktype: str) -> str:
    """The address of the statustype with this number; raises NeverAgain."""
    found = {statustype["volgnummer"]: statustype for statustype in statustypen}
    if volgnummer not in found:
        known = ", ".join(f"{number} ({found[number]['omschrijving']})" for number in sorted(found)) or "none"
        raise NeverAgain(
            f"zaaktype {zaaktype} has no statustype with volgnummer {volgnummer}; it has {known}: correct "
            "statusVolgnummer in the model, or the zaaktype"
        )
    return str(found[volgnummer]["url"])


def set_status(
    work: Work,
    zrc: ZakenClient,
    *,
    zaak: str,
    statustype: str,
    moment: str,
    toelichting: str,
    key: str = "create-status",
) -> str:
    """The address of a status that is set once. ``moment`` must be the same at every attempt: it tells ours."""
    body = {
        "zaak": zaak,
        "statustype": statustype,
        "datumStatusGezet": moment,
        "statustoelichting": toelichting,
    }
    ours = datetime.fromisoformat(moment)

    def find() -> Happened | None:
        for status in zrc.statussen(zaak):
            apart = abs(datetime.fromisoformat(status["datumStatusGezet"]) - ours)
            if apart < SAME_MOMENT and status["statustype"] == statustype:
                return Happened(status["url"])
        return None

    arguments = {
        "zaak": zaak,
        "statustype": statustype,
        "datumStatusGezet": moment,
        "toelichting": fingerprint(toelichting),
    }
    url: str = send(work, zrc, key, lambda: zrc.create_status(body)["url"], arguments=arguments, reconcile=find)
    return url

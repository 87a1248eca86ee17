"""Rollen: who is involved in a zaak, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from bptl.clients.access import Kind
from bptl.clients.catalogi import CatalogiClient
from bptl.clients.client import ServiceClient
from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import Happened, Inputs, Need, NeverAgain, Outputs, Work, work_unit
from bptl.work_units.zgw.effects import fingerprint, send
from bptl.work_units.zgw.inputs import Address, OfZaak

Soort = Literal["natuurlijk_persoon", "niet_natuurlijk_persoon", "vestiging", "organisatorische_eenheid", "medewerker"]

ZAC = Need(
    Kind.OTHER, "ZAC (zaakafhandelcomponent): names of a medewerker of whom only the user is known", optional=True
)

MEDEWERKER = "api/core/rollen/medewerker/betrokkeneIdentificatie"
"""Where the ZAC completes the identification of a medewerker. It changes nothing there."""

NAMES = ("voorletters", "voorvoegsel_achternaam", "achternaam")
NAMES_OF_API = ("voorvoegselAchternaam",)


class Betrokkene(Inputs):
    """Somebody who is involved: by an address, by an identification, or both."""

    betrokkene: Address | None = Field(None, description="Address of who is involved, in a register.")
    betrokkeneType: Soort = Field("natuurlijk_persoon", description="What kind of party it is.")
    roltoelichting: str = Field("", max_length=1000, description="Why; empty: the generic omschrijving of the roltype.")
    indicatieMachtiging: Literal["", "gemachtigde", "machtiginggever"] = Field(
        "", description="Whether somebody acts for another here."
    )
    betrokkeneIdentificatie: dict[str, Any] = Field(
        default_factory=dict, description="Who it is, in the fields of the Zaken API for the betrokkeneType."
    )

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if self.betrokkene is None and not self.betrokkeneIdentificatie:
            raise ValueError("give betrokkene (an address) or betrokkeneIdentificatie")
        return self

    @property
    def identificatie(self) -> str:
        """The field of that name; ``user:…`` and ``group:…`` are those of the ZAC."""
        return str(self.betrokkeneIdentificatie.get("identificatie") or "")


class BetrokkeneBijZaak(Betrokkene):
    """Somebody, with what must be said of them."""

    betrokkeneType: Soort = Field(description="What kind of party it is.")
    roltoelichting: str = Field(max_length=1000, description="Why this party is involved.")


class NieuweRol(OfZaak):
    """Who gets which rol."""

    omschrijving: str | None = Field(description="omschrijving of the roltype, exactly; nothing happens when empty.")
    betrokkene: BetrokkeneBijZaak | None = Field(description="Who is involved; not read when omschrijving is empty.")

    @model_validator(mode="before")
    @classmethod
    def _reads_nobody_for_no_rol(cls, values: Any) -> Any:
        return values if not isinstance(values, dict) or values.get("omschrijving") else {**values, "betrokkene": None}

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if self.omschrijving and self.betrokkene is None:
            raise ValueError("betrokkene is empty: say who gets the rol, or leave omschrijving empty")
        return self


class Toegevoegd(Outputs):
    """The new rol."""

    rolUrl: str = Field(description="Address of the rol.")


@work_unit(
    "zgw.create_rol",
    needs={"zrc": "Zaken API", "ztc": "Catalogi API: the roltypen of the zaaktype", "zac": ZAC},
    replaces="bptl.work_units.zgw.tasks.rol.CreateRolTask",
    nl="""
    Voeg een rol toe aan een zaak.

    Het roltype wordt gezocht met de omschrijving daarvan, precies zoals die in het zaaktype staat. Is de omschrijving
    leeg, of is de betrokkene een groep (identificatie met group:), dan gebeurt er niets. Van een medewerker van wie
    alleen de gebruiker bekend is (identificatie met user:, geen namen) vult het ZAC de namen aan.
    """,
)
def create_rol(work: Work, inputs: NieuweRol) -> Toegevoegd | None:
    """Add a rol to a zaak.

    The roltype is found by its omschrijving, exactly as the zaaktype has it. Nothing happens, and no variable is set,
    when the omschrijving is empty or when the party is a group (identificatie with group:). The ZAC adds the names of a
    medewerker of whom only the user is known (identificatie with user:, no names).

    Differs from the existing BPTL: all pages of roltypen are read; an unknown roltype is an incident that names those
    there are, before the ZAC is asked; the service zac is needed only where it is used.
    """
    betrokkene = inputs.betrokkene
    if betrokkene is None or "group:" in betrokkene.identificatie:
        work.log.info("rol.skipped", reason="no omschrijving" if betrokkene is None else "group")
        return None
    zrc = work.connect(ZakenClient, "zrc")
    zaaktype = zrc.zaak(inputs.zaakUrl)["zaaktype"]
    roltypen = list(work.connect(CatalogiClient, "ztc").roltypen(zaaktype))
    roltype = next((one for one in roltypen if one["omschrijving"] == inputs.omschrijving), None)
    if roltype is None:
        raise NeverAgain(
            f"zaaktype {zaaktype} has no roltype {inputs.omschrijving!r}; it has {named(roltypen)}: correct "
            "omschrijving in the model, or the zaaktype"
        )
    identified = identify(work, betrokkene)
    return Toegevoegd(rolUrl=add_rol(work, zrc, zaak=inputs.zaakUrl, roltype=roltype, betrokkene=identified))


def named(roltypen: list[dict[str, Any]]) -> str:
    """The roltypen in words."""
    return ", ".join(repr(one["omschrijving"]) for one in roltypen) or "none"


def identify(work: Work, betrokkene: Betrokkene) -> Betrokkene:
    """The same, with the names that the ZAC knows where only a user is given."""
    given = betrokkene.betrokkeneIdentificatie
    named_already = any(given.get(name) for name in (*NAMES, *NAMES_OF_API))
    if betrokkene.betrokkeneType != "medewerker" or "user:" not in betrokkene.identificatie or named_already:
        return betrokkene
    answer = work.connect(ServiceClient, "zac").create(MEDEWERKER, {"betrokkeneIdentificatie": given})
    known = answer.get("betrokkeneIdentificatie")
    if not isinstance(known, dict) or not known:
        raise NeverAgain(
            f"the ZAC does not say who {betrokkene.identificatie} is: its answer has no betrokkeneIdentificatie"
        )
    return betrokkene.model_copy(update={"betrokkeneIdentificatie": known})


def add_rol(
    work: Work,
    zrc: ZakenClient,
    *,
    zaak: str,
    roltype: Mapping[str, Any],
    betrokkene: Betrokkene,
    key: str = "create-rol",
) -> str:
    """The address of a rol that is added once."""
    address = betrokkene.betrokkene or ""
    body: dict[str, Any] = {
        "zaak": zaak,
        "betrokkeneType": betrokkene.betrokkeneType,
        "roltype": roltype["url"],
        "roltoelichting": betrokkene.roltoelichting or roltype["omschrijvingGeneriek"],
        "indicatieMachtiging": betrokkene.indicatieMachtiging,
    }
    if address:
        body["betrokkene"] = address
    if betrokkene.betrokkeneIdentificatie:
        body["betrokkeneIdentificatie"] = betrokkene.betrokkeneIdentificatie

    def find() -> Happened | None:
        for rol in zrc.rollen(zaak, roltype=roltype["url"]):
            if rol["roltype"] == roltype["url"] and _is_of(rol, betrokkene):
                return Happened(rol["url"])
        return None

    arguments = {
        "zaak": zaak,
        "roltype": roltype["url"],
        "betrokkene": address,
        "betrokkeneType": betrokkene.betrokkeneType,
        "betrokkeneIdentificatie": fingerprint(betrokkene.betrokkeneIdentificatie),
    }
    url: str = send(work, zrc, key, lambda: zrc.create_rol(body)["url"], arguments=arguments, reconcile=find)
    return url


def _is_of(rol: Mapping[str, Any], betrokkene: Betrokkene) -> bool:
    """Whether a rol is this party's, by what both tell: the API adds fields of its own, and ignores some of ours."""
    if rol["betrokkeneType"] != betrokkene.betrokkeneType or (rol.get("betrokkene") or "") != (
        betrokkene.betrokkene or ""
    ):
        return False
    given, kept = betrokkene.betrokkeneIdentificatie, rol.get("betrokkeneIdentificatie") or {}
    told = [name for name in given if name in kept]
    return all(_same(kept[name], given[name]) for name in told) and bool(told or not given)


def _same(kept: Any, given: Any) -> bool:
    if isinstance(kept, Mapping) and isinstance(given, Mapping):
        return all(_same(kept[name], given[name]) for name in given if name in kept)
    return str(kept or "") == str(given or "")

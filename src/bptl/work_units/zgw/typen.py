"""Which informatieobjecttype or besluittype a zaak's zaaktype means by an omschrijving."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from bptl.clients.catalogi import CatalogiClient
from bptl.work_units.contract import NeverAgain
from bptl.work_units.zgw.zaaktypen import begins, ends


def informatieobjecttype_of(ztc: CatalogiClient, *, zaaktype: str, omschrijving: str, day: date) -> str:
    """The address of the informatieobjecttype that documents of the zaaktype may have; raises NeverAgain."""
    of = ztc.zaaktype(zaaktype)
    allowed = set(of["informatieobjecttypen"])
    known = [one for one in ztc.informatieobjecttypen(of["catalogus"]) if one["url"] in allowed]
    return _one(known, "informatieobjecttype", zaaktype=zaaktype, omschrijving=omschrijving, day=day)


def besluittype_of(ztc: CatalogiClient, *, zaaktype: str, omschrijving: str, day: date) -> str:
    """The address of the besluittype that besluiten in zaken of the zaaktype may have; raises NeverAgain."""
    known = list(ztc.besluittypen(zaaktype))
    return _one(known, "besluittype", zaaktype=zaaktype, omschrijving=omschrijving, day=day)


def _one(known: Sequence[dict[str, Any]], what: str, *, zaaktype: str, omschrijving: str, day: date) -> str:
    valid = [one for one in known if begins(one) <= day <= ends(one)]
    wanted = omschrijving.strip().casefold()
    found = [one for one in valid if one["omschrijving"].strip().casefold() == wanted]
    if len(found) != 1:
        names = ", ".join(repr(one["omschrijving"]) for one in valid) or "none"
        raise NeverAgain(
            f"zaaktype {zaaktype} has {len(found) or 'no'} {what}n with omschrijving {omschrijving!r} valid on "
            f"{day}; it has {names}: correct {what}Omschrijving in the model, give {what}, or correct the zaaktype"
        )
    return str(found[0]["url"])

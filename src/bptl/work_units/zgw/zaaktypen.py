"""Which version of a zaaktype holds today."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from bptl.clients.catalogi import CatalogiClient
from bptl.work_units.contract import NeverAgain


def zaaktype_of(ztc: CatalogiClient, *, domein: str, rsin: str, identificatie: str, day: date) -> str:
    """The address of the version that is valid on ``day``. Raises NeverAgain, naming the variables, where none is.

    Of several, as an administration may have left them, the one without end goes first, then the one that ends last.
    """
    catalogus = next(ztc.catalogussen(domein=domein, rsin=rsin), None)
    if catalogus is None:
        raise NeverAgain(
            f"there is no catalogus with domein {domein!r} and RSIN {rsin}: correct catalogusDomein, catalogusRSIN or "
            "organisatieRSIN, or let the application read the catalogus"
        )
    versions = list(ztc.zaaktypen(catalogus=catalogus["url"], identificatie=identificatie))
    if not versions:
        raise NeverAgain(
            f"catalogus {domein!r} has no published zaaktype with identificatie {identificatie!r}: correct "
            "zaaktypeIdentificatie, or publish the zaaktype"
        )
    valid = [version for version in versions if _begins(version) <= day <= _ends(version)]
    latest = max((_ends(version) for version in valid), default=date.max)
    last = [version for version in valid if _ends(version) == latest]
    if len(last) != 1:
        found = "no version" if not last else f"{len(last)} versions with the same end"
        raise NeverAgain(
            f"zaaktype {identificatie!r} has {found} valid on {day} (it has {_periods(versions)}): correct the periods "
            "in the catalogus, or give zaaktype"
        )
    return str(last[0]["url"])


def _begins(version: dict[str, Any]) -> date:
    return date.fromisoformat(version["beginGeldigheid"])


def _ends(version: dict[str, Any]) -> date:
    # A version without end lasts longer than any with one.
    end = version.get("eindeGeldigheid")
    return date.fromisoformat(end) if end else date.max


def _periods(versions: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{one['beginGeldigheid']} – {one.get('eindeGeldigheid') or 'open'}" for one in versions)

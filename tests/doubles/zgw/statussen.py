"""Statussen and resultaten: what closes a zaak and what opens it again."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta

from tests.doubles.zgw import lists, rules
from tests.doubles.zgw.messages import Answer, Json, invalid
from tests.doubles.zgw.routing import Asked
from tests.doubles.zgw.views import plain, shown, view_of
from tests.doubles.zgw.world import AMSTERDAM, World, read_moment, said
from tests.doubles.zgw.zaken import api, current_status

LEEWAY = timedelta(seconds=5)
"""How far in the future a status may be set."""


@api.on("GET", "/statussen", scope="zaken.lezen")
def list_statussen(asked: Asked) -> Answer:
    """Latest first."""
    filters = {"zaak": lists.equal("zaak"), "statustype": lists.equal("statustype")}
    found = lists.matching(asked, asked.world.all("statussen"), filters)
    found.sort(key=lambda status: status["_moment"], reverse=True)
    if (latest := asked.first("indicatieLaatstGezetteStatus")) is not None:
        found = [one for one in found if _is_latest(asked.world, one) == (latest.lower() == "true")]
    return lists.page(asked, found)


@api.on("POST", "/statussen", scope="zaken.statussen.toevoegen")
def create_status(asked: Asked) -> Answer:
    """(zaak, datumStatusGezet) is unique; the future is refused, the past is not; the end status closes the zaak."""
    world, body = asked.world, asked.body
    zaak = world.at(body["zaak"], "zaken", field="zaak")
    statustype = world.at(body["statustype"], "statustypen", field="statustype")
    if zaak["einddatum"] is not None:
        rules.may(asked, "zaken.heropenen")
    if statustype["zaaktype"] != zaak["zaaktype"]:
        raise invalid("nonFieldErrors", "zaaktype-mismatch", "De referentie hoort niet bij het zaaktype van de zaak.")
    moment = read_moment(body["datumStatusGezet"], field="datumStatusGezet")
    if moment > world.now() + LEEWAY:
        raise invalid("datumStatusGezet", "date-in-future", "De datum mag niet in de toekomst liggen.")
    if any(other["_moment"] == moment.timestamp() for other in world.all("statussen", zaak=zaak["url"])):
        raise invalid("nonFieldErrors", "unique", "De velden zaak, datumStatusGezet moeten een unieke set zijn.")
    if statustype["isEindstatus"]:
        _close(world, zaak, moment.astimezone(AMSTERDAM).date())
    elif zaak["einddatum"] is not None:
        _reopen(zaak)
    known = rules.chosen(body, {"zaak": "", "statustype": "", "statustoelichting": "", "gezetdoor": None})
    kept = world.add(
        "statussen",
        {**known, "datumStatusGezet": said(moment), "zaakinformatieobjecten": [], "_moment": moment.timestamp()},
        of=zaak["identificatie"],
    )
    zaak["_touched"] = world.moment()
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/statussen/{uuid}", scope="zaken.lezen")
def get_status(asked: Asked, uuid: str) -> Answer:
    """There is no PATCH and no DELETE."""
    return lists.single(asked, asked.world.get("statussen", uuid))


@api.on("GET", "/resultaten", scope="zaken.lezen")
def list_resultaten(asked: Asked) -> Answer:
    """By zaak or resultaattype."""
    filters = {"zaak": lists.equal("zaak"), "resultaattype": lists.equal("resultaattype")}
    return lists.page(asked, lists.matching(asked, asked.world.all("resultaten"), filters))


@api.on("POST", "/resultaten", scope="zaken.bijwerken")
def create_resultaat(asked: Asked) -> Answer:
    """One for each zaak."""
    world, body = asked.world, asked.body
    zaak = world.at(body["zaak"], "zaken", field="zaak")
    rules.zaak_may_change(asked, zaak)
    _check_resultaattype(world, zaak, body["resultaattype"])
    if any(world.all("resultaten", zaak=zaak["url"])):
        raise invalid("zaak", "unique", "Er bestaat al een resultaat met een zaak.")
    known = rules.chosen(body, {"zaak": "", "resultaattype": "", "toelichting": ""})
    kept = world.add("resultaten", known, of=zaak["identificatie"])
    zaak["_touched"] = world.moment()
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/resultaten/{uuid}", scope="zaken.lezen")
def get_resultaat(asked: Asked, uuid: str) -> Answer:
    """One resultaat."""
    return lists.single(asked, asked.world.get("resultaten", uuid))


@api.on("PATCH", "/resultaten/{uuid}", scope="zaken.bijwerken")
@api.on("PUT", "/resultaten/{uuid}", scope="zaken.bijwerken")
def change_resultaat(asked: Asked, uuid: str) -> Answer:
    """The zaak stays."""
    world = asked.world
    result = world.get("resultaten", uuid)
    zaak = world.linked(result["zaak"])
    rules.zaak_may_change(asked, zaak)
    rules.unchanged(result, asked.body, "zaak")
    if "resultaattype" in asked.body:
        _check_resultaattype(world, zaak, asked.body["resultaattype"])
    result.update(rules.changed(result, asked.body, {"resultaattype": "", "toelichting": ""}))
    return Answer(200, shown(world, result))


@api.on("DELETE", "/resultaten/{uuid}", scope="zaken.bijwerken")
def delete_resultaat(asked: Asked, uuid: str) -> Answer:
    """Before the zaak is closed."""
    world = asked.world
    result = world.get("resultaten", uuid)
    rules.zaak_may_change(asked, world.linked(result["zaak"]))
    world.remove("resultaten", result)
    return Answer(204)


def _check_resultaattype(world: World, zaak: Json, link: str) -> None:
    resultaattype = world.at(link, "resultaattypen", field="resultaattype")
    if resultaattype["zaaktype"] != zaak["zaaktype"]:
        raise invalid("nonFieldErrors", "zaaktype-mismatch", "De referentie hoort niet bij het zaaktype van de zaak.")


def _close(world: World, zaak: Json, ended: date) -> None:
    """Needs a resultaat, and of each document that it is not locked and what may be done with it. Raises Refusal."""
    result = next(world.all("resultaten", zaak=zaak["url"]), None)
    if result is None:
        raise invalid("nonFieldErrors", "resultaat-does-not-exist", "De zaak heeft geen resultaat.")
    for relation in world.all("zaakinformatieobjecten", zaak=zaak["url"]):
        document = world.linked(relation["informatieobject"])
        if document["_lock"]:
            raise invalid("nonFieldErrors", "informatieobject-locked", "Een informatieobject is gelockt.")
        if document["_versions"][-1]["indicatieGebruiksrecht"] is None:
            raise invalid(
                "nonFieldErrors",
                "indicatiegebruiksrecht-unset",
                "Er zijn gerelateerde informatieobjecten waarvan indicatieGebruiksrecht nog niet gezet is.",
            )
    resultaattype = world.linked(result["resultaattype"])
    zaak["einddatum"] = zaak["startdatumBewaartermijn"] = ended.isoformat()
    zaak["archiefnominatie"] = zaak["archiefnominatie"] or resultaattype["archiefnominatie"]
    if period := resultaattype["archiefactietermijn"]:
        zaak["archiefactiedatum"] = _later(ended, period).isoformat()


def _later(day: date, period: str) -> date:
    """A day and an archiefactietermijn (ISO 8601: ``P5Y``, ``P1Y6M``, ``P30D``); 29 February becomes the 28th."""
    found = re.fullmatch(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?", period)
    if found is None:
        raise ValueError(period)
    years, months, days = (int(number or 0) for number in found.groups())
    years, month = divmod(day.year * 12 + day.month - 1 + years * 12 + months, 12)
    last = monthrange(years, month + 1)[1]
    return date(years, month + 1, min(day.day, last)) + timedelta(days=days)


def _reopen(zaak: Json) -> None:
    """What closing computed is gone; the resultaat stays."""
    zaak["einddatum"] = zaak["archiefnominatie"] = zaak["archiefactiedatum"] = zaak["startdatumBewaartermijn"] = None


def _is_latest(world: World, status: Json) -> bool:
    return current_status(world, world.linked(status["zaak"])) is status


@view_of("statussen")
def _show(world: World, status: Json) -> Json:
    return {**plain(status), "indicatieLaatstGezetteStatus": _is_latest(world, status)}

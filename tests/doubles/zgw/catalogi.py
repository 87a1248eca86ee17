"""The Catalogi API, to read."""

from __future__ import annotations

from typing import Any

from tests.doubles.zgw import lists
from tests.doubles.zgw.messages import Answer, Json
from tests.doubles.zgw.routing import Api, Asked
from tests.doubles.zgw.views import plain, view_of
from tests.doubles.zgw.world import World

api = Api("catalogi", "v1", "ztc")


def _status(record: Json, value: str) -> bool:
    """``alles``, ``concept`` or ``definitief``."""
    return value == "alles" or record.get("concept", False) == (value == "concept")


def _valid_on(record: Json, value: str) -> bool:
    begin, end = record.get("beginGeldigheid"), record.get("eindeGeldigheid")
    return (not begin or begin <= value) and (not end or value <= end)


_GENERAL: dict[str, lists.Filter] = {"datumGeldigheid": _valid_on}
_OF_ZAAKTYPE = {"zaaktype": lists.equal("zaaktype"), "zaaktypeIdentificatie": lists.equal("zaaktypeIdentificatie")}
FILTERS: dict[str, dict[str, lists.Filter]] = {
    "catalogussen": {
        "domein": lists.equal("domein"),
        "rsin": lists.equal("rsin"),
        "domein__in": lists.among("domein"),
        "rsin__in": lists.among("rsin"),
    },
    "zaaktypen": {
        "catalogus": lists.equal("catalogus"),
        "identificatie": lists.equal("identificatie"),
        "identificatie__icontains": lists.contains("identificatie"),
        "omschrijving__icontains": lists.contains("omschrijving"),
        **_GENERAL,
    },
    "statustypen": {**_OF_ZAAKTYPE, **_GENERAL},
    "resultaattypen": {**_OF_ZAAKTYPE, **_GENERAL},
    "roltypen": {
        "omschrijving": lists.equal("omschrijving"),
        "omschrijvingGeneriek": lists.equal("omschrijvingGeneriek"),
        **_OF_ZAAKTYPE,
        **_GENERAL,
    },
    "eigenschappen": {**_OF_ZAAKTYPE, **_GENERAL},
    "informatieobjecttypen": {
        "catalogus": lists.equal("catalogus"),
        "omschrijving": lists.equal("omschrijving"),
        "omschrijving__icontains": lists.contains("omschrijving"),
        **_GENERAL,
    },
    "zaaktype-informatieobjecttypen": {
        name: lists.equal(name) for name in ("zaaktype", "informatieobjecttype", "richting")
    },
    "besluittypen": {
        "catalogus": lists.equal("catalogus"),
        "omschrijving": lists.equal("omschrijving"),
        "zaaktypen": lists.holds("zaaktypen"),
        "informatieobjecttypen": lists.holds("informatieobjecttypen"),
        **_GENERAL,
    },
}

_BELOW_ZAAKTYPE = ("statustypen", "resultaattypen", "eigenschappen", "roltypen")


def _serve(name: str) -> None:
    def many(asked: Asked) -> Answer:
        filters = FILTERS[name]
        records = asked.world.all(name)
        if name != "catalogussen":
            # Without a word only what is published is shown; what belongs to a zaaktype goes with it.
            wanted = asked.first("status") or "definitief"
            records = (one for one in records if _status(_published(asked.world, one), wanted))
        return lists.page(asked, lists.matching(asked, records, filters))

    def one(asked: Asked, uuid: str) -> Answer:
        return lists.single(asked, asked.world.get(name, uuid))

    api.on("GET", f"/{name}", scope="catalogi.lezen")(many)
    api.on("GET", f"/{name}/{{uuid}}", scope="catalogi.lezen")(one)


def _published(world: World, record: Json) -> Json:
    zaaktype: Any = record.get("zaaktype")
    return world.linked(zaaktype) if zaaktype else record


for _name in FILTERS:
    _serve(_name)


@view_of("catalogussen")
def _show_catalogus(world: World, catalogus: Json) -> Json:
    names = ("zaaktypen", "besluittypen", "informatieobjecttypen")
    return {**plain(catalogus), **{name: _links(world, name, catalogus=catalogus["url"]) for name in names}}


@view_of("zaaktypen")
def _show_zaaktype(world: World, zaaktype: Json) -> Json:
    url = zaaktype["url"]
    relations = world.all("zaaktype-informatieobjecttypen", zaaktype=url)
    return {
        **plain(zaaktype),
        **{name: _links(world, name, zaaktype=url) for name in _BELOW_ZAAKTYPE},
        "informatieobjecttypen": [one["informatieobjecttype"] for one in relations],
        "besluittypen": [one["url"] for one in world.all("besluittypen") if url in one["zaaktypen"]],
        "zaakobjecttypen": [],
    }


@view_of("informatieobjecttypen")
def _show_informatieobjecttype(world: World, type_: Json) -> Json:
    relations = world.all("zaaktype-informatieobjecttypen", informatieobjecttype=type_["url"])
    return {
        **plain(type_),
        "zaaktypen": [one["zaaktype"] for one in relations],
        "besluittypen": [
            one["url"] for one in world.all("besluittypen") if type_["url"] in one["informatieobjecttypen"]
        ],
    }


def _links(world: World, name: str, **equal: Any) -> list[str]:
    return [record["url"] for record in world.all(name, **equal)]

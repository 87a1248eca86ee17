"""The zaak itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.doubles.zgw import lists, rules
from tests.doubles.zgw.messages import Answer, Json, Refusal, invalid
from tests.doubles.zgw.routing import Api, Asked
from tests.doubles.zgw.views import View, plain, shown, view_of
from tests.doubles.zgw.world import World

api = Api("zaken", "v1", "zrc")

FIELDS: Json = {
    "identificatie": "",
    "bronorganisatie": "",
    "omschrijving": "",
    "toelichting": "",
    "zaaktype": "",
    "registratiedatum": None,
    "verantwoordelijkeOrganisatie": "",
    "startdatum": None,
    "einddatumGepland": None,
    "uiterlijkeEinddatumAfdoening": None,
    "publicatiedatum": None,
    "laatstGeopend": None,
    "communicatiekanaal": "",
    "communicatiekanaalNaam": "",
    "productenOfDiensten": [],
    "vertrouwelijkheidaanduiding": "",
    "betalingsindicatie": "",
    "laatsteBetaaldatum": None,
    "zaakgeometrie": None,
    "verlenging": None,
    "opschorting": None,
    "selectielijstklasse": "",
    "hoofdzaak": None,
    "relevanteAndereZaken": [],
    "gerelateerdeZaken": [],
    "kenmerken": [],
    "archiefnominatie": None,
    "archiefstatus": "nog_te_archiveren",
    "archiefactiedatum": None,
    "opdrachtgevendeOrganisatie": "",
    "processobjectaard": "",
    "startdatumBewaartermijn": None,
    "processobject": None,
}
"""What a client may say of a zaak, and what it is when nothing is said."""

BETALING = {
    "nvt": "Er is geen sprake van te betalen, met de zaak gemoeide, kosten.",
    "nog_niet": "De met de zaak gemoeide kosten zijn (nog) niet betaald.",
    "gedeeltelijk": "De met de zaak gemoeide kosten zijn gedeeltelijk betaald.",
    "geheel": "De met de zaak gemoeide kosten zijn geheel betaald.",
}

PARTS = {
    "rollen": "rollen",
    "zaakinformatieobjecten": "zaakinformatieobjecten",
    "zaakobjecten": "zaakobjecten",
    "eigenschappen": "zaakeigenschappen",
}
"""Field of a zaak → collection that hangs below it."""


def _compare(field: str, suffix: str) -> lists.Filter:
    def fits(record: Json, value: str) -> bool:
        found = record.get(field)
        if suffix == "isnull":
            return (found is None) == (value == "true")
        if found is None:
            return False
        text = str(found)
        return {"gt": text > value, "gte": text >= value, "lt": text < value, "lte": text <= value}[suffix]

    return fits


FILTERS: dict[str, lists.Filter] = {
    **{name: lists.equal(name) for name in ("identificatie", "bronorganisatie", "zaaktype", "archiefnominatie")},
    **{name: lists.equal(name) for name in ("archiefstatus", "startdatum", "einddatum", "registratiedatum")},
    **{f"{name}__in": lists.among(name) for name in ("bronorganisatie", "archiefnominatie", "archiefstatus")},
    "identificatie__icontains": lists.contains("identificatie"),
    "omschrijving": lists.contains("omschrijving"),
    **{
        f"{name}__{suffix}": _compare(name, suffix)
        for name in ("startdatum", "einddatum", "registratiedatum", "archiefactiedatum")
        for suffix in ("gt", "gte", "lt", "lte", "isnull")
    },
}


@api.on("GET", "/zaken", scope="zaken.lezen", crs="accept")
def list_zaken(asked: Asked) -> Answer:
    """Filters of the zaak's own fields, of its rollen's persons, and its order."""
    found = lists.matching(asked, asked.world.all("zaken"), FILTERS)
    if ordering := asked.first("ordering"):
        for field in reversed(ordering.split(",")):
            found.sort(key=lambda zaak: str(zaak.get(field.lstrip("-")) or ""), reverse=field.startswith("-"))
    return lists.page(asked, found, expanding((asked.first("expand") or "").split(",")))


@api.on("POST", "/zaken/_zoek", scope="zaken.lezen", crs="both")
def search_zaken(asked: Asked) -> Answer:
    """As the list, its filters in the body."""
    body = asked.body
    found = [
        zaak
        for zaak in asked.world.all("zaken")
        if ("uuid__in" not in body or zaak["_uuid"] in body["uuid__in"])
        and ("zaaktype__in" not in body or zaak["zaaktype"] in body["zaaktype__in"])
        and all(fits(zaak, _as_query(body[name])) for name, fits in FILTERS.items() if name in body)
    ]
    return lists.page(asked, found, expanding(body.get("expand", [])))


@api.on("POST", "/zaken", scope="zaken.aanmaken", crs="both")
def create_zaak(asked: Asked) -> Answer:
    """An identificatie is unique per bronorganisatie, which makes this call safe to repeat."""
    world, body = asked.world, asked.body
    zaaktype = world.at(body["zaaktype"], "zaaktypen", field="zaaktype")
    if zaaktype["concept"]:
        raise invalid("zaaktype", "not-published", "De ZAAKTYPE moet gepubliceerd zijn.")
    today = world.today().isoformat()
    zaak = rules.chosen(body, {**FIELDS, "registratiedatum": today})
    _check(world, zaak, None)
    zaak["identificatie"] = zaak["identificatie"] or f"ZAAK-{today[:4]}-{world.number('zaken'):010d}"
    zaak["vertrouwelijkheidaanduiding"] = zaak["vertrouwelijkheidaanduiding"] or zaaktype["vertrouwelijkheidaanduiding"]
    kept = world.add("zaken", {**zaak, "einddatum": None, "_touched": world.moment()}, of=zaak["identificatie"])
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/zaken/{uuid}", scope="zaken.lezen", crs="accept")
def get_zaak(asked: Asked, uuid: str) -> Answer:
    """One zaak, with what ``expand`` asks for."""
    zaak = asked.world.get("zaken", uuid)
    return lists.single(asked, zaak, expanding((asked.first("expand") or "").split(",")))


@api.on("PATCH", "/zaken/{uuid}", scope="zaken.bijwerken", crs="both")
@api.on("PUT", "/zaken/{uuid}", scope="zaken.bijwerken", crs="both")
def change_zaak(asked: Asked, uuid: str) -> Answer:
    """Type and identificatie stay."""
    world = asked.world
    zaak = world.get("zaken", uuid)
    rules.zaak_may_change(asked, zaak)
    rules.unchanged(zaak, asked.body, "zaaktype", "identificatie")
    change = rules.changed(zaak, asked.body, FIELDS)
    _check(world, {**zaak, **change}, zaak)
    zaak.update(change, _touched=world.moment())
    return Answer(200, shown(world, zaak))


@api.on("DELETE", "/zaken/{uuid}", scope="zaken.verwijderen")
def delete_zaak(asked: Asked, uuid: str) -> Answer:
    """With all that hangs below it. With a resultaat it answers 500 though the zaak is gone."""
    world = asked.world
    zaak = world.get("zaken", uuid)
    rules.zaak_may_change(asked, zaak)
    had_result = any(world.all("resultaten", zaak=zaak["url"]))
    for name in ("statussen", "resultaten", *PARTS.values()):
        for part in world.all(name, zaak=zaak["url"]):
            world.remove(name, part)
    for relation in world.all("objectinformatieobjecten", object=zaak["url"]):
        world.remove("objectinformatieobjecten", relation)
    world.remove("zaken", zaak)
    if had_result:
        raise Refusal(500, "error", "Er is een serverfout opgetreden.")
    return Answer(204)


@view_of("zaken")
def _show(world: World, zaak: Json) -> Json:
    """A zaak with what is computed."""
    url = zaak["url"]
    status, result = current_status(world, zaak), next(world.all("resultaten", zaak=url), None)
    parts = {field: [part["url"] for part in world.all(name, zaak=url)] for field, name in PARTS.items()}
    return {
        **plain(zaak),
        **parts,
        "betalingsindicatieWeergave": BETALING.get(zaak["betalingsindicatie"], ""),
        "deelzaken": [part["url"] for part in world.all("zaken", hoofdzaak=url)],
        "laatstGemuteerd": zaak["_touched"],
        "status": status["url"] if status else None,
        "resultaat": result["url"] if result else None,
    }


def current_status(world: World, zaak: Json) -> Json | None:
    """The status with the latest datumStatusGezet."""
    return max(world.all("statussen", zaak=zaak["url"]), key=lambda status: status["_moment"], default=None)


def expanding(expand: Iterable[str]) -> View:
    """Zaken with ``_expand``; a step deeper (``status.statustype``) counts only where the one above it is asked for."""
    wanted = {one for one in expand if one}

    def expanded(world: World, zaak: Json) -> Json:
        answer = shown(world, zaak)
        return {**answer, "_expand": _inner(world, answer, wanted)} if wanted else answer

    return expanded


def _inner(world: World, record: Json, wanted: set[str]) -> Json:
    found: Json = {}
    for name in sorted(one for one in wanted if "." not in one):
        deeper = {one.partition(".")[2] for one in wanted if one.startswith(f"{name}.")}
        value = record.get(name)
        if isinstance(value, list):
            found[name] = [_opened(world, link, deeper) for link in value]
        elif value:
            found[name] = _opened(world, value, deeper)
    return found


def _opened(world: World, link: str, deeper: set[str]) -> Json:
    answer = shown(world, world.linked(link))
    return {**answer, "_expand": _inner(world, answer, deeper)} if deeper else answer


def _check(world: World, zaak: Json, before: Json | None) -> None:
    rules.check_rsin(zaak, "bronorganisatie", "verantwoordelijkeOrganisatie", "opdrachtgevendeOrganisatie")
    if zaak["identificatie"]:
        same = world.all("zaken", identificatie=zaak["identificatie"], bronorganisatie=zaak["bronorganisatie"])
        if any(other is not before for other in same):
            raise invalid(
                "identificatie",
                "identificatie-niet-uniek",
                "Deze identificatie bestaat al voor deze bronorganisatie.",
            )
    if zaak["hoofdzaak"] is not None:
        world.at(zaak["hoofdzaak"], "zaken", field="hoofdzaak")
    for number, related in enumerate(zaak["relevanteAndereZaken"]):
        world.at(related["url"], "zaken", field=f"relevanteAndereZaken.{number}.url")


def _as_query(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)

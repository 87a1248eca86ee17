"""The Besluiten API."""

from __future__ import annotations

from tests.doubles.zgw import lists, rules
from tests.doubles.zgw.messages import Answer, Json, invalid
from tests.doubles.zgw.routing import Api, Asked
from tests.doubles.zgw.views import plain, shown, view_of
from tests.doubles.zgw.world import World

api = Api("besluiten", "v1", "brc")

FIELDS: Json = {
    "identificatie": "",
    "verantwoordelijkeOrganisatie": "",
    "besluittype": "",
    "zaak": "",
    "datum": None,
    "toelichting": "",
    "bestuursorgaan": "",
    "ingangsdatum": None,
    "vervaldatum": None,
    "vervalreden": "",
    "publicatiedatum": None,
    "verzenddatum": None,
    "uiterlijkeReactiedatum": None,
}
VERVALREDENEN = {
    "tijdelijk": "Besluit met tijdelijke werking",
    "ingetrokken_overheid": "Besluit ingetrokken door overheid",
    "ingetrokken_belanghebbende": "Besluit ingetrokken o.v.v. belanghebbende",
}


@api.on("GET", "/besluiten", scope="besluiten.lezen")
def list_besluiten(asked: Asked) -> Answer:
    """By type, zaak, or identificatie and organisation."""
    fields = ("besluittype", "identificatie", "verantwoordelijkeOrganisatie", "zaak")
    filters = {name: lists.equal(name) for name in fields}
    return lists.page(asked, lists.matching(asked, asked.world.all("besluiten"), filters))


@api.on("POST", "/besluiten", scope="besluiten.aanmaken")
def create_besluit(asked: Asked) -> Answer:
    """An identificatie is unique per organisation; the Zaken API gets to know of it."""
    world = asked.world
    besluit = rules.chosen(asked.body, FIELDS)
    zaak = _check(world, besluit, None)
    besluit["identificatie"] = besluit["identificatie"] or f"BESLUIT-{world.today().year}-{world.number('b'):010d}"
    kept = world.add("besluiten", besluit, of=besluit["identificatie"])
    if zaak:
        rules.zaak_may_change(asked, zaak)
        world.add("zaakbesluiten", {"besluit": kept["url"], "_zaak": zaak["url"]}, below=zaak["url"])
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/besluiten/{uuid}", scope="besluiten.lezen")
def get_besluit(asked: Asked, uuid: str) -> Answer:
    """One besluit."""
    return lists.single(asked, asked.world.get("besluiten", uuid))


@api.on("PATCH", "/besluiten/{uuid}", scope="besluiten.bijwerken")
@api.on("PUT", "/besluiten/{uuid}", scope="besluiten.bijwerken")
def change_besluit(asked: Asked, uuid: str) -> Answer:
    """Type, organisation and identificatie stay."""
    world = asked.world
    besluit = world.get("besluiten", uuid)
    rules.unchanged(besluit, asked.body, "besluittype", "verantwoordelijkeOrganisatie", "identificatie", "zaak")
    change = rules.changed(besluit, asked.body, FIELDS)
    _check(world, {**besluit, **change}, besluit)
    besluit.update(change)
    return Answer(200, shown(world, besluit))


@api.on("DELETE", "/besluiten/{uuid}", scope="besluiten.verwijderen")
def delete_besluit(asked: Asked, uuid: str) -> Answer:
    """With its links."""
    world = asked.world
    besluit = world.get("besluiten", uuid)
    for relation in world.all("besluitinformatieobjecten", besluit=besluit["url"]):
        world.remove("besluitinformatieobjecten", relation)
    for relation in world.all("objectinformatieobjecten", object=besluit["url"]):
        world.remove("objectinformatieobjecten", relation)
    for relation in world.all("zaakbesluiten", besluit=besluit["url"]):
        world.remove("zaakbesluiten", relation)
    world.remove("besluiten", besluit)
    return Answer(204)


@api.on("GET", "/besluitinformatieobjecten", scope="besluiten.lezen")
def list_relations(asked: Asked) -> Answer:
    """A plain array."""
    filters = {name: lists.equal(name) for name in ("besluit", "informatieobject")}
    return lists.array(asked, lists.matching(asked, asked.world.all("besluitinformatieobjecten"), filters))


@api.on("POST", "/besluitinformatieobjecten", scope="besluiten.aanmaken")
def relate_document(asked: Asked) -> Answer:
    """A document of a type that the besluittype knows, once."""
    world, body = asked.world, asked.body
    besluit = world.at(body["besluit"], "besluiten", field="besluit")
    document = world.at(body["informatieobject"], "enkelvoudiginformatieobjecten", field="informatieobject")
    pair = {"besluit": besluit["url"], "informatieobject": document["url"]}
    if any(world.all("besluitinformatieobjecten", **pair)):
        raise invalid("nonFieldErrors", "unique", "De velden besluit, informatieobject moeten een unieke set zijn.")
    besluittype = world.linked(besluit["besluittype"])
    if document["_versions"][-1]["informatieobjecttype"] not in besluittype["informatieobjecttypen"]:
        raise invalid(
            "nonFieldErrors",
            "missing-besluittype-informatieobjecttype-relation",
            "Het informatieobjecttype hoort niet bij het besluittype van het besluit.",
        )
    kept = world.add("besluitinformatieobjecten", pair, of=besluit["identificatie"])
    world.add(
        "objectinformatieobjecten",
        {"informatieobject": document["url"], "object": besluit["url"], "objectType": "besluit"},
    )
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/besluitinformatieobjecten/{uuid}", scope="besluiten.lezen")
def get_relation(asked: Asked, uuid: str) -> Answer:
    """One relation."""
    return lists.single(asked, asked.world.get("besluitinformatieobjecten", uuid))


@api.on("DELETE", "/besluitinformatieobjecten/{uuid}", scope="besluiten.verwijderen")
def unrelate_document(asked: Asked, uuid: str) -> Answer:
    """Also from the Documenten API."""
    world = asked.world
    relation = world.get("besluitinformatieobjecten", uuid)
    world.remove("besluitinformatieobjecten", relation)
    for other in world.all(
        "objectinformatieobjecten", object=relation["besluit"], informatieobject=relation["informatieobject"]
    ):
        world.remove("objectinformatieobjecten", other)
    return Answer(204)


@view_of("besluiten")
def _show(world: World, besluit: Json) -> Json:
    return {**plain(besluit), "vervalredenWeergave": VERVALREDENEN.get(besluit["vervalreden"], "")}


def _check(world: World, besluit: Json, before: Json | None) -> Json | None:
    """The zaak of the besluit, if it has one."""
    rules.check_rsin(besluit, "verantwoordelijkeOrganisatie")
    besluittype = world.at(besluit["besluittype"], "besluittypen", field="besluittype")
    if besluittype["concept"]:
        raise invalid("besluittype", "not-published", "Het besluittype moet gepubliceerd zijn.")
    if besluit["datum"] > world.today().isoformat():
        raise invalid("datum", "future_not_allowed", "De datum mag niet in de toekomst liggen.")
    same = world.all(
        "besluiten",
        identificatie=besluit["identificatie"],
        verantwoordelijkeOrganisatie=besluit["verantwoordelijkeOrganisatie"],
    )
    if besluit["identificatie"] and any(other is not before for other in same):
        raise invalid("identificatie", "identificatie-niet-uniek", "Deze identificatie bestaat al.")
    if not besluit["zaak"]:
        return None
    zaak = world.at(besluit["zaak"], "zaken", field="zaak")
    if zaak["zaaktype"] not in besluittype["zaaktypen"]:
        raise invalid("nonFieldErrors", "zaaktype-mismatch", "Het besluittype hoort niet bij het zaaktype van de zaak.")
    return zaak

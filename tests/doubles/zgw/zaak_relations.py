"""What hangs below a zaak: rollen, documents, objects, eigenschappen, besluiten."""

from __future__ import annotations

from tests.doubles.zgw import lists, rules
from tests.doubles.zgw.messages import Answer, Json, invalid
from tests.doubles.zgw.routing import Asked
from tests.doubles.zgw.views import plain, shown, view_of
from tests.doubles.zgw.world import World
from tests.doubles.zgw.zaken import api

ROL: Json = {
    "zaak": "",
    "betrokkene": "",
    "betrokkeneType": "",
    "afwijkendeNaamBetrokkene": "",
    "roltype": "",
    "roltoelichting": "",
    "indicatieMachtiging": "",
    "contactpersoonRol": None,
    "betrokkeneIdentificatie": None,
    "authenticatieContext": None,
    "beginGeldigheid": None,
    "eindeGeldigheid": None,
}
ZAAKOBJECT: Json = {
    "zaak": "",
    "object": "",
    "zaakobjecttype": "",
    "objectType": "",
    "objectTypeOverige": "",
    "objectTypeOverigeDefinitie": None,
    "relatieomschrijving": "",
    "objectIdentificatie": None,
}
DOCUMENT: Json = {
    "informatieobject": "",
    "zaak": "",
    "titel": "",
    "beschrijving": "",
    "vernietigingsdatum": None,
    "status": None,
}

# rollen


@api.on("GET", "/rollen", scope="zaken.lezen")
def list_rollen(asked: Asked) -> Answer:
    """By zaak, person, type."""
    fields = ("zaak", "betrokkene", "betrokkeneType", "roltype", "omschrijving", "omschrijvingGeneriek")
    filters = {name: lists.equal(name) for name in fields}
    for kind, number in (("natuurlijkPersoon", "inpBsn"), ("medewerker", "identificatie"), ("vestiging", "kvkNummer")):
        filters[f"betrokkeneIdentificatie__{kind}__{number}"] = _identified(number)
    return lists.page(asked, lists.matching(asked, asked.world.all("rollen"), filters))


@api.on("POST", "/rollen", scope="zaken.bijwerken")
def create_rol(asked: Asked) -> Answer:
    """A zaak has one initiator."""
    world = asked.world
    rol = rules.chosen(asked.body, ROL)
    zaak = _check_rol(asked, rol, None)
    kept = world.add("rollen", {**rol, "registratiedatum": world.moment(), "statussen": []}, of=zaak["identificatie"])
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/rollen/{uuid}", scope="zaken.lezen")
def get_rol(asked: Asked, uuid: str) -> Answer:
    """One rol."""
    return lists.single(asked, asked.world.get("rollen", uuid))


@api.on("PUT", "/rollen/{uuid}", scope="zaken.bijwerken")
def change_rol(asked: Asked, uuid: str) -> Answer:
    """There is no PATCH."""
    rol = asked.world.get("rollen", uuid)
    rules.unchanged(rol, asked.body, "zaak")
    changed = rules.chosen(asked.body, ROL)
    _check_rol(asked, changed, rol)
    rol.update(changed)
    return Answer(200, shown(asked.world, rol))


@api.on("DELETE", "/rollen/{uuid}", scope="zaken.bijwerken")
def delete_rol(asked: Asked, uuid: str) -> Answer:
    """Gone."""
    return _delete(asked, "rollen", uuid)


def _check_rol(asked: Asked, rol: Json, before: Json | None) -> Json:
    world = asked.world
    zaak = world.at(rol["zaak"], "zaken", field="zaak")
    rules.zaak_may_change(asked, zaak)
    roltype = world.at(rol["roltype"], "roltypen", field="roltype")
    if roltype["zaaktype"] != zaak["zaaktype"]:
        raise invalid("nonFieldErrors", "zaaktype-mismatch", "De referentie hoort niet bij het zaaktype van de zaak.")
    if not rol["betrokkene"] and not rol["betrokkeneIdentificatie"]:
        raise invalid("nonFieldErrors", "invalid-betrokkene", "betrokkene of betrokkeneIdentificatie is verplicht.")
    rules.check_eleven(
        (rol["betrokkeneIdentificatie"] or {}).get("inpBsn") or "", field="betrokkeneIdentificatie.inpBsn"
    )
    generic = roltype["omschrijvingGeneriek"]
    others = (one for one in world.all("rollen", zaak=zaak["url"]) if one is not before)
    if generic == "initiator" and any(_roltype(world, one)["omschrijvingGeneriek"] == generic for one in others):
        raise invalid("nonFieldErrors", "max-occurences", "Er is al een rol met deze omschrijvingGeneriek.")
    return zaak


def _roltype(world: World, rol: Json) -> Json:
    return world.linked(rol["roltype"])


@view_of("rollen")
def _show_rol(world: World, rol: Json) -> Json:
    roltype = _roltype(world, rol)
    answer = {
        **plain(rol),
        "omschrijving": roltype["omschrijving"],
        "omschrijvingGeneriek": roltype["omschrijvingGeneriek"],
    }
    if rol["betrokkeneIdentificatie"] is None:
        del answer["betrokkeneIdentificatie"]
    return answer


def _identified(number: str) -> lists.Filter:
    return lambda rol, value: (rol["betrokkeneIdentificatie"] or {}).get(number) == value


# documents


@api.on("GET", "/zaakinformatieobjecten", scope="zaken.lezen")
def list_documents(asked: Asked) -> Answer:
    """A plain array."""
    filters = {"zaak": lists.equal("zaak"), "informatieobject": lists.equal("informatieobject")}
    return lists.array(asked, lists.matching(asked, asked.world.all("zaakinformatieobjecten"), filters))


@api.on("POST", "/zaakinformatieobjecten", scope="zaken.bijwerken")
def relate_document(asked: Asked) -> Answer:
    """A document of a type that the zaaktype knows, once; the Documenten API gets to know it too."""
    world, body = asked.world, asked.body
    zaak = world.at(body["zaak"], "zaken", field="zaak")
    rules.zaak_may_change(asked, zaak)
    document = world.at(body["informatieobject"], "enkelvoudiginformatieobjecten", field="informatieobject")
    if any(world.all("zaakinformatieobjecten", zaak=zaak["url"], informatieobject=document["url"])):
        raise invalid("nonFieldErrors", "unique", "De velden zaak, informatieobject moeten een unieke set zijn.")
    known = world.all(
        "zaaktype-informatieobjecttypen",
        zaaktype=zaak["zaaktype"],
        informatieobjecttype=document["_versions"][-1]["informatieobjecttype"],
    )
    if not any(known):
        raise invalid(
            "nonFieldErrors",
            "missing-zaaktype-informatieobjecttype-relation",
            "Het informatieobjecttype hoort niet bij het zaaktype van de zaak.",
        )
    relation = {
        **rules.chosen(body, DOCUMENT),
        "aardRelatieWeergave": "Hoort bij, omgekeerd: kent",
        "registratiedatum": world.moment(),
    }
    kept = world.add("zaakinformatieobjecten", relation, of=zaak["identificatie"])
    world.add(
        "objectinformatieobjecten",
        {"informatieobject": document["url"], "object": zaak["url"], "objectType": "zaak"},
        of=zaak["identificatie"],
    )
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/zaakinformatieobjecten/{uuid}", scope="zaken.lezen")
def get_relation(asked: Asked, uuid: str) -> Answer:
    """One relation."""
    return lists.single(asked, asked.world.get("zaakinformatieobjecten", uuid))


@api.on("PATCH", "/zaakinformatieobjecten/{uuid}", scope="zaken.bijwerken")
@api.on("PUT", "/zaakinformatieobjecten/{uuid}", scope="zaken.bijwerken")
def change_relation(asked: Asked, uuid: str) -> Answer:
    """Its title and what is said about it."""
    world = asked.world
    relation = world.get("zaakinformatieobjecten", uuid)
    rules.zaak_may_change(asked, world.linked(relation["zaak"]))
    rules.unchanged(relation, asked.body, "zaak", "informatieobject")
    relation.update(rules.changed(relation, asked.body, DOCUMENT))
    return Answer(200, shown(world, relation))


@api.on("DELETE", "/zaakinformatieobjecten/{uuid}", scope="zaken.bijwerken")
def unrelate_document(asked: Asked, uuid: str) -> Answer:
    """Also from the Documenten API."""
    world = asked.world
    relation = world.get("zaakinformatieobjecten", uuid)
    answer = _delete(asked, "zaakinformatieobjecten", uuid)
    for other in world.all(
        "objectinformatieobjecten", object=relation["zaak"], informatieobject=relation["informatieobject"]
    ):
        world.remove("objectinformatieobjecten", other)
    return answer


# objects


@api.on("GET", "/zaakobjecten", scope="zaken.lezen")
def list_objects(asked: Asked) -> Answer:
    """Paged."""
    filters = {name: lists.equal(name) for name in ("zaak", "object", "objectType")}
    return lists.page(asked, lists.matching(asked, asked.world.all("zaakobjecten"), filters))


@api.on("POST", "/zaakobjecten", scope="zaken.bijwerken")
def relate_object(asked: Asked) -> Answer:
    """The object may be anywhere: its address is not looked at."""
    world = asked.world
    relation = rules.chosen(asked.body, ZAAKOBJECT)
    zaak = world.at(relation["zaak"], "zaken", field="zaak")
    rules.zaak_may_change(asked, zaak)
    if relation["objectType"] == "overige" and not relation["objectTypeOverige"]:
        raise invalid("objectTypeOverige", "missing-object-type-overige", "Verplicht bij objectType overige.")
    if relation["objectType"] != "overige" and relation["objectTypeOverige"]:
        raise invalid("objectTypeOverige", "invalid-object-type-overige-usage", "Alleen bij objectType overige.")
    if not relation["object"] and not relation["objectIdentificatie"]:
        raise invalid("nonFieldErrors", "invalid-zaakobject", "object of objectIdentificatie is verplicht.")
    kept = world.add("zaakobjecten", relation, of=zaak["identificatie"])
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/zaakobjecten/{uuid}", scope="zaken.lezen")
def get_object(asked: Asked, uuid: str) -> Answer:
    """One relation."""
    return lists.single(asked, asked.world.get("zaakobjecten", uuid))


@api.on("PATCH", "/zaakobjecten/{uuid}", scope="zaken.bijwerken")
@api.on("PUT", "/zaakobjecten/{uuid}", scope="zaken.bijwerken")
def change_object(asked: Asked, uuid: str) -> Answer:
    """What is said about it."""
    world = asked.world
    relation = world.get("zaakobjecten", uuid)
    rules.zaak_may_change(asked, world.linked(relation["zaak"]))
    rules.unchanged(relation, asked.body, "zaak", "object", "objectType")
    relation.update(rules.changed(relation, asked.body, ZAAKOBJECT))
    return Answer(200, shown(world, relation))


@api.on("DELETE", "/zaakobjecten/{uuid}", scope="zaken.bijwerken")
def unrelate_object(asked: Asked, uuid: str) -> Answer:
    """Gone."""
    return _delete(asked, "zaakobjecten", uuid)


@view_of("zaakobjecten")
def _show_object(world: World, relation: Json) -> Json:
    answer = plain(relation)
    if relation["objectIdentificatie"] is None:
        del answer["objectIdentificatie"]
    return answer


# eigenschappen


@api.on("GET", "/zaken/{zaak_uuid}/zaakeigenschappen", scope="zaken.lezen")
def list_eigenschappen(asked: Asked, zaak_uuid: str) -> Answer:
    """A plain array."""
    zaak = asked.world.get("zaken", zaak_uuid)
    return lists.array(asked, list(asked.world.all("zaakeigenschappen", zaak=zaak["url"])))


@api.on("POST", "/zaken/{zaak_uuid}/zaakeigenschappen", scope="zaken.bijwerken")
def create_eigenschap(asked: Asked, zaak_uuid: str) -> Answer:
    """Nothing hinders a second one of the same eigenschap."""
    world, body = asked.world, asked.body
    zaak = world.get("zaken", zaak_uuid)
    rules.zaak_may_change(asked, zaak)
    world.at(body["zaak"], "zaken", field="zaak")
    eigenschap = world.at(body["eigenschap"], "eigenschappen", field="eigenschap")
    if eigenschap["zaaktype"] != zaak["zaaktype"]:
        raise invalid("nonFieldErrors", "zaaktype-mismatch", "De referentie hoort niet bij het zaaktype van de zaak.")
    record = {
        "zaak": zaak["url"],
        "eigenschap": eigenschap["url"],
        "naam": eigenschap["naam"],
        "waarde": body["waarde"],
    }
    kept = world.add("zaakeigenschappen", record, below=zaak["url"], of=zaak["identificatie"])
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/zaken/{zaak_uuid}/zaakeigenschappen/{uuid}", scope="zaken.lezen")
def get_eigenschap(asked: Asked, zaak_uuid: str, uuid: str) -> Answer:
    """One of a zaak."""
    asked.world.get("zaken", zaak_uuid)
    return lists.single(asked, asked.world.get("zaakeigenschappen", uuid))


@api.on("PATCH", "/zaken/{zaak_uuid}/zaakeigenschappen/{uuid}", scope="zaken.bijwerken")
@api.on("PUT", "/zaken/{zaak_uuid}/zaakeigenschappen/{uuid}", scope="zaken.bijwerken")
def change_eigenschap(asked: Asked, zaak_uuid: str, uuid: str) -> Answer:
    """Its waarde."""
    world = asked.world
    rules.zaak_may_change(asked, world.get("zaken", zaak_uuid))
    record = world.get("zaakeigenschappen", uuid)
    rules.unchanged(record, asked.body, "zaak", "eigenschap")
    record.update(rules.changed(record, asked.body, {"waarde": ""}))
    return Answer(200, shown(world, record))


@api.on("DELETE", "/zaken/{zaak_uuid}/zaakeigenschappen/{uuid}", scope="zaken.bijwerken")
def delete_eigenschap(asked: Asked, zaak_uuid: str, uuid: str) -> Answer:
    """Gone."""
    asked.world.get("zaken", zaak_uuid)
    return _delete(asked, "zaakeigenschappen", uuid)


# besluiten, which the Besluiten API puts here


@api.on("GET", "/zaken/{zaak_uuid}/besluiten", scope="zaken.lezen")
def list_besluiten(asked: Asked, zaak_uuid: str) -> Answer:
    """A plain array."""
    zaak = asked.world.get("zaken", zaak_uuid)
    return lists.array(asked, list(asked.world.all("zaakbesluiten", _zaak=zaak["url"])))


def _delete(asked: Asked, name: str, uuid: str) -> Answer:
    record = asked.world.get(name, uuid)
    rules.zaak_may_change(asked, asked.world.linked(record["zaak"]))
    asked.world.remove(name, record)
    return Answer(204)

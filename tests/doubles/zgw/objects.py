"""The Objects and the Objecttypes API."""

from __future__ import annotations

from datetime import date
from typing import Any

from tests.doubles.zgw import lists
from tests.doubles.zgw.messages import Answer, Json, invalid, not_found
from tests.doubles.zgw.routing import Api, Asked
from tests.doubles.zgw.views import plain, view_of
from tests.doubles.zgw.world import World

api = Api("objects", "v2", "orc", scheme="token")
types = Api("objecttypes", "v2", "orc", scheme="token")

OPERATORS = ("exact", "gt", "gte", "lt", "lte", "icontains", "in")


# objects


@api.on("GET", "/objects", crs="")
def list_objects(asked: Asked) -> Answer:
    """By type, version and values of their data."""
    wanted = {"type": asked.first("type"), "typeVersion": asked.first("typeVersion"), "date": asked.first("date")}
    wanted["data_icontains"] = asked.first("data_icontains")
    attributes = [*asked.every("data_attr"), *(asked.first("data_attrs") or "").split(",")]
    return lists.page(asked, _found(asked.world, wanted, attributes))


@api.on("POST", "/objects/search")
def search_objects(asked: Asked) -> Answer:
    """As the list, its filters in the body."""
    body = asked.body
    attributes = [body.get("data_attr", ""), *body.get("data_attrs", "").split(",")]
    return lists.page(asked, _found(asked.world, body, attributes))


@api.on("POST", "/objects")
def create_object(asked: Asked) -> Answer:
    """The first record of an object."""
    world, body = asked.world, asked.body
    type_ = world.at(body["type"], "objecttypes", field="type")
    record = _record(world, type_, body["record"], number=1)
    kept = world.add("objects", {"type": type_["url"], "_records": [record]}, of=type_["name"])
    return Answer(201, _show(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/objects/{uuid}")
def get_object(asked: Asked, uuid: str) -> Answer:
    """Its latest record."""
    return lists.single(asked, asked.world.get("objects", uuid))


@api.on("PUT", "/objects/{uuid}")
def replace_object(asked: Asked, uuid: str) -> Answer:
    """A new record."""
    return _change(asked, uuid, asked.body["record"])


@api.on("PATCH", "/objects/{uuid}")
def change_object(asked: Asked, uuid: str) -> Answer:
    """A new record: what is given replaces, and data are merged (RFC 7396)."""
    before = asked.world.get("objects", uuid)["_records"][-1]
    given = asked.body.get("record", {})
    merged = {**before, **given, "data": _merged(before["data"], given.get("data", {}))}
    return _change(asked, uuid, merged)


@api.on("DELETE", "/objects/{uuid}")
def delete_object(asked: Asked, uuid: str) -> Answer:
    """Gone."""
    asked.world.remove("objects", asked.world.get("objects", uuid))
    return Answer(204)


@api.on("GET", "/objects/{uuid}/history")
def get_history(asked: Asked, uuid: str) -> Answer:
    """Every record."""
    return lists.page(asked, asked.world.get("objects", uuid)["_records"], lambda world, record: record)


@view_of("objects")
def _show(world: World, stored: Json) -> Json:
    return {**plain(stored), "record": stored["_records"][-1]}


def _change(asked: Asked, uuid: str, given: Json) -> Answer:
    world = asked.world
    stored = world.get("objects", uuid)
    before = stored["_records"][-1]
    record = _record(world, world.linked(stored["type"]), given, number=before["index"] + 1)
    before["endAt"] = record["startAt"]
    stored["_records"].append(record)
    return Answer(200, _show(world, stored))


def _record(world: World, type_: Json, given: Json, *, number: int) -> Json:
    if given["typeVersion"] not in [version["version"] for version in type_["_versions"]]:
        raise invalid("nonFieldErrors", "invalid", "The version of this objecttype does not exist.")
    return {
        "index": number,
        "typeVersion": given["typeVersion"],
        "data": given.get("data", {}),
        "geometry": given.get("geometry"),
        "references": given.get("references", []),
        "startAt": given["startAt"],
        "endAt": None,
        "registrationAt": world.today().isoformat(),
        "correctionFor": given.get("correctionFor"),
        "correctedBy": None,
    }


def _merged(before: Json, given: Json) -> Json:
    merged = dict(before)
    for name, value in given.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _merged(merged[name], value)
        else:
            merged[name] = value
    return merged


def _found(world: World, wanted: Json, attributes: list[str]) -> list[Json]:
    if (type_ := wanted.get("type")) is not None:
        world.at(type_, "objecttypes", field="type")
    conditions = [_condition(one) for one in attributes if one]
    found = []
    for stored in world.all("objects"):
        record = stored["_records"][-1]
        if (
            (type_ is None or stored["type"] == type_)
            and str(wanted.get("typeVersion") or record["typeVersion"]) == str(record["typeVersion"])
            and str(wanted.get("data_icontains") or "").lower() in str(record["data"]).lower()
            and all(_fits(record["data"], *condition) for condition in conditions)
        ):
            found.append(stored)
    return found


def _condition(text: str) -> tuple[list[str], str, str]:
    parts = text.split("__")
    if len(parts) < 3 or parts[-2] not in OPERATORS:
        raise invalid("data_attr", "invalid", f"Filter '{text}' doesn't have the format 'key__operator__value'.")
    return parts[:-2], parts[-2], parts[-1]


def _fits(data: Any, keys: list[str], operator: str, value: str) -> bool:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    values = data if isinstance(data, list) else [data]
    if operator == "icontains":
        return any(value.lower() in str(one).lower() for one in values)
    if operator == "in":
        return any(_text(one) in value.split("|") for one in values)
    if operator == "exact":
        return _text(data) == value
    found, bound = (float(data), float(value)) if isinstance(data, int | float) else (str(data), value)
    order = (found > bound) - (found < bound)  # type: ignore[operator] # both are numbers, or both texts
    return {"gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[operator]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# objecttypes


@types.on("GET", "/objecttypes")
def list_types(asked: Asked) -> Answer:
    """Paged."""
    filters = {"dataClassification": lists.equal("dataClassification")}
    return lists.page(asked, lists.matching(asked, asked.world.all("objecttypes"), filters))


@types.on("GET", "/objecttypes/{uuid}")
def get_type(asked: Asked, uuid: str) -> Answer:
    """With the addresses of its versions."""
    return lists.single(asked, asked.world.get("objecttypes", uuid))


@types.on("GET", "/objecttypes/{objecttype_uuid}/versions")
def list_versions(asked: Asked, objecttype_uuid: str) -> Answer:
    """Oldest first."""
    versions = asked.world.get("objecttypes", objecttype_uuid)["_versions"]
    return lists.page(asked, versions, lambda world, version: version)


@types.on("GET", "/objecttypes/{objecttype_uuid}/versions/{version}")
def get_version(asked: Asked, objecttype_uuid: str, version: str) -> Answer:
    """By its number."""
    for found in asked.world.get("objecttypes", objecttype_uuid)["_versions"]:
        if str(found["version"]) == version:
            return lists.single(asked, found, lambda world, one: one)
    raise not_found()


@view_of("objecttypes")
def _show_type(world: World, type_: Json) -> Json:
    return {**plain(type_), "versions": [version["url"] for version in type_["_versions"]]}


def add_type(world: World, name: str, *, labels: Json, schemas: list[Json], today: date) -> str:
    """An objecttype with a published version for each schema; its link."""
    at = today.isoformat()
    record = {
        "name": name,
        "namePlural": name,
        "description": "",
        "dataClassification": "open",
        "maintainerOrganization": "",
        "maintainerDepartment": "",
        "contactPerson": "",
        "contactEmail": "",
        "source": "",
        "updateFrequency": "unknown",
        "providerOrganization": "",
        "documentationUrl": "",
        "labels": labels,
        "createdAt": at,
        "modifiedAt": at,
        "allowGeometry": True,
    }
    type_ = world.add("objecttypes", {**record, "_versions": []})
    for number, schema in enumerate(schemas, start=1):
        type_["_versions"].append(
            {
                "url": f"{type_['url']}/versions/{number}",
                "version": number,
                "objectType": type_["url"],
                "status": "published",
                "jsonSchema": schema,
                "createdAt": at,
                "modifiedAt": at,
                "publishedAt": at,
            }
        )
    url: str = type_["url"]
    return url


def add_object(world: World, type_: str, data: Json) -> str:
    """An object of the first version of a type; its link."""
    record = _record(
        world, world.linked(type_), {"typeVersion": 1, "data": data, "startAt": world.today().isoformat()}, number=1
    )
    url: str = world.add("objects", {"type": type_, "_records": [record]})["url"]
    return url

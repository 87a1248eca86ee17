"""The Documenten API: documents with versions, locks, parts and contents."""

from __future__ import annotations

import base64
import binascii
import uuid as uuids
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP

from tests.doubles.zgw import lists, rules
from tests.doubles.zgw.messages import Answer, Json, Refusal, invalid, not_found
from tests.doubles.zgw.routing import Api, Asked
from tests.doubles.zgw.views import plain, shown, view_of
from tests.doubles.zgw.world import World

api = Api("documenten", "v1", "drc")

EIO = "enkelvoudiginformatieobjecten"
FIELDS: Json = {
    "identificatie": "",
    "bronorganisatie": "",
    "creatiedatum": None,
    "titel": "",
    "vertrouwelijkheidaanduiding": "",
    "auteur": "",
    "status": "",
    "formaat": "",
    "taal": "",
    "bestandsnaam": "",
    "bestandsomvang": None,
    "link": "",
    "beschrijving": "",
    "ontvangstdatum": None,
    "verzenddatum": None,
    "indicatieGebruiksrecht": None,
    "verschijningsvorm": "",
    "ondertekening": None,
    "integriteit": None,
    "informatieobjecttype": "",
    "trefwoorden": [],
}
_EMPTY_SIGNATURE = {"soort": "", "datum": None}
_EMPTY_HASH = {"algoritme": "", "waarde": "", "datum": None}


@api.on("GET", f"/{EIO}", scope="documenten.lezen")
def list_documents(asked: Asked) -> Answer:
    """The latest versions."""
    fields = ("identificatie", "bronorganisatie", "titel", "auteur", "informatieobjecttype")
    filters = {name: _latest(lists.equal(name)) for name in fields}
    return lists.page(asked, lists.matching(asked, asked.world.all(EIO), filters))


@api.on("POST", f"/{EIO}/_zoek", scope="documenten.lezen")
def search_documents(asked: Asked) -> Answer:
    """By uuid."""
    return lists.page(asked, [one for one in asked.world.all(EIO) if one["_uuid"] in asked.body["uuid__in"]])


@api.on("POST", f"/{EIO}", scope="documenten.aanmaken")
def create_document(asked: Asked) -> Answer:
    """With its contents, without any, or (a size, but no inhoud) as one that waits for its parts and is locked."""
    world, body = asked.world, asked.body
    version = rules.chosen(body, FIELDS)
    _check(world, version, None)
    if version["indicatieGebruiksrecht"]:
        raise invalid("indicatieGebruiksrecht", "missing-gebruiksrechten", "Er zijn nog geen gebruiksrechten.")
    version["identificatie"] = version["identificatie"] or f"DOCUMENT-{world.today().year}-{world.number(EIO):010d}"
    version["vertrouwelijkheidaanduiding"] = version["vertrouwelijkheidaanduiding"] or "openbaar"
    content = _content(body)
    _check_size(version["bestandsomvang"], content)
    document = world.add(EIO, {"_lock": "", "_versions": []}, of=version["identificatie"])
    _add_version(world, document, version, content)
    answer = shown(world, document)
    if content is None and version["bestandsomvang"]:
        document["_lock"] = uuids.uuid4().hex
        _split(world, document)
        answer = {**shown(world, document), "lock": document["_lock"]}
    return Answer(201, answer, headers={"Location": document["url"]})


@api.on("GET", f"/{EIO}/{{uuid}}", scope="documenten.lezen")
def get_document(asked: Asked, uuid: str) -> Answer:
    """The latest version, or the one asked for."""
    document = asked.world.get(EIO, uuid)
    version = _version(document, asked.first("versie"))
    return lists.single(asked, document, lambda world, record: _show_version(world, record, version))


@api.on("PATCH", f"/{EIO}/{{uuid}}", scope="documenten.bijwerken")
@api.on("PUT", f"/{EIO}/{{uuid}}", scope="documenten.bijwerken")
def change_document(asked: Asked, uuid: str) -> Answer:
    """A new version; only who holds the lock may, and says so in the body."""
    world, body = asked.world, asked.body
    document = world.get(EIO, uuid)
    if not document["_lock"]:
        raise invalid("nonFieldErrors", "unlocked", "Niet gelockte documenten mogen niet gewijzigd worden.")
    if not body.get("lock"):
        raise invalid("nonFieldErrors", "missing-lock-id", "Lock id moet meegestuurd worden.")
    _check_lock(document, body["lock"])
    before = document["_versions"][-1]
    version = {**before, **rules.changed(before, body, FIELDS)}
    _check(world, version, document)
    _check_rights(world, document, version["indicatieGebruiksrecht"])
    content = _content(body) if "inhoud" in body else before["_content"]
    if "inhoud" in body or "bestandsomvang" in body:
        _check_size(version["bestandsomvang"], content)
    _add_version(world, document, version, content)
    return Answer(200, shown(world, document))


@api.on("DELETE", f"/{EIO}/{{uuid}}", scope="documenten.verwijderen")
def delete_document(asked: Asked, uuid: str) -> Answer:
    """Not while anything is linked to it."""
    world = asked.world
    document = world.get(EIO, uuid)
    links = ("objectinformatieobjecten", "zaakinformatieobjecten", "besluitinformatieobjecten")
    if any(any(world.all(name, informatieobject=document["url"])) for name in links):
        raise invalid("nonFieldErrors", "pending-relations", "Er zijn nog relaties met dit informatieobject.")
    for name in ("gebruiksrechten", "bestandsdelen"):
        for part in world.all(name, _document=document["url"]):
            world.remove(name, part)
    world.remove(EIO, document)
    return Answer(204)


@api.on("GET", f"/{EIO}/{{uuid}}/download", scope="documenten.lezen", produces="application/octet-stream")
def download(asked: Asked, uuid: str) -> Answer:
    """The bytes; whoever accepts JSON only gets a 406."""
    version = _version(asked.world.get(EIO, uuid), asked.first("versie"))
    name = version["bestandsnaam"] or "inhoud"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(200, version["_content"] or b"", content_type="application/octet-stream", headers=headers)


# locks and parts


@api.on("POST", f"/{EIO}/{{uuid}}/lock", scope="documenten.lock")
def lock(asked: Asked, uuid: str) -> Answer:
    """Who has the lock may change the document."""
    document = asked.world.get(EIO, uuid)
    if document["_lock"]:
        raise invalid("nonFieldErrors", "existing-lock", "Het document is al gelockt.")
    document["_lock"] = uuids.uuid4().hex
    return Answer(200, {"lock": document["_lock"]})


@api.on("POST", f"/{EIO}/{{uuid}}/unlock", scope="documenten.lock")
def unlock(asked: Asked, uuid: str) -> Answer:
    """Whoever has all rights needs no lock, or has a wrong one."""
    world = asked.world
    document = world.get(EIO, uuid)
    if not asked.application.may("documenten.geforceerd-unlock"):
        _check_lock(document, asked.body.get("lock", ""))
    parts = list(world.all("bestandsdelen", _document=document["url"]))
    if any(part["_content"] is None for part in parts):
        raise invalid("nonFieldErrors", "incomplete-upload", "Het uploaden van bestandsdelen is nog niet voltooid.")
    if parts:
        document["_versions"][-1]["_content"] = b"".join(part["_content"] for part in parts)
        for part in parts:
            world.remove("bestandsdelen", part)
    document["_lock"] = ""
    return Answer(204)


@api.on("PUT", "/bestandsdelen/{uuid}", scope="documenten.bijwerken")
def upload(asked: Asked, uuid: str) -> Answer:
    """One part, as multipart/form-data with the lock."""
    world = asked.world
    part = world.get("bestandsdelen", uuid)
    form = _form(asked)
    given = form.get("lock", b"").decode()
    if not given:
        raise invalid("lock", "required", "Dit veld is vereist.")
    _check_lock(world.linked(part["_document"]), given)
    content = form.get("inhoud", b"")
    if len(content) != part["omvang"]:
        raise invalid("nonFieldErrors", "file-size", "Het aangeleverde bestandsdeel heeft een afwijkende omvang.")
    part["_content"] = content
    part["voltooid"] = True
    return Answer(200, {**plain(part), "lock": given})


# relations and rights


@api.on("GET", "/objectinformatieobjecten", scope="documenten.lezen")
def list_relations(asked: Asked) -> Answer:
    """A plain array."""
    filters = {name: lists.equal(name) for name in ("informatieobject", "object")}
    return lists.array(asked, lists.matching(asked, asked.world.all("objectinformatieobjecten"), filters))


@api.on("GET", "/objectinformatieobjecten/{uuid}", scope="documenten.lezen")
def get_relation(asked: Asked, uuid: str) -> Answer:
    """Made by the Zaken and the Besluiten API."""
    return lists.single(asked, asked.world.get("objectinformatieobjecten", uuid))


@api.on("GET", "/gebruiksrechten", scope="documenten.lezen")
def list_rights(asked: Asked) -> Answer:
    """A plain array."""
    filters = {"informatieobject": lists.equal("informatieobject")}
    return lists.array(asked, lists.matching(asked, asked.world.all("gebruiksrechten"), filters))


@api.on("POST", "/gebruiksrechten", scope="documenten.aanmaken")
def create_rights(asked: Asked) -> Answer:
    """Sets indicatieGebruiksrecht."""
    world, body = asked.world, asked.body
    document = world.at(body["informatieobject"], EIO, field="informatieobject")
    known = {"informatieobject": "", "startdatum": "", "einddatum": None, "omschrijvingVoorwaarden": ""}
    kept = world.add("gebruiksrechten", {**rules.chosen(body, known), "_document": document["url"]})
    document["_versions"][-1]["indicatieGebruiksrecht"] = True
    return Answer(201, shown(world, kept), headers={"Location": kept["url"]})


@api.on("GET", "/gebruiksrechten/{uuid}", scope="documenten.lezen")
def get_rights(asked: Asked, uuid: str) -> Answer:
    """One."""
    return lists.single(asked, asked.world.get("gebruiksrechten", uuid))


@api.on("DELETE", "/gebruiksrechten/{uuid}", scope="documenten.verwijderen")
def delete_rights(asked: Asked, uuid: str) -> Answer:
    """With the last one indicatieGebruiksrecht is unknown again."""
    world = asked.world
    rights = world.get("gebruiksrechten", uuid)
    world.remove("gebruiksrechten", rights)
    if not any(world.all("gebruiksrechten", _document=rights["_document"])):
        world.linked(rights["_document"])["_versions"][-1]["indicatieGebruiksrecht"] = None
    return Answer(204)


# what the calls are made of


def _check(world: World, version: Json, document: Json | None) -> None:
    rules.check_rsin(version, "bronorganisatie")
    type_ = world.at(version["informatieobjecttype"], "informatieobjecttypen", field="informatieobjecttype")
    if type_["concept"]:
        raise invalid("informatieobjecttype", "not-published", "Het informatieobjecttype moet gepubliceerd zijn.")
    if version["ontvangstdatum"] and version["status"] in {"in_bewerking", "ter_vaststelling"}:
        raise invalid("status", "invalid_for_received", "Deze status past niet bij een ontvangen document.")
    key = (version["identificatie"], version["bronorganisatie"])
    for other in world.all(EIO) if version["identificatie"] else ():
        latest = other["_versions"][-1]
        if other is not document and (latest["identificatie"], latest["bronorganisatie"]) == key:
            raise invalid("identificatie", "identificatie-niet-uniek", "Deze identificatie bestaat al.")


def _check_rights(world: World, document: Json, indicated: bool | None) -> None:
    exist = any(world.all("gebruiksrechten", _document=document["url"]))
    if indicated and not exist:
        raise invalid("indicatieGebruiksrecht", "missing-gebruiksrechten", "Er zijn nog geen gebruiksrechten.")
    if not indicated and exist:
        raise invalid("indicatieGebruiksrecht", "existing-gebruiksrechten", "Er zijn gebruiksrechten.")


def _check_lock(document: Json, given: str) -> None:
    if given != document["_lock"]:
        raise invalid("nonFieldErrors", "incorrect-lock-id", "Lock id is niet correct.")


def _check_size(said: int | None, content: bytes | None) -> None:
    if content is not None and said != len(content):
        raise invalid("nonFieldErrors", "file-size", "De omvang van het bestand komt niet overeen met bestandsomvang.")


def _content(body: Json) -> bytes | None:
    if (inhoud := body.get("inhoud")) is None:
        return None
    try:
        return base64.b64decode(inhoud, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("inhoud", "not-base64", "Het is geen geldige base64.") from None


def _add_version(world: World, document: Json, version: Json, content: bytes | None) -> None:
    number = len(document["_versions"]) + 1
    made = {**version, "versie": number, "beginRegistratie": world.moment(), "_content": content}
    document["_versions"].append(made)


def _split(world: World, document: Json) -> None:
    left = document["_versions"][-1]["bestandsomvang"]
    number = 0
    while left > 0:
        number += 1
        size = min(left, world.part_size)
        part = {"volgnummer": number, "omvang": size, "voltooid": False}
        world.add("bestandsdelen", {**part, "_document": document["url"], "_content": None})
        left -= size


def _version(document: Json, number: str | None) -> Json:
    for version in document["_versions"]:
        if number is None or str(version["versie"]) == number:
            found: Json = document["_versions"][-1] if number is None else version
            return found
    raise not_found()


@view_of(EIO)
def _show(world: World, document: Json) -> Json:
    return _show_version(world, document, document["_versions"][-1])


def _show_version(world: World, document: Json, version: Json) -> Json:
    url = document["url"]
    whole = version["_content"] is not None
    parts = world.all("bestandsdelen", _document=url)
    return {
        "url": url,
        **plain(version),
        "ondertekening": version["ondertekening"] or _EMPTY_SIGNATURE,
        "integriteit": version["integriteit"] or _EMPTY_HASH,
        "inhoud": f"{url}/download?versie={version['versie']}" if whole else None,
        "locked": bool(document["_lock"]),
        "bestandsdelen": [{**plain(part), "lock": document["_lock"]} for part in parts],
    }


def _latest(fits: lists.Filter) -> lists.Filter:
    return lambda document, value: fits(document["_versions"][-1], value)


def _form(asked: Asked) -> dict[str, bytes]:
    """The fields of multipart/form-data."""
    if asked.request.content_type != "multipart/form-data":
        raise Refusal(415, "unsupported_media_type", "Ongeldig media type.")
    head = f"Content-Type: {asked.request.headers['content-type']}\r\n\r\n".encode()
    message: Message = BytesParser(policy=HTTP).parsebytes(head + asked.request.content)
    fields: dict[str, bytes] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if name and isinstance(payload, bytes):
            fields[str(name)] = payload
    return fields

"""Where the descriptions are known to say something else than the reference implementation does.

One list, applied when a description is loaded. What is not in it and does not fit is a violation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.doubles.zgw.messages import Json

COUNTED = frozenset({"page", "pageSize", "versie", "typeVersion"})
LABEL_HEADERS = frozenset({"accept", "content-type", "authorization"})


def mount(description: Json, api: str) -> None:
    """The Objects and Objecttypes APIs are described at /api/v2: here all of them share one server."""
    version = description["servers"][0]["url"].rpartition("/")[2]
    description["servers"] = [{"url": f"/{api}/api/{version}"}]


def forget_foreign(description: Json, api: str) -> None:
    """What ``_expand`` holds of another API is described by a file on the internet, and in an older version."""
    for part in _parts(description):
        if str(part.get("$ref", "")).startswith("http"):
            part.clear()


def ignore_label_headers(description: Json, api: str) -> None:
    """Parameters with these names are to be ignored (OpenAPI 3.0.3, Parameter Object): bodies say their own type, and
    a POST without a body (lock) needs none.
    """
    for part in _parts(description):
        if isinstance(parameters := part.get("parameters"), list):
            part["parameters"] = [one for one in parameters if str(one.get("name")).lower() not in LABEL_HEADERS]


def ignore_read_only(description: Json, api: str) -> None:
    """Fields that a client cannot set may be sent all the same; they are ignored. The units of the existing BPTL send
    a whole record of an object back.
    """
    for part in _parts(description):
        part.pop("readOnly", None)


def allow_open_ends(description: Json, api: str) -> None:
    """``eindeObject`` and ``beginObject`` are null where there is none, though they are not called nullable."""
    if api != "catalogi":
        return
    for schema in description["components"]["schemas"].values():
        for name in ("beginObject", "eindeObject"):
            if field := schema.get("properties", {}).get(name):
                field["nullable"] = True


def read_links_as_text(description: Json, api: str) -> None:
    """Query parameters that are links (``zaak``, ``catalogus``, …) are called integers: the key in its database."""
    for part in _parts(description):
        if part.get("in") == "query" and part["schema"].get("type") == "integer" and part["name"] not in COUNTED:
            part["schema"] = {"type": "string"}


def read_nullable_references(description: Json, api: str) -> None:
    """``nullable`` beside ``allOf``, ``oneOf`` or ``anyOf`` is meant to allow null; by the letter (OpenAPI 3.0.3) it
    does not where what is referred to does not say so too.
    """
    for part in _parts(description):
        whole = {name: part[name] for name in ("allOf", "oneOf", "anyOf") if name in part}
        if part.get("nullable") is True and whole:
            for name in whole:
                del part[name]
            part["anyOf"] = [whole, {"enum": [None], "nullable": True}]


def allow_blanks(description: Json, api: str) -> None:
    """Texts with a pattern or a format may be empty where no shortest length is given."""
    for part in _parts(description):
        if part.get("type") != "string" or part.get("minLength"):
            continue
        if isinstance(part.get("pattern"), str):
            part["pattern"] = f"^$|{part['pattern']}"
        if part.get("format") == "email":
            del part["format"]


def allow_empty_groups(description: Json, api: str) -> None:
    """A document that is not signed, or whose integrity nobody vouched for, has an object with empty fields."""
    for name in ("Ondertekening", "Integriteit") if api == "documenten" else ():
        fields = description["components"]["schemas"][name]["properties"]
        for field in ("soort", "algoritme"):
            if field in fields:
                fields[field] = {"anyOf": [fields[field], {"enum": [""]}]}
        fields["datum"]["nullable"] = True


def allow_uncorrected(description: Json, api: str) -> None:
    """A record that corrects none, or was corrected by none, says null."""
    for schema in description["components"]["schemas"].values() if api == "objects" else ():
        for name in ("correctedBy", "correctionFor"):
            if field := schema.get("properties", {}).get(name):
                field["nullable"] = True


def answer_one_consumer(description: Json, api: str) -> None:
    """A client id has one application: the answer is that, not an array."""
    if api == "autorisaties":
        answer = description["paths"]["/applicaties/consumer"]["get"]["responses"]["200"]
        answer["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/Applicatie"}


def allow_text_of_bsn(description: Json, api: str) -> None:
    """Numbers of persons and organisations may be empty, though a length of nine is asked for."""
    for part in _parts(description):
        if part.get("type") == "string" and part.get("minLength") == part.get("maxLength") == 9:
            part["pattern"] = "^([0-9]{9})?$"
            del part["minLength"]


DIFFERENCES: tuple[Callable[[Json, str], None], ...] = (
    mount,
    forget_foreign,
    ignore_label_headers,
    ignore_read_only,
    allow_open_ends,
    allow_text_of_bsn,
    read_links_as_text,
    read_nullable_references,
    allow_blanks,
    allow_empty_groups,
    allow_uncorrected,
    answer_one_consumer,
)


def _parts(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for one in list(value.values()):
            yield from _parts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _parts(one)

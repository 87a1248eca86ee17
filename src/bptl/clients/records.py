"""What of a call may be kept: without secrets and BSNs, by the class of its data, cut to a size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bptl.clients.access import DataClass
from bptl.clients.gate import Call
from bptl.lib.redaction import HIDDEN, hides, is_bsn, redact

MOST_CHARACTERS = 8000
"""Of each body that is kept."""

MOST_PARSED = 1024 * 1024
"""Bytes of a body that are looked into; a larger one is kept by its size only."""

LONGEST_TEXT = 500
"""Characters of one value: what is longer is a document, such as the base64 of ``inhoud``."""

# fmt: off
PERSONAL_NAMES = frozenset(
    {
        "achternaam", "adres", "adresbuitenland1", "adresbuitenland2", "adresbuitenland3", "emailadres",
        "email", "geboorte", "geboortedatum", "geboorteplaats", "geslachtsaanduiding", "geslachtsnaam",
        "huisletter", "huisnummer", "huisnummertoevoeging", "iban", "mobiel", "naam", "postcode", "roepnaam",
        "straat", "straatnaam", "telefoon", "telefoonnummer", "verblijfsadres", "volledigenaam",
        "voorletters", "voornamen", "voorvoegsel", "voorvoegselachternaam", "voorvoegselgeslachtsnaam",
        "woonplaats", "woonplaatsnaam",
    }
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a call."""

    url: str
    error: str
    request_body: str
    answer_body: str


def kept(call: Call) -> Record:
    """The record of a call, redacted."""
    return Record(
        url=url(call.url, call.data_class),
        error=redact(call.error),
        request_body=body(call.request_body, call.request_type, call.data_class),
        answer_body=body(call.answer_body, call.answer_type, call.data_class),
    )


def url(address: str, data_class: DataClass) -> str:
    """An address whose query says nothing that a body may not say either."""
    parts = urlsplit(address)
    query = [
        (name, HIDDEN if _hides(name, data_class) else redact(value))
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    if data_class is DataClass.SECRET:
        query = [(name, HIDDEN) for name, _ in query]
    return urlunsplit(parts._replace(path=redact(parts.path), query=urlencode(query, safe="*:/")))


def body(content: bytes, content_type: str, data_class: DataClass) -> str:
    """A body as text; of what is no text, or too large, its size."""
    if not content:
        return ""
    if data_class is DataClass.SECRET or len(content) > MOST_PARSED:
        return _size(content, content_type)
    if "json" in content_type.lower():
        try:
            value = json.loads(content)
        except ValueError:
            return _size(content, content_type)
        return _cut(json.dumps(_without(value, data_class), ensure_ascii=False, indent=1))
    if not content_type.lower().startswith("text/") or data_class is not DataClass.ORDINARY:
        return _size(content, content_type)
    return _cut(redact(content.decode(errors="replace")))


def _without(value: Any, data_class: DataClass) -> Any:
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if one not in (None, "") and _hides(str(name), data_class) else _without(one, data_class)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_without(one, data_class) for one in value]
    if isinstance(value, str):
        return redact(value) if len(value) <= LONGEST_TEXT else f"({len(value)} characters)"
    if isinstance(value, int) and not isinstance(value, bool) and is_bsn(str(value)):
        return HIDDEN
    return value


def _hides(name: str, data_class: DataClass) -> bool:
    return hides(name) or (data_class is DataClass.PERSONAL and _word(name) in PERSONAL_NAMES)


def _word(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _size(content: bytes, content_type: str) -> str:
    return f"({len(content)} bytes of {content_type.partition(';')[0] or 'unknown type'})"


def _cut(whole: str) -> str:
    if len(whole) <= MOST_CHARACTERS:
        return whole
    return f"{whole[:MOST_CHARACTERS]}… ({len(whole)} characters in all)"

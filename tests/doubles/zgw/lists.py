"""Lists: filters, order, pages; and single records that were perhaps seen already (ETag)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlencode

from tests.doubles.zgw.messages import LINK, Answer, Json, not_found
from tests.doubles.zgw.routing import Asked
from tests.doubles.zgw.views import View, shown

PAGE_SIZE = 100

Filter = Callable[[Json, str], bool]


def equal(field: str) -> Filter:
    """The filter of a field."""
    return lambda record, value: _text(record.get(field)) == value


def among(field: str) -> Filter:
    """The filter of a field that has one of several values."""
    return lambda record, value: _text(record.get(field)) in value.split(",")


def contains(field: str) -> Filter:
    """The filter of a text, whatever its case."""
    return lambda record, value: value.lower() in _text(record.get(field)).lower()


def holds(field: str) -> Filter:
    """The filter of a list that has a value in it."""
    return lambda record, value: value in (record.get(field) or ())


def matching(asked: Asked, records: Iterable[Json], filters: Mapping[str, Filter]) -> list[Json]:
    """The records that all filters of the query let through."""
    found = list(records)
    for name, fits in filters.items():
        value = asked.first(name)
        if value is not None:
            found = [record for record in found if fits(record, value)]
    return found


def page(asked: Asked, records: list[Json], show: View = shown) -> Answer:
    """One page, with links to its neighbours; raises Refusal (404) for one that does not exist."""
    try:
        size, number = int(asked.first("pageSize") or PAGE_SIZE), int(asked.first("page") or 1)
    except ValueError:
        raise not_found() from None
    last = max(1, -(-len(records) // size)) if size > 0 else 1
    if not 1 <= number <= last:
        raise not_found()

    def link(to: int) -> str | None:
        if not 1 <= to <= last:
            return None
        query = {**asked.request.query, "page": [str(to)]}
        return f"{LINK}{asked.request.path}?{urlencode(query, doseq=True)}"

    results = [show(asked.world, record) for record in records[(number - 1) * size : number * size]]
    body = {"count": len(records), "next": link(number + 1), "previous": link(number - 1), "results": results}
    return Answer(200, body)


def array(asked: Asked, records: list[Json]) -> Answer:
    """A list that has no pages."""
    return Answer(200, [shown(asked.world, record) for record in records])


def single(asked: Asked, record: Json, show: View = shown) -> Answer:
    """One record; 304 for whoever has this version of it."""
    body = show(asked.world, record)
    etag = f'"{hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag}
    if etag in [one.strip() for one in asked.request.headers.get("if-none-match", "").split(",")]:
        return Answer(304, headers=headers)
    return Answer(200, body, headers=headers)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)

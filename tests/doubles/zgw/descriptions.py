"""The OpenAPI descriptions of the APIs: which query parameters a call has, and whether messages fit.

Each is read once per process, when its API is first called; what openapi-core makes of it too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.doubles.zgw.differences import DIFFERENCES
from tests.doubles.zgw.messages import Answer, Json, Param, Request

FOLDER = Path(__file__).parent.parent / "openapi"


@cache
def description(api: str) -> Json:
    """The description of an API, with the known differences applied."""
    read: Json = json.loads((FOLDER / f"{api}.json").read_text())
    for apply in DIFFERENCES:
        apply(read, api)
    return read


@cache
def query_parameters(api: str, method: str, template: str) -> frozenset[str]:
    """Names of the query parameters that a call may have."""
    operation = description(api)["paths"][template][method.lower()]
    return frozenset(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query")


@dataclass(frozen=True)
class Misfit(Exception):
    """A message that does not fit its description."""

    text: str
    params: tuple[Param, ...] = ()

    def __str__(self) -> str:
        return self.text


def check_request(api: str, request: Request) -> None:
    """Raises Misfit."""
    try:
        _openapi(api).validate_request(_Request(request))
    except OpenAPIError as error:
        raise _misfit(error) from error


def check_answer(api: str, request: Request, answer: Answer) -> None:
    """Raises Misfit."""
    try:
        _openapi(api).validate_response(_Request(request), _Answer(answer, request.root))
    except OpenAPIError as error:
        raise _misfit(error) from error


@cache
def _openapi(api: str) -> OpenAPI:
    # The description as such is not checked: that takes seconds, and it is what it is.
    return OpenAPI.from_dict(description(api), config=Config(spec_validator_cls=None))


class _Request:
    """A request as openapi-core wants it."""

    def __init__(self, request: Request) -> None:
        self.host_url = request.root
        self.path = request.path
        self.method = request.method.lower()
        self.body = request.content or None
        self.content_type = request.headers.get("content-type", "")
        query = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(query), header=Headers(list(request.headers.items()))
        )


class _Answer:
    """An answer as openapi-core wants it."""

    def __init__(self, answer: Answer, root: str) -> None:
        self.status_code = answer.status
        self.content_type = answer.content_type
        self.headers = Headers(list(answer.headers.items()))
        self.data = answer.content(root)


_CODES = {
    "required": "required",
    "type": "invalid",
    "enum": "invalid_choice",
    "maxLength": "max_length",
    "minLength": "min_length",
    "maximum": "max_value",
    "minimum": "min_value",
}


def _misfit(error: OpenAPIError) -> Misfit:
    """Every field that does not fit, with the codes that the reference implementation has for it."""
    params: list[Param] = []
    for found in getattr(error.__cause__, "schema_errors", ()):
        for leaf in _leaves(found):
            name = ".".join(str(part) for part in leaf.absolute_path)
            if leaf.validator == "required":
                name = ".".join(part for part in (name, leaf.message.split("'")[1]) if part)
            code = "null" if leaf.instance is None else _CODES.get(leaf.validator, "invalid")
            params.append(Param(name or "nonFieldErrors", code, leaf.message))
    chain = [str(error) or type(error).__name__]
    cause: BaseException | None = error.__cause__
    while cause is not None:
        chain.append(str(cause) or type(cause).__name__)
        cause = cause.__cause__
    said = "; ".join(f"{one.name}: {one.reason}" for one in params) or ": ".join(chain)
    return Misfit(said[:2000], tuple(params))


def _leaves(error: Any) -> list[Any]:
    return [leaf for inner in error.context for leaf in _leaves(inner)] or [error]

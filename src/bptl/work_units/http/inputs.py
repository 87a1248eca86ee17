"""The inputs of http.request, and what they refuse before anything is sent."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from bptl.work_units.contract import APPLICATION, Inputs
from bptl.work_units.http.result import fault_of
from bptl.work_units.http.templates import is_placeholder

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"

REFUSED_HEADERS = frozenset(
    {
        *("connection", "content-length", "content-type", "cookie", "expect", "forwarded", "host", "keep-alive", "te"),
        *("trailer", "transfer-encoding", "upgrade", "via"),
    }
)
"""They frame the request, say where it goes or tie it to a session. Content-Type is an input of its own."""

REFUSED_WORDS = ("auth", "api-key", "apikey", "token", "secret", "password", "proxy-", "x-forwarded-")
"""Credentials belong to the service or to the application, where they are kept encrypted."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_json(content_type: str) -> bool:
    """Whether a body of this type is JSON, application/merge-patch+json and the like included."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON_TYPE or kind.endswith("+json")


def _from_text(value: Any) -> Any:
    """A modeller may write an object or a list as text: an input parameter of many engines is nothing else."""
    if not isinstance(value, str) or not value.strip():
        return value
    return _parsed(value)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from error


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _header(name: str) -> str:
    """Raises ValueError for a header that is not a modeller's to set."""
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if lower in REFUSED_HEADERS or any(word in lower for word in REFUSED_WORDS):
        raise ValueError(f"{name} cannot be set here: what makes us known or where a request goes is the service's")
    return name


Object = Annotated[dict[str, Any], BeforeValidator(_from_text)]
Texts = Annotated[dict[str, str], BeforeValidator(_from_text)]


class Request(Inputs):
    """A request in templates, and what its answer means."""

    method: Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], BeforeValidator(_upper)] = Field(
        description="The HTTP method."
    )
    path: str = Field(
        min_length=1, description="Template of the path below the root of the service, such as zaken/{zaakUuid}."
    )
    query: Object = Field(
        default_factory=dict,
        description="Templates of the parameters behind the question mark; one that becomes null is left out, a list "
        "repeats its name.",
    )
    contentType: str = Field(
        JSON_TYPE,
        description=f"What the body is: JSON, {FORM_TYPE}, XML (values are escaped), or another text.",
    )
    body: Any = Field(
        None,
        description="Template of the body: an object or a list, also as JSON text; with another contentType a text, or "
        "an object of form fields.",
    )
    headers: Texts = Field(
        default_factory=dict,
        description="Templates of further headers. Not those that log in, frame the request or say where it goes.",
    )
    result: Texts = Field(
        default_factory=dict, description="Name of a process variable → JMESPath expression that finds its value."
    )
    expectedStatus: Annotated[list[int], BeforeValidator(_from_text)] = Field(
        default_factory=list, description="Only these statuses of 200 to 299 are good; empty: all of them."
    )
    notFound: Literal["fail", "null"] = Field(
        "fail", description="What a 404 or 410 means: fail (an incident), or null (all variables of result are null)."
    )
    errorCodes: Texts = Field(
        default_factory=dict,
        description='Status of 400 to 499 → code of the BPMN error that it becomes: {"409": "BESTAAT_AL"}.',
    )
    idempotencyKey: str = Field(
        "", description="Header by which the service knows a repeated request, often Idempotency-Key."
    )
    repeatable: bool = Field(False, description="This PUT or DELETE may be repeated when its answer was lost.")
    readOnly: bool = Field(False, description="This POST changes nothing: a search, which may be repeated.")
    variables: Object = Field(
        default_factory=dict,
        description="Values of placeholders by name, for those that are no variables of the process instance.",
    )

    @property
    def reads(self) -> bool:
        """Whether the request changes nothing."""
        return self.method == "GET" or self.readOnly

    @field_validator("contentType")
    @classmethod
    def _type(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.-]+)*", value, flags=re.ASCII):
            raise ValueError("must be a type such as application/json")
        return value

    @field_validator("body")
    @classmethod
    def _of_its_type(cls, body: Any, info: ValidationInfo) -> Any:
        kind = info.data.get("contentType")
        if body is None or body == "" or kind is None:
            return None
        if is_json(kind):
            return _parsed(body) if isinstance(body, str) and not is_placeholder(body) else body
        if kind == FORM_TYPE:
            fields = _from_text(body)
            if not isinstance(fields, dict):
                raise ValueError("must be an object of form fields")
            return fields
        if not isinstance(body, str):
            raise ValueError(f"must be text where contentType is {kind}")  # noqa: TRY004 - as pydantic wants it
        return body

    @field_validator("headers")
    @classmethod
    def _harmless(cls, headers: dict[str, str]) -> dict[str, str]:
        return {_header(name): value for name, value in headers.items()}

    @field_validator("idempotencyKey")
    @classmethod
    def _header_of_a_key(cls, name: str) -> str:
        return _header(name) if name else name

    @field_validator("result")
    @classmethod
    def _findable(cls, result: dict[str, str]) -> dict[str, str]:
        faults = [f"{name} {fault}" for name, expression in result.items() if (fault := fault_of(expression))]
        faults += [f"{name or 'an empty name'} cannot be set" for name in result if name in ("", APPLICATION)]
        if faults:
            raise ValueError("; ".join(faults))
        return result

    @field_validator("expectedStatus")
    @classmethod
    def _good(cls, statuses: list[int]) -> list[int]:
        if any(status not in range(200, 300) for status in statuses):
            raise ValueError("must be statuses of 200 to 299; what a 404 means is said by notFound or errorCodes")
        return statuses

    @field_validator("errorCodes")
    @classmethod
    def _refusals(cls, codes: dict[str, str]) -> dict[str, str]:
        # A 408 and a 429 say: later. A 5xx says nothing of what happened.
        if any(not re.fullmatch("4[0-9][0-9]", status) or status in ("408", "429") for status in codes):
            raise ValueError("must be statuses of 400 to 499, and not 408 or 429, after which it is tried again")
        return codes

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults = [fault for wrong, fault in self._contradictions() if wrong]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _contradictions(self) -> list[tuple[bool, str]]:
        return [
            (self.method == "GET" and self.body is not None, "a GET has no body"),
            (self.repeatable and self.method not in ("PUT", "DELETE"), "repeatable is for PUT and DELETE only"),
            (self.readOnly and self.method not in ("GET", "POST"), "readOnly is for POST only"),
            (self.notFound == "null" and "404" in self.errorCodes, "notFound and errorCodes both say what a 404 means"),
        ]

"""What comes in and goes out: requests, answers, and refusals in the form that the ZGW standard gives them.

Inside the double every link to itself begins with ``LINK``. At both borders that is exchanged for the host of the
request, so links are always those of the host that was asked.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]

LINK = "double:"


@dataclass(frozen=True)
class Param:
    """One of ``invalidParams``."""

    name: str
    code: str
    reason: str = "De waarde voldoet niet."


class Refusal(Exception):
    """An answer that says no. Decide on ``code``: the texts are Dutch and change."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        params: tuple[Param, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail or HTTPStatus(status).phrase
        self.params = params
        self.headers = dict(headers or {})
        super().__init__(f"{status} {code}: {self.detail} {params}")

    def answer(self) -> Answer:
        """The body is the standard's Fout or ValidatieFout."""
        body: Json = {
            "type": f"http://schemas.vng.cloud/ref/fouten/{self.code}/",
            "code": self.code,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:uuid:{uuid.uuid4()}",
        }
        if self.params:
            body["invalidParams"] = [
                {"name": param.name, "code": param.code, "reason": param.reason} for param in self.params
            ]
        return Answer(self.status, body, content_type="application/problem+json", headers=self.headers)


def invalid(name: str, code: str, reason: str = "De waarde voldoet niet.") -> Refusal:
    """A 400 about one field; what concerns none of them is about ``nonFieldErrors``."""
    return Refusal(400, "invalid", "Invalid input.", params=(Param(name, code, reason),))


def not_found() -> Refusal:
    """A 404 of the API itself."""
    return Refusal(404, "not_found", "Niet gevonden.")


@dataclass
class Answer:
    """``body`` is JSON (or None), or bytes as they are."""

    status: int
    body: Any = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def content(self, root: str) -> bytes:
        """The body as it is sent to whoever asked at ``root``."""
        if isinstance(self.body, bytes):
            return self.body
        if self.body is None:
            return b""
        return json.dumps(exchanged(self.body, f"{LINK}/", f"{root}/"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Request:
    """One request. ``root`` is where it was sent to (``http://127.0.0.1:8000``); names of headers are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes
    root: str

    @cached_property
    def path(self) -> str:
        """Without the query."""
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """As it was sent, but for links to ourselves."""
        found = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: [self._inside(value) for value in values] for name, values in found.items()}

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def body(self) -> Any:
        """The JSON that was sent, links to ourselves exchanged; {} when nothing was. Raises Refusal."""
        if not self.content:
            return {}
        try:
            return self._inside(json.loads(self.content))
        except ValueError:
            raise Refusal(400, "parse_error", "Malformed JSON.") from None

    def _inside(self, value: Any) -> Any:
        return exchanged(value, f"{self.root}/", f"{LINK}/")


def exchanged(value: Any, prefix: str, replacement: str) -> Any:
    """JSON with another beginning of all texts that begin with ``prefix``."""
    if isinstance(value, str):
        return replacement + value[len(prefix) :] if value.startswith(prefix) else value
    if isinstance(value, dict):
        return {name: exchanged(one, prefix, replacement) for name, one in value.items()}
    if isinstance(value, list):
        return [exchanged(one, prefix, replacement) for one in value]
    return value

"""Requests to one engine: credentials, time-outs, the wanted status, and every other answer as an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, TypeVar
from urllib.parse import quote

from bptl.engines.base import EngineRefused, WrongAddress
from bptl.engines.camunda7.credentials import Credentials
from bptl.engines.camunda7.errors import Operation, from_answer, from_silence
from bptl.lib.http import Answer, HttpClient, HttpError, Tls

PAGE = 200
"""Rows a page where a whole list is read: an engine may forbid unbounded queries."""

ACCEPT = "application/json, text/plain, */*"
OK = frozenset({200})
DONE = frozenset({204})
UNAUTHORIZED = 401

Result = TypeVar("Result")


class Transport:
    """Kept connections to the REST root ``base_url``; paths are relative to the engine named ``engine_name``."""

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None,
        timeout: float,
        connections: int,
        engine_name: str | None,
        tls: Tls | None = None,
    ) -> None:
        self._http = HttpClient(base_url, timeout=timeout, connections=connections, tls=tls)
        self._credentials = credentials
        self._prefix = f"engine/{part(engine_name)}/" if engine_name else ""

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        fields: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        wanted: Set[int] = OK,
        operation: Operation = Operation.OTHER,
        above: bool = False,
    ) -> Answer:
        """Send one request; an answer with another status than ``wanted`` is raised as the error that it means.

        ``timeout`` (seconds) replaces the transport's; ``above`` asks the REST root, not the named engine.
        """
        path = path if above else self._prefix + path

        def send(login: str) -> Answer:
            headers = {"Accept": ACCEPT} | ({"Authorization": login} if login else {})
            try:
                return self._http.request(
                    method,
                    path,
                    query=_texts(query or {}),
                    json_body=body,
                    fields=fields,
                    headers=headers,
                    timeout=timeout,
                )
            except HttpError as error:
                raise from_silence(error) from error

        login = self._credentials.header() if self._credentials else ""
        answer = send(login)
        if answer.status == UNAUTHORIZED and self._credentials:
            renewed = self._credentials.header(refused=login)
            if renewed != login:
                answer = send(renewed)
        if answer.status not in wanted:
            raise from_answer(answer, operation=operation)
        return answer

    def read(self, method: str, path: str, **options: Any) -> Any:
        """``call`` for JSON."""
        answer = self.call(method, path, **options)
        try:
            return answer.json()
        except ValueError as error:
            # For instance a login page: whoever answered is not the engine.
            text = f"HTTP {answer.status} without JSON: {' '.join(answer.text.split())[:200]}"
            raise WrongAddress(text, sent=True, status=answer.status) from error

    def do(self, method: str, path: str, **options: Any) -> None:
        """``call`` for what is answered with 204 and nothing else: only that proves that it was done."""
        self.call(method, path, wanted=DONE, **options)

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[Any]:
        """All items of a list, page by page."""
        first = 0
        while True:
            page = self.read("GET", path, query={**query, "firstResult": first, "maxResults": PAGE})
            yield from page
            if len(page) < PAGE:
                return
            first += PAGE

    def close(self) -> None:
        """Close kept connections."""
        self._http.close()


def existing(call: Callable[[], Result], proof: Callable[[], object]) -> Result:
    """``call``; when the engine fails on it (500), ``proof`` raises NotFound if what it is about does not exist."""
    try:
        return call()
    except EngineRefused:
        proof()
        raise


def part(text: str) -> str:
    """``text`` as one part of a path."""
    return quote(text, safe="")


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def _texts(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given(query).items()}

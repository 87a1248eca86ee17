"""What every typed client is made of: one call, through the gate, whose errors say whether it can have happened."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

import requests
from requests import Response
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError
from urllib3.exceptions import SSLError as UrllibSSLError

from bptl.clients.access import Access, Kind
from bptl.clients.errors import ForeignAddress, NoAnswer, NotSent, ServiceError, Unreadable, raise_for
from bptl.clients.gate import Call, Gate
from bptl.clients.spans import answered, calling
from bptl.lib.http import Answer

CONNECT_SECONDS = 5.0
LARGE_BYTES = 64 * 1024
"""A body of this size may not fit into the buffers of the operating system: sending it takes as long as it takes."""

MOST_BYTES = 100 * 1024 * 1024
"""Largest answer that is read."""

PAGES = 1000
"""Most pages of one list: a service whose pages never end is told so."""

NOT_SENT = (ConnectTimeoutError, NameResolutionError, NewConnectionError)


class ServiceClient:
    """Calls of one service with one application's credentials; cheap to make, one for each use.

    ``kinds`` are the APIs that a typed client speaks, empty: any; ``most_bytes`` is the largest answer that is read.
    ``headers`` go with every call, such as those of NLX. Every method raises ServiceError, and what the gate raises.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset()
    most_bytes: ClassVar[int] = MOST_BYTES

    def __init__(self, access: Access, gate: Gate, *, headers: Mapping[str, str] | None = None) -> None:
        self.access = access
        self._gate = gate
        self._headers = {"Accept": "application/json", **(headers or {})}

    def url(self, path: str) -> str:
        """The absolute address of ``path``, which is relative to the root, or an address of this service already.

        Raises ForeignAddress.
        """
        url = path if "://" in path else self.access.address + path.lstrip("/")
        if not self.access.owns(url):
            raise ForeignAddress(
                f"{path} does not belong to {self.access.service} ({self.access.address}): register its service, or "
                "correct the address",
                service=self.access.service,
                method="",
                url=path,
            )
        return url

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        content_type: str = "",
        files: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send one request and read the whole answer; a status other than 2xx is raised as what it means.

        ``body`` is sent as JSON, ``content`` as it is, ``files`` as multipart/form-data (the form of requests).
        ``query`` leaves out None; lists repeat the name. ``timeout`` (seconds) replaces the service's.
        """
        url = self.url(path)
        if query:
            url += ("&" if "?" in url else "?") + _query(query)
        sent = {**self._headers, **(headers or {})}
        if body is not None:
            content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            content_type = "application/json"
        if content_type:
            sent["Content-Type"] = content_type
        self._gate.enter(self.access.service, method, url)
        began_at, began = datetime.now(UTC), time.monotonic()
        answer: Answer | None = None
        error = ""
        try:
            with calling(self.access.service, method, self.access.address) as span:
                if span.traceparent:
                    sent["traceparent"] = span.traceparent
                answer = self._send(method, url, headers=sent, content=content, files=files, timeout=timeout)
                answered(span, answer.status)
        except ServiceError as fault:
            error = str(fault)
            raise
        finally:
            seconds = time.monotonic() - began
            self._gate.leave(
                Call(
                    service=self.access.service,
                    data_class=self.access.data_class,
                    method=method,
                    url=url,
                    began_at=began_at,
                    seconds=seconds,
                    # What was given a time of its own, such as a large document, may take it.
                    slow=timeout is None and seconds > self.access.slow_after,
                    status=answer.status if answer is not None else None,
                    error=error,
                    request_type=content_type or ("multipart/form-data" if files else ""),
                    request_body=content or b"",
                    answer_type=answer.headers.get("Content-Type", "") if answer is not None else "",
                    answer_body=answer.body if answer is not None else b"",
                )
            )
        raise_for(answer, service=self.access.service, method=method, url=url)
        return answer

    def read(self, method: str, path: str, **options: Any) -> Any:
        """``call`` for JSON."""
        answer = self.call(method, path, **options)
        try:
            return self._as_in_data(answer).json()
        except ValueError as error:
            raise Unreadable(
                f"{self.access.service} answered {answer.status} without JSON: {' '.join(answer.text.split())[:200]}",
                service=self.access.service,
                method=method,
                url=path,
                status=answer.status,
            ) from error

    def fetch(self, path: str, **options: Any) -> dict[str, Any]:
        """GET one JSON object."""
        return self._object(self.read("GET", path, **options), "GET", path)

    def create(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """POST an object; answers what the service made of it."""
        return self._object(self.read("POST", path, body=body, **options), "POST", path)

    def change(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """PATCH an object; answers it as it is now."""
        return self._object(self.read("PATCH", path, body=body, **options), "PATCH", path)

    def pages(self, path: str, *, query: Mapping[str, Any] | None = None, **options: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list: a plain array, or pages of ``results`` linked by ``next`` as in the ZGW standard.

        Raises Unreadable for pages that come back to one that was read, or do not end.
        """
        answer = self.read("GET", path, query=query, **options)
        seen = {path}
        for _ in range(PAGES):
            items = answer if isinstance(answer, list) else answer.get("results") if isinstance(answer, dict) else None
            if not isinstance(items, list):
                raise self._unreadable("a list", "GET", path)
            yield from items
            following = answer.get("next") if isinstance(answer, dict) else None
            if not following:
                return
            if following in seen:
                break
            seen.add(following)
            answer = self.read("GET", following, **options)
        raise self._unreadable("a list that ends", "GET", path)

    def _object(self, answer: Any, method: str, path: str) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise self._unreadable("an object", method, path)
        return answer

    def _unreadable(self, wanted: str, method: str, path: str) -> Unreadable:
        service = self.access.service
        return Unreadable(
            f"{service} did not answer {wanted} to {method} {path}", service=service, method=method, url=path
        )

    def _as_in_data(self, answer: Answer) -> Answer:
        """Links that a service builds from the address of the outway lead to the service as data know it."""
        if not self.access.outway:
            return answer
        body = answer.body.replace(self.access.outway.encode(), self.access.address.encode())
        return Answer(answer.status, answer.headers, body)

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        files: Mapping[str, Any] | None,
        timeout: float | None,
    ) -> Answer:
        access = self.access
        seconds = timeout or access.timeout
        sent_to = access.outway + url[len(access.address) :] if access.outway else url
        deadline = time.monotonic() + seconds
        # urllib3 sends under the time-out of connecting, too.
        is_large = bool(files) or len(content or b"") > LARGE_BYTES
        try:
            with access.session.request(
                method,
                sent_to,
                data=content,
                files=files,
                headers=dict(headers),
                auth=access.auth,
                timeout=(seconds if is_large else min(CONNECT_SECONDS, seconds), seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer(response.status_code, response.headers, _body(response, deadline, self.most_bytes))
        except requests.RequestException as error:
            kind, what = (NotSent, "no connection to") if _never_sent(error) else (NoAnswer, "no answer from")
            text = f"{what} {access.service} ({method} {url}): {_cause(error)}"
            raise kind(text, service=access.service, method=method, url=url) from error
        except (_TooLong, _TooLarge) as error:
            text = f"no answer from {access.service} ({method} {url}): {error}"
            raise NoAnswer(text, service=access.service, method=method, url=url) from error


class _TooLong(Exception):
    """The answer did not come to its end in time."""


class _TooLarge(Exception):
    """The answer is larger than what is read."""


def _body(response: Response, deadline: float, most_bytes: int) -> bytes:
    """The whole body. The time-out of requests is for each read: a slow trickle would pass it."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(64 * 1024):
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise _TooLarge(f"it is larger than {most_bytes} bytes")
        if time.monotonic() > deadline:
            raise _TooLong("it did not come to its end in time")
    return b"".join(parts)


def _never_sent(error: requests.RequestException) -> bool:
    """Whether no connection was opened, or the request could not even be made."""
    if isinstance(
        error,
        requests.exceptions.InvalidURL
        | requests.exceptions.InvalidSchema
        | requests.exceptions.MissingSchema
        | requests.exceptions.InvalidHeader
        | requests.ConnectTimeout
        | requests.exceptions.ProxyError,
    ):
        return True
    cause: object = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    if isinstance(cause, UrllibSSLError):
        # TLS may break at any time; only a refused certificate is sure to come before the request.
        return any(isinstance(part, ssl.SSLCertVerificationError) for part in cause.args)
    return isinstance(cause, NOT_SENT)


def _cause(error: requests.RequestException) -> str:
    cause: object = error.args[0] if error.args else error
    if isinstance(cause, MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    return f"{type(cause).__name__}: {cause}" if isinstance(cause, Exception) else str(cause)


def _query(query: Mapping[str, Any]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
        pairs += [(name, _said(one)) for one in values if one is not None]
    return urlencode(pairs)


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""One pooled HTTP client whose errors say whether the request can have been carried out.

    HttpError
    ├── NeverSent      no connection was opened: the other side has seen nothing
    └── AnswerUnknown  sent, cut or timed out: the other side may have acted

urllib3 is used directly because the engine is on the hot path; its exceptions end here.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.filepost import encode_multipart_formdata

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

NEVER_SENT = (ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError)


class HttpError(Exception):
    """A request that got no answer."""

    def __init__(self, method: str, url: str, cause: BaseException) -> None:
        self.method = method
        self.url = url
        super().__init__(f"{method} {url}: {type(cause).__name__}: {cause}")


class NeverSent(HttpError):
    """No connection could be opened: the request was not sent."""


class AnswerUnknown(HttpError):
    """The request was (partly) sent and no complete answer came: it may have been carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises ValueError when it is none."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", errors="replace")


def _limits(connecting: float, reading: float) -> urllib3.Timeout:
    return urllib3.Timeout(connect=min(connecting, 10.0), read=reading)


class HttpClient:
    """Keep-alive connections to one base address; safe to share between threads.

    ``base_url`` ends with a slash; ``connections`` is the number kept open; ``timeout`` is seconds for
    connecting and, unless a call says otherwise, for each read.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        connections: int = 32,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError(f"base_url must be an absolute http(s) address, not {base_url!r}")
        self.base_url = base_url if base_url.endswith("/") else base_url + "/"
        self._headers = dict(headers or {})
        self._limits = _limits(timeout, timeout)
        self._timeout = timeout
        self._root = urlsplit(self.base_url).path
        self._connections = connections
        self._pool = self._open()

    def _open(self) -> urllib3.HTTPConnectionPool:
        # One host: a pool of its connections, without the manager that would look for it by each address anew.
        return urllib3.connection_from_url(self.base_url, maxsize=self._connections, retries=False)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json_body: Any = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send one request and read the whole answer; redirects are not followed.

        ``path`` is relative to the base address; ``fields`` sends multipart/form-data; ``timeout`` (seconds)
        replaces the client's read time-out. Raises NeverSent or AnswerUnknown; every status is an Answer.
        """
        path = path.lstrip("/")
        if query:
            path += "?" + urlencode(query)
        sent_headers = {**self._headers, **(headers or {})}
        body: bytes | None = None
        if json_body is not None:
            body = _JSON.encode(json_body).encode()
            sent_headers["Content-Type"] = "application/json"
        if fields:
            body, sent_headers["Content-Type"] = encode_multipart_formdata(fields)
        limits = _limits(self._timeout, timeout) if timeout else self._limits
        try:
            response = self._pool.urlopen(
                method, self._root + path, body=body, headers=sent_headers, timeout=limits, redirect=False
            )
        except NEVER_SENT as error:
            raise NeverSent(method, self.base_url + path, error) from error
        except (HTTPError, OSError) as error:
            # TLS may break at any time; only a refused certificate is sure to come before the request.
            if isinstance(error, SSLError) and isinstance(error.args[0], ssl.SSLCertVerificationError):
                raise NeverSent(method, self.base_url + path, error) from error
            raise AnswerUnknown(method, self.base_url + path, error) from error
        return Answer(status=response.status, headers=response.headers, body=response.data)

    def close(self) -> None:
        """Close the kept connections; calls under way end normally, and theirs close then."""
        self._pool = self._open()  # a pool that nobody uses closes its connections

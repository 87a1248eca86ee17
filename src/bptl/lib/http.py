"""One pooled HTTP client whose errors say whether the request can have been carried out.

    HttpError
    ├── NeverSent      no connection was opened: the other side has seen nothing
    └── AnswerUnknown  sent, cut or timed out: the other side may have acted

Python's own http.client is used directly because the engine is on the hot path (ADR 0018); its exceptions end here.
"""

from __future__ import annotations

import json
import select
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection, InvalidURL
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from urllib3.filepost import encode_multipart_formdata

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

LONGEST_CONNECTING = 10.0
"""Seconds."""


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


@dataclass(frozen=True, slots=True)
class Tls:
    """Files (PEM): ``authorities`` to trust instead of the system's; our ``certificate`` with its ``key``."""

    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None


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
        tls: Tls | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"base_url must be an absolute http(s) address, not {base_url!r}")
        self.base_url = base_url if base_url.endswith("/") else base_url + "/"
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._root = quote(urlsplit(self.base_url).path, safe="/%:@!$&'()*+,;=~")
        self._connections = connections
        self._host, self._port = parts.hostname, parts.port
        self._tls = _context(tls or Tls()) if parts.scheme == "https" else None
        self._pool = self._open()

    def _open(self) -> _Pool:
        return _Pool(
            self._host,
            self._port,
            tls=self._tls,
            timeout=min(self._timeout, LONGEST_CONNECTING),
            kept=self._connections,
        )

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
        pool = self._pool
        try:
            connection = pool.take()
        except (OSError, HTTPException) as error:
            raise NeverSent(method, self.base_url + path, error) from error
        reusable = False
        try:
            connection.sock.settimeout(timeout or self._timeout)
            # Who answers before the whole body was sent (too large, no right) may close the connection behind it.
            with suppress(BrokenPipeError):
                connection.request(method, self._root + path, body=body, headers=sent_headers)
            response = connection.getresponse()
            content = response.read()
            reusable = not response.will_close
        except InvalidURL as error:
            raise NeverSent(method, self.base_url + path, error) from error
        except (OSError, HTTPException) as error:
            raise AnswerUnknown(method, self.base_url + path, error) from error
        finally:
            pool.give_back(connection, reusable=reusable)
        # A message of headers is read like a mapping, whatever the case of a name.
        return Answer(status=response.status, headers=cast(Mapping[str, str], response.headers), body=content)

    def close(self) -> None:
        """Close the kept connections; calls under way end normally, and theirs close then."""
        pool, self._pool = self._pool, self._open()
        pool.close()


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.authorities)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


class _Pool:
    """Connections to one host that wait for their next request; the last one that came back goes first."""

    def __init__(self, host: str, port: int | None, *, tls: ssl.SSLContext | None, timeout: float, kept: int) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout = timeout
        self._kept = kept
        self._resting: deque[HTTPConnection] = deque()
        # Who drops a client without closing it leaves no open sockets behind.
        weakref.finalize(self, _close_all, self._resting)

    def take(self) -> HTTPConnection:
        """An open connection. Raises what opening one raises: nothing was sent then, not even to who asks for TLS."""
        while self._resting:
            try:
                connection = self._resting.pop()
            except IndexError:  # another thread was faster
                break
            if _silent(connection):
                return connection
            connection.close()
        if self._tls is None:
            connection = HTTPConnection(self._host, self._port, timeout=self._timeout)
        else:
            connection = HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        connection.connect()
        return connection

    def give_back(self, connection: HTTPConnection, *, reusable: bool) -> None:
        """Keep a connection whose answer was read to its end; every other one is closed."""
        if reusable and len(self._resting) < self._kept:
            self._resting.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what rests; what is under way is closed when it comes back."""
        self._kept = 0
        _close_all(self._resting)


def _close_all(resting: deque[HTTPConnection]) -> None:
    while resting:
        with suppress(IndexError):  # another thread took it
            resting.pop().close()


def _silent(connection: HTTPConnection) -> bool:
    """Whether a resting connection is as it was left: one that has something to read was closed by the other side."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)

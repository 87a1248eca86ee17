"""The HTTP side: a thread per connection, so that a long poll is a thread that waits."""

from __future__ import annotations

import base64
import hmac
import json
import re
import socket
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from bptl.lib.log import get_logger
from bptl.sandbox.engine import Engine
from bptl.sandbox.errors import EngineError, Invalid, NoPath
from bptl.sandbox.rest import Call, Rest, answer

ROOT = "/engine-rest"
LARGEST = 50_000_000
"""Bytes of a request."""

_log = get_logger(__name__)


class Server(ThreadingHTTPServer):
    """``engine`` at ``address`` with the thread of its timers; ``users`` (name → password): a Basic login is wanted."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], engine: Engine, *, users: Mapping[str, str] | None = None) -> None:
        self.engine, self.rest, self.users = engine, Rest(engine), dict(users or {})
        super().__init__(address, _Requests)
        self._timers = Thread(target=engine.run_timers, name="timers", daemon=True)
        self._timers.start()

    def knows(self, user: str, password: str) -> bool:
        """Whether these are the credentials of the administrator or of a user that was created."""
        wanted = self.users.get(user)
        if wanted is None:
            row = self.engine.store.row("SELECT password FROM login WHERE id = ?", [user])
            wanted = row["password"] if row else None
        return wanted is not None and hmac.compare_digest(wanted.encode(), password.encode())

    def server_close(self) -> None:
        """Answer parked polls, end the timers, close the store."""
        self.engine.close()
        super().server_close()
        self._timers.join(timeout=10)
        self.engine.store.close()


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    wbufsize = -1  # Head and body leave in one packet.
    disable_nagle_algorithm = True
    timeout = 300

    def _handle(self) -> None:
        try:
            data = self._body()
            status, kind, body = self._answer(data)
        except EngineError as error:
            status, kind, body = error.status, "application/json", json.dumps(error.body()).encode()
        except Exception as error:  # noqa: BLE001 - a fault of ours must be an answer, not a cut connection
            _log.exception("request.failed", path=self.path)
            text = json.dumps({"type": "ProcessEngineException", "message": repr(error), "code": 0})
            status, kind, body = 500, "application/json", text.encode()
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="default"')
        if kind:
            self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names of the standard library

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise Invalid("the body is too large or has no length")
        return self.rfile.read(length)

    def _answer(self, data: bytes) -> tuple[int, str, bytes]:
        address = urlsplit(self.path)
        if address.path == "/test/clock" and self.command == "POST":
            self.server.engine.clock.offset = int(json.loads(data)["offsetMs"])
            self.server.engine.timers_changed()
            return 204, "", b""
        if address.path == "/test/faults":
            return 204, "", b""  # Nothing of the sandbox can be told to fail.
        if not address.path.startswith(f"{ROOT}/"):
            raise NoPath("HTTP 404 Not Found")
        path = address.path.removeprefix(f"{ROOT}/")
        user = self._user()
        if self.server.users and user is None and path != "engine":
            return 401, "", b""
        if named := re.fullmatch(r"engine/([^/]+)/(.+)", path):
            if named[1] != "default":
                error = Invalid(f"Process engine {named[1]} not available")
                error.status = 404
                raise error
            path = named[2]
        handler, names = self.server.rest.find(self.command, path)
        kind = self.headers.get("Content-Type") or ""
        is_form = kind.startswith("multipart/form-data")
        call = Call(
            path={name: unquote(text) for name, text in names.items()},
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            body=None if is_form else _json(data),
            parts=_parts(kind, data) if is_form else {},
            user=user,
        )
        return answer(handler, call)

    def _user(self) -> str | None:
        kind, _, encoded = (self.headers.get("Authorization") or "").partition(" ")
        if not self.server.users or kind.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        return user if self.server.knows(user, password) else None

    def log_message(self, format: str, *values: Any) -> None:
        """Nothing: who wants to see requests asks a proxy."""


def _json(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError as error:
        raise Invalid(f"the body is no JSON: {error}") from error


def _parts(kind: str, data: bytes) -> dict[str, tuple[str | None, bytes]]:
    """The parts of a form: name → file name (None for a field) and content."""
    found = re.search(r'boundary="?([^";]+)"?', kind)
    if found is None:
        raise Invalid("multipart/form-data without a boundary")
    parts = {}
    for block in (b"\r\n" + data).split(b"\r\n--" + found[1].encode())[1:]:
        head, separator, content = block.partition(b"\r\n\r\n")
        if not separator:
            continue
        header = Message()
        for line in head.decode(errors="replace").strip().splitlines():
            word, _, value = line.partition(":")
            header[word] = value.strip()
        name = header.get_param("name", header="content-disposition")
        parts[str(name)] = (header.get_filename(), content)
    return parts


def host_of(server: Server) -> str:
    """The base URL of the API."""
    host, port = server.server_address[:2]
    return f"http://{host if isinstance(host, str) else socket.inet_ntoa(host)}:{port}{ROOT}"

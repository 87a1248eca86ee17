"""A server that answers what a test says and remembers what it was asked, over http or TLS."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from stage.ports import HOST
from tests.doubles.certificates import Pair


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is answered; ``body`` is JSON unless it is bytes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] | None = None


class Outside:
    """Answers below ``root``. ``answers`` are by path without the query; any other path is a 404 in JSON. None cuts the
    connection, after the request was read.

    With ``pair`` it speaks TLS; with ``clients`` (PEM) it also wants a certificate of that authority.
    """

    def __init__(self, path: str = "/zaken/api/v1/", *, pair: Pair | None = None, clients: str = "") -> None:
        self.answers: dict[str, Answer | Callable[[Asked], Answer] | None] = {}
        self.asked: list[Asked] = []
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                asked = Asked(self.command, self.path, dict(self.headers), body)
                outside.asked.append(asked)
                known = outside.answers.get(self.path.partition("?")[0], Answer(404, {"code": "not_found"}))
                if known is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                answer = known(asked) if callable(known) else known
                content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response_only(answer.status)
                headers = {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(content)),
                    "Date": self.date_time_string(),
                }
                for name, value in (headers | (answer.headers or {})).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - the names of http.server

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that breaks off the TLS handshake is what some tests are about."""

        self._server = Server((HOST, 0), Handler)
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.TemporaryDirectory() as home:
                files = Path(home, "certificate.pem"), Path(home, "key.pem")
                files[0].write_text(pair.certificate)
                files[1].write_text(pair.key)
                context.load_cert_chain(*files)
            if clients:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=clients)
            # The handshake belongs to the thread of its connection.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        self.path = path
        self.root = f"{'https' if pair else 'http'}://{HOST}:{self.port}{path}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def answer(self, path: str, body: Any = None, *, status: int = 200, **headers: str) -> None:
        """Answer JSON (or bytes) at a path below the root."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[self.path + path] = Answer(status, body, named)

    def cut(self, path: str) -> None:
        """Answer nothing at a path below the root."""
        self.answers[self.path + path] = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

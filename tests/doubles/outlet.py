"""A receiver of callbacks on 127.0.0.1 that keeps each call and answers as it is told, late or never if need be."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from stage.ports import HOST


@dataclass(frozen=True)
class Called:
    """One call. ``path`` has its query; ``host`` and ``key`` are the headers Host and Idempotency-Key."""

    method: str
    path: str
    host: str
    key: str
    body: bytes
    headers: Mapping[str, str]


class Outlet:
    """One receiver. ``statuses`` are answered in turn, the last one repeats; ``location`` is where a redirect leads.

    While ``held`` is set it answers nothing; ``trickles`` lets it send a head without end, a byte at a time.
    """

    def __init__(self) -> None:
        self.statuses = [204]
        self.location = ""
        self.trickles = False
        self.calls: list[Called] = []
        self.held = threading.Event()
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.root = f"http://{HOST}:{self.port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="outlet", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def keep(self, called: Called) -> int:
        """Note a call; answers the status that it gets."""
        with self._lock:
            self.calls.append(called)
            return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


def _handler(outlet: Outlet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            host, key = self.headers["Host"], self.headers.get("Idempotency-Key", "")
            status = outlet.keep(Called(self.command, self.path, host, key, body, dict(self.headers)))
            while outlet.held.is_set() and not outlet.ended.wait(0.02):
                pass
            if outlet.trickles:
                self.wfile.write(b"HTTP/1.1 204 No Content\r\nX-Slow: ")
                while not outlet.ended.wait(0.05):
                    self.wfile.write(b"x")
            self.send_response(status)
            if outlet.location:
                self.send_header("Location", outlet.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not on stderr."""

    return Handler

"""A receiver of webhooks on 127.0.0.1: keeps each call, and looks whether its signature is right, as receivers do."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Called:
    """One call. ``delivery`` is the id of its message."""

    path: str
    delivery: str
    signed: bool
    payload: dict[str, Any]


class Receiver:
    """One receiver. ``status`` is what it answers; ``location`` is where a redirect would lead."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.status = 204
        self.location = ""
        self.calls: list[Called] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/bptl"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="webhook", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def signed(self, timestamp: str, body: bytes, signature: str) -> bool:
        """As the how-to tells receivers to look."""
        expected = hmac.new(self.secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"sha256={expected}", signature)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signed = receiver.signed(self.headers["X-BPTL-Timestamp"], body, self.headers["X-BPTL-Signature"])
            receiver.calls.append(Called(self.path, self.headers["X-BPTL-Delivery"], signed, json.loads(body)))
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not on stderr."""

    return Handler

"""The double over HTTP: sockets, faults, and connections that can be cut."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.doubles.zgw.faults import Fault
from tests.doubles.zgw.messages import Answer, Refusal, Request

Handle = Callable[[Request], Answer]


class Server(ThreadingHTTPServer):
    """Each connection has a thread; none of them hinders the end of the process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], *, handle: Handle, take_fault: Callable[[str, str], Fault | None], wait: Any
    ) -> None:
        self.handle_call = handle
        self.take_fault = take_fault
        self.wait_for_fault = wait
        self._open: set[Any] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Note the connection, to cut it."""
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Its end."""
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        """End all connections without a word."""
        for connection in list(self._open):
            cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers die on purpose: what else goes wrong is an answer (500) and a violation."""


def cut(connection: socket.socket) -> None:
    """End a connection without a word."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the first
    server: Server

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            content,
            f"http://{self.headers.get('Host', '')}",
        )
        fault = self.server.take_fault(self.command, request.path)
        kind = fault.kind if fault else ""
        if fault and kind == "slow":
            self.server.wait_for_fault(fault)
        if kind == "cut-before":
            self._cut()
            return
        if fault and kind in {"500-before", "503", "429"}:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self._send(request, Refusal(int(kind[:3]), "error", headers=headers).answer())
            return
        answer = self.server.handle_call(request)
        if fault and kind == "slow-after":
            self.server.wait_for_fault(fault)
        if kind == "cut-after":
            self._cut()
        elif kind == "500-after":
            self._send(request, Refusal(500, "error", "Er is een serverfout opgetreden.").answer())
        else:
            self._send(request, answer)

    def _send(self, request: Request, answer: Answer) -> None:
        data = answer.content(request.root)
        headers = {name: json.loads(_exchanged(value, request.root)) for name, value in answer.headers.items()}
        try:
            self.send_response(answer.status)
            if data:
                self.send_header("Content-Type", answer.content_type)
            for name, value in headers.items():
                self.send_header(name, value)
            if answer.status not in {204, 304}:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # whoever asked has gone

    def _cut(self) -> None:
        self.close_connection = True
        cut(self.connection)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: tests look at what was requested."""


def _exchanged(value: str, root: str) -> bytes:
    return Answer(200, value).content(root)

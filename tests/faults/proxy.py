"""A proxy between BPTL and its engine that stops, cuts or falsifies one request exactly where a test wants it.

    with proxy.fault(r"/complete$", answer="held") as fault:
        …                       # start a case
        fault.wait()            # the engine has carried the request out, BPTL has no answer yet
        topology.kill_part("work-1")
    …                           # what was held goes on; BPTL may be gone by then

It runs in the test's own process and keeps the connection to the engine open when BPTL's end breaks, as the proxies of
real installations do: a dead poller's long poll still locks tasks.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

REQUEST_SECONDS = 120.0
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}

Request = Literal["forwarded", "held", "held, then cut", "cut"]
"""What happens to a request before the engine sees it."""

Answer = Literal["forwarded", "held", "cut"]
"""What happens to the answer after the engine has acted."""


class Fault:
    """One armed fault; ``wait`` until it has caught a request, ``release`` what is held."""

    def __init__(
        self,
        path: str,
        *,
        request: Request = "forwarded",
        answer: Answer = "forwarded",
        status: int | None = None,
        forward: bool = False,
        times: int = 1,
        only_if: Callable[[Any], bool] = lambda body: True,
    ) -> None:
        self.path = re.compile(path)
        self.request = request
        self.answer = answer
        self.status = status
        self.forward = forward
        self.only_if = only_if
        self.caught = 0
        self._left = times
        self._reached = threading.Event()
        self._released = threading.Event()
        self._lock = threading.Lock()

    def wait(self, *, seconds: float = 40.0) -> None:
        """Wait until it has caught a request; raises AssertionError after ``seconds``."""
        assert self._reached.wait(seconds), f"no request for {self.path.pattern} within {seconds:g} s"

    def release(self) -> None:
        """Let go on what is held, and catch nothing more."""
        with self._lock:
            self._left = 0
        self._released.set()

    def catch(self) -> bool:
        """Whether one more is to be caught; counts it."""
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            self.caught += 1
        self._reached.set()
        return True

    def hold(self) -> None:
        """Wait for ``release``."""
        self._released.wait(REQUEST_SECONDS)


class Proxy:
    """Forwards everything to the server at ``target`` (scheme and host of an address) except for armed faults."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.faults: list[Fault] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}{urlsplit(target).path}"

    def start(self) -> None:
        """Begin to forward."""
        threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True).start()

    def stop(self) -> None:
        """Stop."""
        for fault in self.faults:
            fault.release()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def fault(
        self,
        path: str,
        *,
        request: Request = "forwarded",
        answer: Answer = "forwarded",
        status: int | None = None,
        forward: bool = False,
        times: int = 1,
        only_if: Callable[[Any], bool] = lambda body: True,
    ) -> Iterator[Fault]:
        """Arm a fault for requests whose path matches; at the end of the block it is disarmed and released.

        ``status`` is answered in place of the engine, which is asked only with ``forward``. ``only_if`` looks at the
        engine's answer (JSON): others are passed on.
        """
        armed = Fault(
            path, request=request, answer=answer, status=status, forward=forward, times=times, only_if=only_if
        )
        self.faults.append(armed)
        try:
            yield armed
        finally:
            armed.release()
            self.faults.remove(armed)

    def of_request(self, path: str) -> Fault | None:
        """The fault that strikes before the engine is asked."""
        return self._caught(path, lambda fault: fault.request != "forwarded" or (fault.status and not fault.forward))

    def of_answer(self, path: str, body: bytes) -> Fault | None:
        """The fault that strikes when the engine has answered."""
        return self._caught(
            path, lambda fault: (fault.answer != "forwarded" or fault.forward) and fault.only_if(_json(body))
        )

    def _caught(self, path: str, strikes: Callable[[Fault], Any]) -> Fault | None:
        for fault in list(self.faults):
            if fault.path.search(path) and strikes(fault) and fault.catch():
                return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients die on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def setup(self) -> None:
        super().setup()
        self._engine = http.client.HTTPConnection(self.proxy.target, timeout=REQUEST_SECONDS)

    def finish(self) -> None:
        self._engine.close()
        super().finish()

    def _pass(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        before = self.proxy.of_request(path)
        if before is not None:
            if before.request.startswith("held"):
                before.hold()
            if before.request.endswith("cut"):
                self._cut()
                return
            if before.status is not None:
                self._answer(before.status, {"Content-Type": "text/plain"}, b"a proxy's own words")
                return
        try:
            status, headers, content = self._ask(body)
        except OSError:
            self._cut()
            return
        after = self.proxy.of_answer(path, content)
        if after is not None:
            if after.answer == "held":
                after.hold()
            if after.answer == "cut":
                self._cut()
                return
            if after.status is not None:
                status, headers, content = after.status, {"Content-Type": "text/plain"}, b"a proxy's own words"
        self._answer(status, headers, content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815 - the base class names them

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        for last in (False, True):
            fresh = self._engine.sock is None
            try:
                self._engine.request(self.command, self.path, body=body or None, headers=headers)
                answer = self._engine.getresponse()
                kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
                return answer.status, kept, answer.read()
            except http.client.RemoteDisconnected:
                # An idle connection that the engine closed meanwhile was never read from: only then once more.
                self._engine.close()
                if fresh or last:
                    raise
            except (OSError, http.client.HTTPException) as error:
                self._engine.close()
                raise ConnectionError(str(error)) from error
        raise AssertionError

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _handler(of: Proxy) -> type[_Handler]:
    class Handler(_Handler):
        proxy = of

    return Handler


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None

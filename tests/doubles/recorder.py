"""An outside service that counts the effects that really happened, by key, and can be told to misbehave.

POST /effects/<key> acts, GET /effects/<key> says what happened, GET /effects counts all, GET /points/<key>/<point> says
whether to go on. POST /asks/<key> acts too, and asks for an answer at the address in its body: the recorder answers
there after the time that the body says, again and again until it is heard. It runs in the test's own process: a test
arms a fault with a method and sees what happened in attributes. In a container it is a program of its own:
``python recorder.py --help``.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

Misbehaviour = Literal["cut", "500", "late"]
"""After it has acted: the connection is cut, HTTP 500 is answered, or no answer comes within 30 s."""

LATE = 30.0


class Recorder:
    """One service at ``address``, by default on a port of its own; thread-safe."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._lock = threading.Lock()
        self._effects: Counter[str] = Counter()
        self._misbehaviour: dict[str, Misbehaviour] = {}
        self._whoever: list[Misbehaviour] = []
        self._held: set[tuple[str, str]] = set()
        self._visits: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self._called: Counter[str] = Counter()
        self._asked: defaultdict[str, list[str]] = defaultdict(list)
        self._ended = threading.Event()
        self._server = _Server(address, _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.acting_seconds = 0.0
        """How long it takes to act."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="recorder", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def misbehave(self, key: str, how: Misbehaviour) -> None:
        """Act at the next request for this key, and then do not answer as one should."""
        with self._lock:
            self._misbehaviour[key] = how

    def misbehave_next(self, requests: int, how: Misbehaviour) -> None:
        """Do so at the next ``requests``, whatever their keys."""
        with self._lock:
            self._whoever = [how] * requests

    def hold(self, key: str, point: str) -> None:
        """Let nobody go on from a point."""
        with self._lock:
            self._held.add((key, point))

    def release(self, key: str, point: str) -> None:
        """Let everybody go on."""
        with self._lock:
            self._held.discard((key, point))

    def count(self, key: str) -> int:
        """How often the effect of this key happened."""
        with self._lock:
            return self._effects[key]

    def counts(self) -> Mapping[str, int]:
        """All effects: key → how often."""
        with self._lock:
            return dict(self._effects)

    def attempts_at(self, key: str, point: str) -> list[int]:
        """The attempts that came to this point, each once."""
        with self._lock:
            return sorted({attempt for attempt, _ in self._visits[key, point]})

    def pid_at(self, key: str, point: str) -> int | None:
        """The process of the latest attempt at this point."""
        with self._lock:
            return max(self._visits[key, point], default=(0, None))[1]

    def called(self) -> Mapping[str, int]:
        """How often POST /called/<key> came, for each key; it is no effect."""
        with self._lock:
            return dict(self._called)

    def call(self, key: str) -> None:
        """Note one such call."""
        with self._lock:
            self._called[key] += 1

    def asked(self, key: str) -> list[str]:
        """The addresses at which answers for this key were asked for, in order."""
        with self._lock:
            return list(self._asked[key])

    def ask(self, key: str, url: str, *, after: float | None) -> None:
        """Remember an address; answer there ``after`` so many seconds (None: never)."""
        with self._lock:
            self._asked[key].append(url)
        if after is not None:
            threading.Thread(target=self._answer, args=[key, url, after], name=f"answer {key}", daemon=True).start()

    def _answer(self, key: str, url: str, after: float) -> None:
        self._ended.wait(after)
        while not self._ended.is_set() and (status := answer(url, number=self.count(key))) not in {204, 404, 409}:
            self._ended.wait(0.5 if status else 1.0)

    def act(self, key: str) -> tuple[int, Misbehaviour | None]:
        """Do the effect: how manieth it is, and how to misbehave."""
        if self.acting_seconds:
            time.sleep(self.acting_seconds)
        with self._lock:
            self._effects[key] += 1
            of_all = self._whoever.pop() if self._whoever else None
            return self._effects[key], self._misbehaviour.pop(key, of_all)

    def visit(self, key: str, point: str, *, attempt: int, pid: int) -> bool:
        """Whether a unit may go on from a point."""
        with self._lock:
            if (attempt, pid) not in self._visits[key, point]:
                self._visits[key, point].append((attempt, pid))
            return (key, point) not in self._held

    def serve(self) -> None:
        """Serve in this thread until the process ends."""
        self._server.serve_forever()

    def wait_late(self) -> None:
        """Wait as long as a late answer takes."""
        self._ended.wait(LATE)


def answer(url: str, **variables: Any) -> int:
    """Answer at the address of a waiting task; its status, 0 when nobody answered."""
    body = json.dumps({"outcome": "completed", "variables": variables}).encode()
    request = urllib.request.Request(url, method="POST", data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answered:
            return int(answered.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers die on purpose."""


def _handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path)
            match path.path.split("/")[1:]:
                case ["effects", key]:
                    self._answer(200, {"number": recorder.count(key)})
                case ["effects"]:
                    self._answer(200, recorder.counts())
                case ["points", key, point]:
                    query = parse_qs(path.query)
                    go = recorder.visit(key, point, attempt=int(query["attempt"][0]), pid=int(query["pid"][0]))
                    self._answer(200, {"go": go})
                case _:
                    self._answer(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            key = self.path.rpartition("/")[2]
            if self.path.startswith("/called/"):
                recorder.call(key)
                self._answer(200, {})
                return
            number, misbehaviour = recorder.act(key)
            if self.path.startswith("/asks/"):
                asked = json.loads(body)
                recorder.ask(key, asked["url"], after=asked["after"])
            if misbehaviour == "late":
                recorder.wait_late()
            if misbehaviour in {"cut", "late"}:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            else:
                self._answer(500 if misbehaviour == "500" else 200, {"number": number})

        def _answer(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def main() -> None:
    """Serve as a program."""
    parser = argparse.ArgumentParser(description="An outside service that counts effects, at an address of its own.")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--acting-seconds", type=float, default=0.0, help="how long it takes to act")
    options = parser.parse_args()
    recorder = Recorder((options.host, options.port))
    recorder.acting_seconds = options.acting_seconds
    recorder.serve()


if __name__ == "__main__":
    main()

"""A BPTL without engine: whoever calls its REST API stands at this counter. Real processes, database and broker."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stage.ports import HOST, free_port
from stage.postgres import connect
from stage.probes import answers
from stage.processes import Part, Stage
from tests.doubles.recorder import Recorder
from tests.servers import Servers

UNITS = Path(__file__).parents[1] / "faults" / "units"

USER, PASSWORD = "flowable", "een-lang-wachtwoord"
CALL_SECONDS = 4
WAITING = 6

MAPPINGS: Mapping[str, Mapping[str, object]] = {
    "besluit": {"unit": "demo.decide"},
    "traag": {"unit": "demo.slow"},
    "wankel": {"unit": "demo.flaky", "retry_plan": "R3/PT1S"},
    "register": {"unit": "test.register", "lock_seconds": 20},
    "verzend": {"unit": "test.send", "lock_seconds": 20},
    "deelproces": {"unit": "process.call_activity"},
    "uit": {"unit": "demo.quick", "active": False},
}


@dataclass(frozen=True)
class Answered:
    """What a call was answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The JSON of it."""
        return json.loads(self.text)


class Counter:
    """The processes and a caller with a token."""

    def __init__(self, environment: dict[str, str], logs: Path, recorder: Recorder) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.recorder = recorder
        self.environment = {
            **environment,
            "IS_HTTPS": "False",
            "UWSGI_PORT": str(self.port),
            "UWSGI_PROCESSES": "1",
            "BPTL_CALL_SECONDS": str(CALL_SECONDS),
            "BPTL_CALLS_WAITING": str(WAITING),
            "BPTL_CALL_BYTES": "100000",
            "BPTL_LOG_FORMAT": "console",
            "PYTHONPATH": str(UNITS),
        }
        names = ("web", "beat", "work-1", "work-2")
        self.parts = {
            name: Part(
                name,
                [sys.executable, "-m", "bptl", name.partition("-")[0]],
                log=logs / f"{name}.log",
                environment=self.environment,
            )
            for name in names
        }
        self.token = ""

    @classmethod
    @contextmanager
    def built(cls, servers: Servers, logs: Path) -> Iterator[Counter]:
        """Start it all, and stop it all at the end."""
        with Recorder() as recorder, servers.migrated() as environment, Stage() as stage:
            counter = stage.add(cls(environment, logs, recorder))
            counter.furnish()
            for name in counter.parts:
                counter.begin(name)
            living = "SELECT count(*) FROM tasks_process WHERE kind = 'work' AND stopped_at IS NULL"
            counter.wait("both workers live", lambda: counter.rows(living) == [(2,)])
            yield counter

    def furnish(self) -> None:
        """A user with a token, and the mappings."""
        self.bptl(
            *("manage", "createsuperuser", "--no-input", "--username", USER, "--email", "flowable@example.com"),
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        self.token = self.bptl("tokens", "create", "flowable", "--user", USER).strip()
        self.bptl("mappings", "add", "--engine", "rest", "--topic", "leges", "--unit", "demo.quick")
        # One process for the others, because each takes seconds to start.
        rows = ", ".join(f"Mapping(topic={topic!r}, **{fields!r})" for topic, fields in MAPPINGS.items())
        script = f"from bptl.connections.models import Mapping; Mapping.objects.bulk_create([{rows}])"
        self.bptl("manage", "shell", "--no-imports", "-c", script)

    def bptl(self, *arguments: str, **environment: str) -> str:
        """What one command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "bptl", *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def begin(self, name: str) -> None:
        """Start one process, also again."""
        self.parts[name].start()
        if name == "web":
            self.parts[name].wait_until(lambda: answers(f"{self.url}/ready"), seconds=60)

    def stop(self) -> None:
        """Stop the processes."""
        for part in self.parts.values():
            part.stop(grace=30)

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """One request, whatever its answer; a redirect is not followed."""
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=dict(headers or {}), method=method)
        try:
            with _OPENER.open(request, timeout=120) as answer:
                return Answered(answer.status, dict(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answered(error.code, dict(error.headers), error.read().decode())

    def call(self, topic: str, variables: Any = None, *, key: str = "", **headers: str) -> Answered:
        """A call of the work unit of a topic, with the token."""
        asked: dict[str, Any] = {"topic": topic}
        if variables is not None:
            asked["vars"] = variables
        given = {"Authorization": f"Token {self.token}", "Accept-Language": "en", "Content-Type": "application/json"}
        given |= {"Idempotency-Key": key} if key else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("/api/v1/work-unit", method="POST", body=json.dumps(asked).encode(), headers=given)

    def calling(self, topic: str, variables: Any, *, key: str) -> Calling:
        """The same, under way."""
        return Calling(lambda: self.call(topic, variables, key=key))

    def task(self, key: str) -> dict[str, Any]:
        """BPTL's row of a call; empty where there is none."""
        rows = self.rows("SELECT id, status, outcome, attempts FROM tasks_task WHERE external_id = %s", key)
        return dict(zip(("id", "status", "outcome", "attempts"), rows[0], strict=True)) if rows else {}

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of BPTL's database."""
        with connect(self.environment) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"after {seconds:.0f} s still not true: {what}"
            time.sleep(0.05)

    def part_at(self, key: str, point: str) -> str:
        """The worker whose unit stands at a point."""
        pid = self.recorder.pid_at(key, point)
        return next(name for name, part in self.parts.items() if part.running and part.pid == pid)


class Calling:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Answered]) -> None:
        self._answer: Answered | None = None
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], Answered]) -> None:
        try:
            self._answer = call()
        except OSError as error:
            self._error = error

    def answered(self) -> Answered | None:
        """The answer; None when the connection was cut before there was one."""
        self._thread.join(timeout=120)
        assert not self._thread.is_alive(), "the call did not end"
        return self._answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def basic(username: str, password: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

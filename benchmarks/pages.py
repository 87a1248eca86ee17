"""How long pages, commands and the REST API take, asked of the real web process by somebody who is logged in."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import urllib3

from benchmarks.figures import percentile
from benchmarks.filling import (
    COMMON,
    COMMON_APPLICATION,
    COMMON_UNIT,
    FIRST_ENGINE,
    OLD,
    OLD_ENGINE,
    RARE,
    RARE_APPLICATION,
    RARE_UNIT,
    SMALL_ENGINE,
    Filled,
)
from stage.topology import Topology

REQUESTS = 40
COMMANDS = (("tasks", "list"), ("tasks", "list", "--outcome", "failed", "--topic", OLD), ("tasks", "count"))


class NotShown(Exception):
    """A page was not answered as it should be."""


@dataclass(frozen=True, slots=True)
class Took:
    """The requests to one address, ms. ``status`` is that of the answers."""

    address: str
    p95: float
    longest: float
    p50: float = 0.0
    status: int = 200


class Visitor:
    """Somebody with every right and a browser's cookies."""

    def __init__(self, topology: Topology) -> None:
        user, password = f"bench-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
        login = {"USERNAME": user, "PASSWORD": password, "EMAIL": "bench@bptl.example"}
        topology.bptl(
            *("manage", "createsuperuser", "--no-input"),
            environment={f"DJANGO_SUPERUSER_{name}": value for name, value in login.items()},
        )
        self._http = urllib3.PoolManager(retries=False)
        self._root = topology.web_url.rstrip("/")
        self._cookies: dict[str, str] = {}
        form = self._ask("GET", "/login/")
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.data.decode())
        token = found.group(1) if found else ""
        fields = {"csrfmiddlewaretoken": token, "username": user, "password": password}
        self._ask("POST", "/login/", body=urlencode(fields))

    def time(self, address: str, *, requests: int = REQUESTS, expected: int = 200, beginning: bool = False) -> Took:
        """Ask for one address so often; raises NotShown for another status than ``expected``.

        With ``beginning`` only the time until an answer begins counts: that of a file that is made while it is sent.
        """
        took = []
        for _ in range(requests):
            begun = time.monotonic()
            answer = self._ask("GET", address, whole=not beginning)
            took.append(1000 * (time.monotonic() - begun))
            answer.close()
            if answer.status != expected:
                raise NotShown(f"{address} was answered with {answer.status}")
        return Took(address, percentile(took, 95), max(took), percentile(took, 50), expected)

    def status(self, address: str) -> int:
        """How one address is answered."""
        answer = self._ask("GET", address, whole=False)
        answer.close()
        return answer.status

    def _ask(self, method: str, path: str, *, body: str | None = None, whole: bool = True) -> urllib3.BaseHTTPResponse:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self._http.request(
            method, self._root + path, body=body, headers=headers, redirect=False, preload_content=whole
        )
        for line in answer.headers.getlist("Set-Cookie"):
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return answer


def addresses(filled: Filled) -> Iterator[str]:
    """Every list, search and count of the pages and the admin; for lists also filters that fit badly together, and that
    nothing fits."""
    begun = datetime.now(UTC)

    def day(months: int, *, hours: int = 0) -> str:
        return f"{begun - timedelta(days=30 * months, hours=-hours):%Y-%m-%dT%H:%M:%S}"

    middle = filled.task_id
    yield from ("/", "/topics/", "/tasks/api/aggregate/", f"/tasks/{middle}/", f"/tasks/{filled.failed_id}/")
    filters: list[dict[str, str]] = [
        {},
        *({"status": status} for status in ("queued", "running", "waiting", "performed", "delivered", "returned")),
        *({"status": status} for status in ("uncertain", "lost")),
        *({"outcome": outcome} for outcome in ("completed", "failed", "thrown")),
        *({"engine": engine} for engine in (FIRST_ENGINE, SMALL_ENGINE, OLD_ENGINE)),
        *({"topic": topic} for topic in (COMMON, RARE, OLD)),
        {"process_instance": filled.process_instance_id},
        {"business_key": filled.business_key},
        {"status": "delivered", "outcome": "failed"},
        {"status": "lost", "topic": COMMON},
        {"outcome": "failed", "topic": RARE},
        {"outcome": "thrown", "engine": OLD_ENGINE},
        {"engine": OLD_ENGINE, "topic": COMMON},
        {"status": "delivered", "outcome": "completed", "engine": OLD_ENGINE, "topic": OLD},
        *({"unit": unit} for unit in (COMMON_UNIT, RARE_UNIT)),
        *({"application": application} for application in (COMMON_APPLICATION, RARE_APPLICATION, "nobody")),
        *({"period": period} for period in ("hour", "week")),
        *({"since": day(months), "until": day(months, hours=1)} for months in (1, 5)),
        {"error": filled.error_group},
        *({"text": text} for text in ("vergunning", str(100_000_000 + filled.task_id), "nowhere")),
        {"outcome": "failed", "period": "week"},
        {"outcome": "failed", "unit": RARE_UNIT},
        {"error": filled.error_group, "topic": RARE},
        {"error": filled.error_group, "application": RARE_APPLICATION, "text": "nowhere"},
        {"unit": COMMON_UNIT, "application": "nobody", "since": day(5), "until": day(1)},
        {"topic": COMMON, "text": "nowhere", "status": "delivered"},
        {"business_key": filled.business_key, "text": "vergunning", "application": COMMON_APPLICATION},
        {"engine": FIRST_ENGINE, "topic": OLD, "unit": COMMON_UNIT, "text": "nowhere", "period": "day"},
    ]
    for chosen in filters:
        yield f"/tasks/?{urlencode(chosen)}" if chosen else "/tasks/"
        if "process_instance" not in chosen and "business_key" not in chosen:
            yield f"/tasks/?{urlencode({**chosen, 'before': str(middle)})}"
    yield f"/tasks/?after={middle}"
    admin = "/admin/tasks/task/"
    yield from (admin, f"{admin}?p=90", f"{admin}?state=lost", f"{admin}?state=delivered-failed")
    yield from (f"{admin}?q={text}" for text in (filled.external_id, filled.business_key, filled.process_instance_id))
    yield from (f"{admin}{middle}/change/", "/admin/tasks/fetch/", "/admin/tasks/process/")
    yield from ("/engines/", "/mappings/")


def command_seconds(topology: Topology, command: tuple[str, ...]) -> float:
    """Seconds of one ``bptl`` command, the start of Python included."""
    begun = time.monotonic()
    topology.bptl(*command)
    return time.monotonic() - begun

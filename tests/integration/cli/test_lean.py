"""What each kind of process keeps out of its memory: a library that nobody uses there costs megabytes in every one."""

from __future__ import annotations

import base64
import json
import re
import secrets
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings

from bptl.cli.start import PAGES, SCHEDULE
from stage.ports import HOST, free_port
from stage.processes import Part
from tests.integration.waiting import until
from tests.servers import Servers

OF_PAGES = PAGES | {"bptl.conf.urls", "django.test", "gunicorn", "jinja2", "mozilla_django_oidc", "segno", "whitenoise"}
OF_WORK = {"ape_pie", "bptl.engines", "bptl.work_units", "bptl.workers.floor", "pydantic", "requests", "urllib3"}
OF_ROWS = {"bptl.connections", "bptl.tasks", "django.contrib.auth", "django.db.models", "psycopg"}
OF_MONITORING = {"flower", "prometheus_client", "tornado"}
OF_NOBODY_YET = {"bptl.lib.otel", "bptl.lib.sentry", "opentelemetry.exporter", "opentelemetry.sdk.trace", "sentry_sdk"}
"""What is imported where an address for it is set. (The client of Redis imports OpenTelemetry's metrics by itself.)"""

UNUSED = {
    "work": OF_PAGES | SCHEDULE | OF_MONITORING | OF_NOBODY_YET,
    "poll": OF_PAGES | SCHEDULE | OF_MONITORING | OF_NOBODY_YET,
    "beat": OF_PAGES | OF_WORK | OF_MONITORING | OF_NOBODY_YET,
    "flower": OF_PAGES | OF_WORK | OF_ROWS | SCHEDULE | OF_NOBODY_YET,
}
"""Kind of process → modules that are of no use to it."""

_IMPORT = re.compile(r"import time: .*\| +([\w.]+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def imported(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, frozenset[str]]:
    """Kind of process → what it imported, each a real one, until a poll and a sweep had been done."""
    logs = tmp_path_factory.mktemp("logs")
    login, port = f"lean:{secrets.token_hex(12)}", free_port()
    with servers.migrated() as environment, ExitStack() as stack:
        command = [sys.executable, "-m", "bptl"]
        told = {
            **environment,
            "PYTHONPROFILEIMPORTTIME": "1",
            "FLOWER_BASIC_AUTH": login,
            "FLOWER_PORT": str(port),
        }
        parts = {kind: Part(kind, [*command, kind], log=logs / kind, environment=told) for kind in UNUSED}
        for part in parts.values():
            stack.callback(part.stop)
            part.start()
        until(lambda: {"bptl.poll", "bptl.sweep"} <= _jobs_done(port, login), what=f"a poll and a sweep; logs: {logs}")
    return {kind: _imports(part.log) for kind, part in parts.items()}


@pytest.mark.parametrize("kind", UNUSED)
def test_a_process_imports_nothing_that_is_of_no_use_to_it(kind: str, imported: dict[str, frozenset[str]]) -> None:
    assert "celery" in imported[kind], f"the imports of bptl {kind} were not seen"
    needless = UNUSED[kind] & imported[kind]

    assert not needless, (
        f"bptl {kind} imported {', '.join(sorted(needless))}. Find out who asked for it with "
        f"`python -X importtime -m bptl {kind}`, and import it where only those come who use it; an app of pages alone "
        "belongs into bptl.cli.start.PAGES (docs/adr/0020-processes-load-what-they-use.md)."
    )


def test_the_apps_that_processes_leave_out_are_apps_of_the_settings() -> None:
    assert set(settings.INSTALLED_APPS) >= PAGES | SCHEDULE


def _jobs_done(port: int, login: str) -> set[str]:
    """Names of the jobs that Flower saw begin or end."""
    request = urllib.request.Request(f"http://{HOST}:{port}/api/tasks")
    request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            jobs = json.load(answer).values()
    except OSError:
        return set()
    return {job["name"] for job in jobs if job["state"] in {"STARTED", "SUCCESS"}}


def _imports(log: Path) -> frozenset[str]:
    return frozenset(_IMPORT.findall(log.read_text()))

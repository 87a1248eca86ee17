"""Flower before real processes, whose broker asks for a password and speaks TLS: what it shows, and to whom."""

from __future__ import annotations

import base64
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stage.engines import SANDBOX
from stage.ports import HOST, free_port
from stage.probes import answers
from stage.processes import Part
from stage.topology import CommandFailed
from stage.valkey import Valkey
from tests.acceptance.town import Town
from tests.doubles.tls import Tunnel

BROKER_PASSWORD = "b:r/o@k%e r-geheim"
LOGINS = {"ops": "monitoring-geheim", "beheer": "käse-und-brötchen"}
PAGES = ("workers", "tasks", "broker", "api/workers", "api/tasks", "api/task/types", "api/queues/length", "metrics", "")


class Monitor:
    """Flower as a browser sees it, below its path."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}/bptl/monitor"

    def ask(self, path: str, *, method: str = "GET", login: str | None = "ops:monitoring-geheim") -> tuple[int, str]:
        """Status and text of a page."""
        request = urllib.request.Request(f"{self.url}/{path}", method=method)
        if login is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def page(self, path: str) -> str:
        """The text of a page that must be there."""
        status, text = self.ask(path)
        assert status == 200, f"{path}: {status} {text[:500]}"
        return text

    def shows(self, path: str) -> bool:
        """Whether a page is there."""
        return self.ask(path)[0] == 200

    def workers(self) -> dict[str, dict[str, Any]]:
        """What the workers tell of themselves, asked anew."""
        found: dict[str, dict[str, Any]] = json.loads(self.page("api/workers?refresh=1"))
        return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Monitor]]:
    """A whole BPTL on a guarded broker, and Flower under a path."""
    logs: Path = tmp_path_factory.mktemp("monitored")
    valkey, port = Valkey(log=logs / "valkey.log", password=BROKER_PASSWORD), free_port()
    with Tunnel(valkey.port) as tunnel:
        trust = f"ssl_cert_reqs=required&ssl_ca_certs={tunnel.authority}"
        environment = {
            "CELERY_BROKER_URL": f"rediss://:{quote(BROKER_PASSWORD, safe='')}@{HOST}:{tunnel.port}/0?{trust}",
            "FLOWER_BASIC_AUTH": ",".join(f"{user}:{password}" for user, password in LOGINS.items()),
            "FLOWER_URL_PREFIX": "/bptl/monitor/",
            "FLOWER_PORT": str(port),
        }
        options: dict[str, Any] = {"product": SANDBOX, "workers": 1, "more": ["flower"], "valkey": valkey}
        with Town.built(logs, environment=environment, **options) as town:
            monitor = Monitor(port)
            town.topology.part("flower").wait_until(lambda: answers(f"{monitor.url}/healthcheck"), seconds=60)
            yield town, monitor


def test_without_the_password_everything_but_the_sign_of_life_is_refused(guarded: tuple[Town, Monitor]) -> None:
    _, monitor = guarded
    for login in (None, "ops:wrong-password-wrong", "ops", "", "nobody:monitoring-geheim"):
        for path in (*PAGES, "static/css/flower.css", "no/such/page", "login"):
            assert monitor.ask(path, login=login)[0] == 401, (login, path)
        assert monitor.ask("api/task/send-task/bptl.sweep", method="POST", login=login)[0] == 401
    assert monitor.ask("healthcheck", login=None) == (200, "OK")


def test_every_login_is_let_in_and_lives_below_the_path(guarded: tuple[Town, Monitor]) -> None:
    _, monitor = guarded
    for user, password in LOGINS.items():
        status, page = monitor.ask("workers", login=f"{user}:{password}")
        assert status == 200
        assert "/bptl/monitor/static/css/" in page
    assert monitor.ask("static/css/flower.css")[0] == 200
    assert monitor.ask("../../workers")[0] == 404


def test_workers_jobs_and_queues_are_shown(guarded: tuple[Town, Monitor]) -> None:
    town, monitor = guarded
    town.wait("both workers have told of themselves", lambda: len(monitor.workers()) == 2)
    town.wait("beat's sweep was seen to end well", lambda: _jobs(monitor).get("bptl.sweep") == "SUCCESS")
    queues = {queue["name"] for worker in monitor.workers().values() for queue in worker["active_queues"]}
    assert queues == {"celery", "long-polling"}
    lengths = json.loads(monitor.page("api/queues/length"))["active_queues"]
    assert {queue["name"] for queue in lengths} == {"celery", "long-polling"}, "asked through TLS, with the password"


def test_no_secret_is_shown_on_any_page_nor_logged_by_any_process(guarded: tuple[Town, Monitor]) -> None:
    town, monitor = guarded
    town.wait("both workers have told of themselves", lambda: len(monitor.workers()) == 2)
    environment = town.topology.environment
    hidden = [environment[name] for name in ("SECRET_KEY", "BPTL_ENCRYPTION_KEYS", "DB_PASSWORD")]
    hidden += [BROKER_PASSWORD, quote(BROKER_PASSWORD, safe=""), *LOGINS.values()]
    shown = {path: monitor.page(path) for path in PAGES}
    for path in [f"worker/{name}" for name in monitor.workers()]:
        # Flower asks the worker while the browser waits, and shows no page when the answer takes more than a second.
        town.wait(f"{path} has answered", partial(monitor.shows, path))
        shown[path] = monitor.page(path)
    assert "rediss://" in shown["broker"], "the address is shown"
    shown |= {log.name: log.read_text() for log in town.topology.logs.iterdir() if log.suffix == ".log"}
    shown["doctor"] = town.topology.bptl("doctor")
    assert "rediss://:**@" in shown["doctor"]
    leaks = [(place, secret) for place, text in shown.items() for secret in hidden if secret and secret in text]
    assert not leaks


def test_nothing_can_be_changed(guarded: tuple[Town, Monitor]) -> None:
    town, monitor = guarded
    town.wait("both workers have told of themselves", lambda: len(monitor.workers()) == 2)
    for path in (f"api/worker/shutdown/{next(iter(monitor.workers()))}", "api/task/send-task/bptl.sweep"):
        for method in ("POST", "PUT", "DELETE"):
            assert monitor.ask(path, method=method)[0] == 405
    town.topology.check()


def test_work_is_done_over_a_broker_with_password_and_tls(guarded: tuple[Town, Monitor]) -> None:
    town, monitor = guarded
    town.map("versleuteld", "demo.quick")
    case = town.one_step("versleuteld", business_key="tls", aanvrager="T", bouwkosten=1)
    town.wait("the case ended", lambda: town.ended(case))
    town.wait("the job that woke the worker was seen", lambda: "bptl.work" in _jobs(monitor))


def test_without_a_login_it_does_not_start_and_says_how(guarded: tuple[Town, Monitor]) -> None:
    town, _ = guarded
    for given, told in {
        "": "FLOWER_BASIC_AUTH_FILE",
        "ops:short": "login 1 is not user:password",
        f"ops:{'x' * 12},nobody": "login 2 is not user:password",
    }.items():
        with pytest.raises(CommandFailed) as refused:
            town.topology.bptl("flower", environment={"FLOWER_BASIC_AUTH": given})
        assert refused.value.exit_code == 2
        assert told in refused.value.output
        assert "short" not in refused.value.output


def test_the_login_may_stand_in_a_file_and_no_file_is_written(guarded: tuple[Town, Monitor], tmp_path: Path) -> None:
    town, _ = guarded
    secret, empty, port = tmp_path / "login", tmp_path / "empty", free_port()
    secret.write_text("file:geheim-uit-een-bestand\n")
    empty.mkdir()
    environment = {**town.topology.environment, "FLOWER_BASIC_AUTH": "", "FLOWER_BASIC_AUTH_FILE": str(secret)}
    places = {"FLOWER_PORT": str(port), "HOME": str(empty), "TMPDIR": str(empty)}
    command = [sys.executable, "-m", "bptl", "flower"]
    flower = Part("flower-2", command, log=tmp_path / "log", environment={**environment, **places}, directory=empty)
    flower.start()
    try:
        monitor = Monitor(port)
        flower.wait_until(lambda: answers(f"{monitor.url}/healthcheck"), seconds=60)
        assert monitor.ask("workers", login="file:geheim-uit-een-bestand")[0] == 200
    finally:
        flower.stop()
    assert flower.exit_code == 0
    assert not list(empty.iterdir())


def _jobs(monitor: Monitor) -> dict[str, str]:
    """Names of jobs that were seen and the state of the newest."""
    rows = json.loads(monitor.page("api/tasks?limit=50&sort_by=received")).values()
    return {row["name"]: row["state"] for row in rows}

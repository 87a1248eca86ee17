"""A real Prometheus reads real processes: what they tell is true, and all that dashboard and alerts ask is answered."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bptl.accounts.roles import Role
from stage import prometheus
from stage.ports import HOST
from stage.prometheus import Expression, Prometheus
from tests.acceptance import everything
from tests.acceptance.everything import NAMES, Everything
from tests.acceptance.town import Town

CASES = 9
TOPIC = "tellen"
STATIONS = ("fetched", "started", "performed", "delivered")

QUIET = {
    "panel Oldest by topic A": "nothing waits, all is run at once",
    "panel Lock extensions A": "no lock of this town is a third old",
    "panel Failed steps of loops A": "no step of a loop failed",
    "panel Returned, lost, uncertain A": "nothing was given back",
    "panel Returned, lost, uncertain B": "the engine knows every task",
    "panel Reports to the engine B": "every report was taken at once",
    "panel Open circuit breakers A": "no breaker is open",
    "panel Share that was not served A": "every call was served",
}
"""What rightly has no data in this town, and why; everything else on the dashboard must have some."""

LABELS = {
    *("__name__", "job", "instance", "le", "implementation", "major", "minor", "patchlevel", "kind", "version"),
    *(
        "engine",
        "topic",
        "outcome",
        "retries",
        "why",
        "result",
        "answer",
        "service",
        "status",
        "state",
        "loop",
        "queue",
    ),
}


@dataclass(frozen=True)
class Watched:
    """The town, the ports of its processes, and who reads them."""

    there: Everything
    ports: dict[str, int]
    prometheus: Prometheus

    @property
    def town(self) -> Town:
        return self.there.town


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    try:
        prometheus.program("prometheus")
    except prometheus.Missing as error:
        pytest.skip(str(error))
    logs: Path = tmp_path_factory.mktemp("watched")
    with everything.built(logs, **prometheus.SETTINGS) as there:
        town = there.town
        ports = prometheus.ports(town.topology)
        with prometheus.watching(
            tmp_path_factory.mktemp("prometheus"), [f"{HOST}:{p}" for p in ports.values()]
        ) as read:
            town.wait("every process is read", lambda: len(read.up()) == len(ports))
            town.map(TOPIC, "demo.quick")
            cases = [
                town.one_step(TOPIC, business_key=f"t-{number}", aanvrager="T", bouwkosten=1) for number in range(CASES)
            ]
            asked = town.one_step(
                "register.vragen", business_key="v-2", bptlAppId="vergunningen", method="GET", path="effects"
            )
            wrong = town.one_step("aanvraag.beoordelen", business_key="w", hoogte="hoog", bijlagen="geen lijst")
            town.wait("the cases ended", lambda: town.ended(*cases, asked) and bool(town.incidents(wrong)))
            passed = [f'bptl_tasks_{station}_total{{topic="{TOPIC}"}}' for station in STATIONS]
            town.wait("they were read", lambda: all(read.number(f"sum({one})") >= CASES for one in passed))
            town.wait("they were read twice", lambda: all(read.query(f"rate({one}[1m])") for one in passed))
            yield Watched(there, ports, read)


def test_counters_of_all_processes_together_say_what_was_done(watched: Watched) -> None:
    for station in STATIONS:
        counted = watched.prometheus.number(f'sum(bptl_tasks_{station}_total{{topic="{TOPIC}"}})')
        assert counted == CASES, station
    for histogram in ("queue", "run"):
        assert watched.prometheus.number(f'sum(bptl_task_{histogram}_seconds_count{{topic="{TOPIC}"}})') == CASES
    assert watched.prometheus.number("max(bptl_database_up) + max(bptl_broker_up)") == 2
    assert watched.prometheus.number('max(bptl_fleet_processes{kind="work"})') == 1
    assert watched.prometheus.number('sum(bptl_places{state="taken"})') == 1, "the slow one runs"
    assert watched.prometheus.number('max(bptl_tasks{status="running",topic="archief.wachten"})') == 1
    assert watched.prometheus.number('max(bptl_tasks{status="uncertain"})') == 1
    assert watched.prometheus.number('max(bptl_incidents_open{kind="failed"})') >= 1
    assert watched.prometheus.number('sum(bptl_tasks_waiting_total{topic="advies.vragen"})') == 1
    assert watched.prometheus.number('max(bptl_limit_most{service="register"})') == 8
    assert watched.prometheus.number('sum(bptl_service_calls_total{service="register",status="2xx"})') >= 2


def test_every_expression_is_answered_and_names_only_metrics_that_exist(watched: Watched) -> None:
    told = watched.prometheus.ask("metadata")
    # In the format that Prometheus asks for first a counter's family is called without the end of its name.
    known = set(told) | {f"{name}_total" for name, (about, *_) in told.items() if about["type"] == "counter"}
    silent = []
    for expression in prometheus.expressions():
        assert expression.names, expression
        assert expression.names <= known, f"{expression.where}: {expression.names - known} is told by no process"
        found = watched.prometheus.query(expression.text)
        if expression.where.startswith("panel") and not found and expression.where not in QUIET:
            silent.append(expression)
    assert not silent


def test_names_are_found_in_expressions_of_every_form() -> None:
    text = (
        'sum by (a) (rate(one_total{x="(y"}[5m])) / max(two) > 0.5 unless on (engine) changes(three[1h] offset 15m)'
        " * on (job) group_left (kind) four and histogram_quantile(0.9, five_seconds_bucket) + (six)"
    )
    assert Expression("", text).names == {"one_total", "two", "three", "four", "five_seconds", "six"}


def test_every_alert_is_evaluated_and_none_fires_that_has_no_reason(watched: Watched) -> None:
    (group,) = watched.prometheus.ask("rules")["groups"]
    assert {rule["name"] for rule in group["rules"]} == {alert["alert"] for alert in prometheus.alerts()}
    assert [(rule["name"], rule["lastError"]) for rule in group["rules"] if rule["health"] == "err"] == []
    firing = {alert["labels"]["alertname"] for alert in watched.prometheus.ask("alerts")["alerts"]}
    assert firing <= {"BptlTaskUncertain", "BptlIncidentsRise", "BptlLoopSilent"}


def test_no_label_names_a_task_a_case_or_a_person(watched: Watched) -> None:
    series = watched.prometheus.ask("series", **{"match[]": '{job="bptl"}'})
    assert len(series) > 100
    assert {name for one in series for name in one} <= LABELS
    told = {value for one in series for value in one.values()}
    hidden = {
        str(value)
        for row in watched.town.tasks(limit="200")
        for name, value in row.items()
        if value and name in {"external_id", "process_instance_id", "business_key", "worker_id", "lease_id"}
    }
    assert hidden
    assert not told & hidden
    assert not [value for value in told if re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", value)]


def ask(address: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(address)
    if token is not None:
        request.add_header("Authorization", f"Token {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("name", ["web", "beat", "poll-1", "work-1"])
def test_each_process_says_that_it_lives_and_is_ready_and_nothing_but_its_metrics(watched: Watched, name: str) -> None:
    port = f"http://{HOST}:{watched.ports[name]}"
    assert ask(f"{port}/live") == (200, "yes\n")
    assert ask(f"{port}/ready") == (200, "yes\n")
    status, told = ask(f"{port}/metrics")
    assert status == 200
    assert "bptl_" in told
    for other in ("/", "/tasks/", "/login/", "/api/v1/health", "/admin/"):
        assert ask(port + other)[0] == 404


def test_on_the_pages_address_metrics_and_health_need_a_token_with_their_scope(watched: Watched) -> None:
    bptl, pages = watched.town.topology.bptl, watched.town.topology.web_url
    user = ("--user", NAMES[Role.VIEWER])
    reads = bptl("tokens", "create", "reads", *user, "--scope", "tasks:read").strip()
    monitors = bptl("tokens", "create", "monitors", *user, "--scope", "monitoring:read").strip()
    for page in ("metrics", "api/v1/health"):
        assert ask(pages + page)[0] == 401
        assert ask(pages + page, "bptl_wrong")[0] == 401
        assert ask(pages + page, reads)[0] == 403
        assert ask(pages + page, monitors)[0] == 200
    told = ask(f"{pages}metrics", monitors)[1]
    assert "bptl_database_up 1.0" in told
    assert "bptl_tasks_delivered_total" not in told, "no web process counts what workers do"
    health = json.loads(ask(f"{pages}api/v1/health", monitors)[1])
    states = {(part["kind"], part["name"]): part["state"] for part in health["parts"]}
    assert states["database", "PostgreSQL"] == states["broker", "Redis or Valkey"] == "well"
    assert states["engine", "sandbox"] == states["service", "register"] == "well"
    assert {name.partition(" ")[0] for kind, name in states if kind == "process"} == {"beat", "poll", "work"}
    assert health["state"] == "well"

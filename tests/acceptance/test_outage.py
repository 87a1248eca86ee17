"""A service is down for a while, before real processes: no retry is spent, others go on, and all goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stage.engines import SANDBOX
from stage.postgres import connect
from tests.acceptance.town import Town
from tests.doubles.outside import Answer, Asked, Outside

CASES = 40
WELL_WITHIN = 60.0
"""Seconds after which all is done once the service is well."""


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside("/register/") as running:
        running.answer("", {"ok": True})
        running.answer("zaken/1", {"omschrijving": "dakkapel"})
        yield running


@pytest.fixture
def town(tmp_path: Path, outside: Outside) -> Iterator[Town]:
    with Town.built(tmp_path, product=SANDBOX, workers=2, pollers=1) as town:
        town.topology.bptl(
            *("services", "add", "register", "--kind", "orc", "--url", outside.root, "--login", "no_auth"),
            *("--timeout", "2"),
        )
        town.map("opvragen", "http.request", "--service", "service=register")
        town.map("groeten", "demo.quick")
        yield town


def rows(town: Town, query: str) -> list[tuple[Any, ...]]:
    with connect(town.topology.postgres.environment()) as connection:
        return connection.execute(query).fetchall()


def start(town: Town, topic: str, number: int) -> list[str]:
    asked: dict[str, dict[str, Any]] = {
        "opvragen": {"method": "GET", "path": "zaken/1"},
        "groeten": {"aanvrager": "Saskia", "bouwkosten": 10_000},
    }
    return [town.one_step(topic, business_key=f"{topic}-{one}", **asked[topic]) for one in range(number)]


def test_an_outage_costs_no_retry_and_ends_by_itself(town: Town, outside: Outside) -> None:
    def slowly(_: Asked) -> Answer:
        time.sleep(3)
        return Answer(200, {"omschrijving": "dakkapel"})

    good = dict(outside.answers)
    outside.answers.update(dict.fromkeys(good, Answer(503, {"detail": "no time"})))

    waiting = start(town, "opvragen", CASES)
    town.wait("the breaker is open", lambda: "503" in town.topology.bptl("breakers", "list"))
    others = start(town, "groeten", CASES)
    town.wait("others go on meanwhile", lambda: town.ended(*others))
    town.wait(
        "nothing of it is here any more",
        lambda: not rows(town, "SELECT FROM tasks_task WHERE status IN ('queued', 'running', 'performed')"),
    )
    asked = len(outside.asked)
    time.sleep(10)
    assert len(outside.asked) - asked <= 5, "only probes ask what is known to be down"

    # Then it is slower than anybody waits, which is no reason to begin again.
    outside.answers.update(dict.fromkeys(good, slowly))
    time.sleep(10)
    assert "all breakers are closed" not in town.topology.bptl("breakers", "list")

    outside.answers.update(good)
    town.wait("all cases ended", lambda: town.ended(*waiting), seconds=WELL_WITHIN)
    assert town.topology.bptl("breakers", "list") == "all breakers are closed\n"
    assert rows(town, "SELECT DISTINCT outcome FROM tasks_lease WHERE outcome <> ''") == [("completed",)]
    assert rows(town, "SELECT FROM tasks_task WHERE status <> 'delivered'") == []

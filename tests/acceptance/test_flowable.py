"""A real Flowable whose HTTP task calls the REST API: what the how-to of other engines says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stage.flowable import Flowable
from stage.maven import JavaMissing
from tests.acceptance.counter import Counter
from tests.servers import Servers

MODEL = Path(__file__).parents[1] / "engines" / "flowable" / "models" / "leges.bpmn"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def counter(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with Counter.built(servers, tmp_path_factory.mktemp("counter")) as built:
        yield built


@pytest.fixture(scope="module")
def flowable(counter: Counter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flowable]:
    engine = Flowable(
        properties={"bptl.url": counter.url, "bptl.token": counter.token},
        log=tmp_path_factory.mktemp("flowable") / "flowable.log",
    )
    try:
        engine.start()
    except JavaMissing as error:
        pytest.skip(str(error))
    try:
        engine.deploy(MODEL)
        yield engine
    finally:
        engine.stop()


def start(flowable: Flowable, topic: str, **variables: Any) -> str:
    return flowable.start_case("leges", {"topic": topic, "invoer": json.dumps(variables)})


def ended(counter: Counter, flowable: Flowable, case: str) -> None:
    counter.wait(f"case {case} ended", lambda: flowable.ended(case), seconds=90)


def test_the_answer_decides_which_way_the_process_goes(counter: Counter, flowable: Flowable) -> None:
    cases = {start(flowable, "leges", aanvrager="F. Lowable", bouwkosten=costs): costs for costs in (10_000, 100)}

    for case, costs in cases.items():
        ended(counter, flowable, case)
        answer = flowable.variables(case)["antwoord"]
        assert answer["resultVars"]["begroeting"] == "Geachte F. Lowable"
        assert ("hoog" if costs == 10_000 else "laag") in flowable.activities(case)


def test_a_failed_call_is_repeated_by_flowable_and_goes_on(counter: Counter, flowable: Flowable) -> None:
    case = start(flowable, "wankel", failures=2)

    ended(counter, flowable, case)

    assert flowable.variables(case)["antwoord"]["resultVars"] == {"pogingen": 3}
    assert counter.task(f"{case}-bereken")["attempts"] == 3


def test_a_refusal_can_be_a_bpmn_error_of_the_model(counter: Counter, flowable: Flowable) -> None:
    case = flowable.start_case("besluit", {"hoogte": 9})

    ended(counter, flowable, case)

    assert "naar_behandelaar" in flowable.activities(case)


def test_work_that_takes_longer_than_a_call_may_wait_ends_in_the_process_all_the_same(
    counter: Counter, flowable: Flowable
) -> None:
    case = start(flowable, "traag", seconds=6)

    ended(counter, flowable, case)

    assert flowable.variables(case)["antwoord"]["resultVars"] == {"gewacht": 6.0}
    assert counter.task(f"{case}-bereken")["attempts"] == 1


def test_a_web_process_that_dies_in_a_call_costs_flowable_a_retry_and_doubles_nothing(
    counter: Counter, flowable: Flowable
) -> None:
    counter.recorder.hold("flowable", "before")
    case = start(flowable, "register", recorder=counter.recorder.url, key="flowable", points=True)
    counter.wait("the unit runs", lambda: bool(counter.recorder.attempts_at("flowable", "before")))

    counter.parts["web"].kill()
    counter.begin("web")
    counter.recorder.release("flowable", "before")

    ended(counter, flowable, case)
    assert flowable.variables(case)["antwoord"]["resultVars"] == {"number": 1}
    assert counter.recorder.count("flowable") == 1

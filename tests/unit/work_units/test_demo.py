"""Each demo unit shows what it promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bptl.work_units import demo
from bptl.work_units.contract import (
    BusinessError,
    InvalidInput,
    LeaseEnded,
    NeverAgain,
    TryAgain,
    Uncertain,
    WorkError,
    unit_of,
)
from bptl.work_units.testing import FakeWork, run, task_facts


def test_quick_greets_and_computes_the_fee() -> None:
    result = run(demo.quick, {"aanvrager": "mevrouw Jansen", "bouwkosten": "10000"})
    assert result.variables == {"begroeting": "Geachte mevrouw Jansen", "leges": 250.0}


def test_quick_asks_at_least_the_lowest_fee_and_needs_no_variables() -> None:
    assert run(demo.quick, {}).variables == {"begroeting": "Geachte onbekend", "leges": 75.0}


def test_slow_is_busy_for_the_time_asked_without_making_the_test_wait() -> None:
    result = run(demo.slow, {"seconds": 3600})
    assert result.work.slept == 3600
    assert result.variables == {"gewacht": 3600}


def test_slow_stops_soon_after_it_is_cancelled() -> None:
    work = FakeWork(cancel_after=2.0)
    with pytest.raises(LeaseEnded):
        run(demo.slow, {"seconds": 60}, work=work)
    assert work.slept == 2.0


def test_slow_does_not_even_begin_when_it_is_cancelled_already() -> None:
    with pytest.raises(LeaseEnded):
        run(demo.slow, {"seconds": 0}, cancelled=True)


def outcome(values: dict[str, Any], *, attempt: int, external_id: str = "e1") -> dict[str, Any] | WorkError:
    try:
        return run(demo.flaky, values, task=task_facts(attempt=attempt, external_id=external_id)).variables
    except WorkError as error:
        return error


def test_flaky_fails_as_often_as_asked_and_then_succeeds() -> None:
    assert isinstance(outcome({"failures": 2}, attempt=1), TryAgain)
    assert isinstance(outcome({"failures": 2}, attempt=2), TryAgain)
    assert outcome({"failures": 2}, attempt=3) == {"pogingen": 3}
    assert outcome({"failures": 0}, attempt=1) == {"pogingen": 1}


def failures_of(seed: str, external_id: str) -> int:
    attempt = 1
    while not isinstance(outcome({"seed": seed}, attempt=attempt, external_id=external_id), dict):
        attempt += 1
    return attempt - 1


def test_flaky_draws_the_number_of_failures_from_seed_and_task_the_same_every_time() -> None:
    drawn = [failures_of("7", f"task-{number}") for number in range(30)]
    assert drawn == [failures_of("7", f"task-{number}") for number in range(30)]
    assert set(drawn) == {0, 1, 2}


def test_flaky_can_fail_for_good_or_unexpectedly() -> None:
    assert isinstance(outcome({"failures": 1, "kind": "never_again"}, attempt=1), NeverAgain)
    with pytest.raises(RuntimeError, match="attempt 1 fails"):
        run(demo.flaky, {"failures": 1, "kind": "unexpected"})


def test_a_decision_is_published_once_however_often_the_unit_fails_afterwards() -> None:
    work = FakeWork()
    with pytest.raises(TryAgain, match=r"publication gmb-[0-9]+ stays"):
        run(demo.publish_besluit, {"failures": 1}, work=work)
    number = work.effects["publish"]
    again = FakeWork(effects=work.effects, task=task_facts(attempt=2))
    assert run(demo.publish_besluit, {"failures": 1}, work=again).variables == {"publicatie": number, "pogingen": 2}


def test_a_silent_gazette_leaves_the_publication_to_a_person() -> None:
    work = FakeWork()
    with pytest.raises(Uncertain):
        run(demo.publish_besluit, {"gazette": "silent"}, work=work)
    settled = FakeWork(effects={"publish": "gmb-12345"})
    variables = run(demo.publish_besluit, {"gazette": "silent"}, work=settled).variables
    assert variables["publicatie"] == "gmb-12345"


@pytest.mark.parametrize(("hoogte", "besluit"), [(12, "verlenen"), (12.5, "weigeren")])
def test_decide_grants_what_is_not_too_high(hoogte: float, besluit: str) -> None:
    assert run(demo.decide, {"hoogte": hoogte, "bijlagen": ["tekening.pdf"]}).variables["besluit"] == besluit


def test_decide_throws_the_bpmn_error_that_it_declares_when_attachments_are_missing() -> None:
    with pytest.raises(BusinessError) as caught:
        run(demo.decide, {"hoogte": 3})
    assert caught.value.code in unit_of(demo.decide).throws
    assert caught.value.variables == {"ontbrekend": ["bijlagen"]}


def test_decide_refuses_a_plan_without_height() -> None:
    with pytest.raises(InvalidInput, match="hoogte: is missing"):
        run(demo.decide, {"bijlagen": []})


def test_wait_for_answer_gives_out_its_address_and_waits() -> None:
    result = run(demo.wait_for_answer, {"hours": 2})
    assert result.pending is not None
    completion = result.pending.completion
    assert (result.variables, completion.key, completion.number) == ({}, "advies", 1)
    assert result.work.processes.variables()["adviesAdres"] == completion.url
    assert timedelta(hours=1) < completion.deadline - datetime.now(UTC) <= timedelta(hours=2)


def test_wait_for_answer_waits_no_longer_than_it_may() -> None:
    with pytest.raises(InvalidInput):
        run(demo.wait_for_answer, {"hours": 8 * 7 * 24 + 1})


def test_log_variables_logs_the_task_and_shows_values_at_level_debug_only() -> None:
    result = run(demo.log_variables, {"bsn": "999990019", "aantal": 2})
    assert result.variables == {}
    info, debug = result.work.events
    assert (info["log_level"], info["variables"]) == ("info", {"aantal": "int", "bsn": "str"})
    assert info["external_task"] == "external-task-1"
    assert (debug["log_level"], debug["variables"]) == ("debug", {"bsn": "999990019", "aantal": 2})

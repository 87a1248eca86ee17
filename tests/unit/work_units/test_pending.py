"""What a unit may leave to somebody outside, and how it is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import Field

from bptl.work_units.contract import (
    Inputs,
    InvalidOutput,
    LeaseEnded,
    Outputs,
    Pending,
    Work,
    unit_of,
    work_unit,
)
from bptl.work_units.testing import FakeWork, run

DAY = timedelta(days=1)


class Question(Inputs):
    answered: bool = False


class Answer(Outputs):
    signed_by: str = Field(alias="signedBy")
    pages: int = 1


@work_unit("test.sign")
def sign(work: Work, inputs: Question) -> Answer | Pending:
    """Answer at once, or later."""
    return Answer.model_validate({"signedBy": "Bea"}) if inputs.answered else work.completion(deadline=DAY).pending


@work_unit("test.note")
def note(work: Work, inputs: Question) -> Pending | None:
    """Wait, and set nothing."""
    return work.completion(deadline=DAY).pending


@work_unit("test.hasty")
def hasty(work: Work, inputs: Question) -> Answer:
    """Wait although it says that it does not."""
    return work.completion(deadline=DAY).pending  # type: ignore[return-value]


def test_a_unit_that_may_wait_says_so() -> None:
    assert [unit_of(unit).may_wait for unit in (sign, note, hasty)] == [True, True, False]
    assert (unit_of(sign).outputs, unit_of(note).outputs) == (Answer, None)


def test_it_answers_or_waits() -> None:
    assert run(sign, {"answered": True}).variables == {"signedBy": "Bea", "pages": 1}
    assert run(sign, {}).pending is not None


def test_a_unit_that_did_not_say_so_may_not_wait() -> None:
    with pytest.raises(InvalidOutput):
        run(hasty, {})


def test_an_answer_from_outside_is_held_against_the_outputs() -> None:
    assert unit_of(sign).read_answer({"signedBy": "Bea", "pages": "2"}) == {"signedBy": "Bea", "pages": 2}
    with pytest.raises(InvalidOutput) as error:
        unit_of(sign).read_answer({"pages": "many", "stamp": 1})
    assert [fault.path for fault in error.value.faults] == ["signedBy", "pages", "stamp"]


def test_a_unit_without_outputs_takes_no_variables_from_outside() -> None:
    assert unit_of(note).read_answer({}) == {}
    with pytest.raises(InvalidOutput):
        unit_of(note).read_answer({"a": 1})


def test_the_same_key_gives_the_same_address_and_another_key_another() -> None:
    work = FakeWork()
    first, again, other = (work.completion(key, deadline=DAY) for key in ("signed", "signed", "paid"))
    assert first == again
    assert first.url != other.url


@pytest.mark.parametrize("wait", [timedelta(), -DAY, timedelta(weeks=8, seconds=1)])
def test_a_deadline_is_some_weeks_at_most(wait: timedelta) -> None:
    with pytest.raises(ValueError, match="at most 56 days"):
        FakeWork().completion(deadline=wait)


@pytest.mark.parametrize("key", ["", "x" * 101])
def test_a_key_is_short(key: str) -> None:
    with pytest.raises(ValueError, match="1 to 100 characters"):
        FakeWork().completion(key, deadline=DAY)


def test_whoever_lost_the_task_gets_no_address() -> None:
    with pytest.raises(LeaseEnded):
        FakeWork(cancelled=True).completion(deadline=DAY)


@pytest.mark.parametrize("show", [repr, str])
def test_no_text_of_a_completion_holds_its_token(show: Any) -> None:
    pending = run(sign, {}).pending
    assert pending is not None
    assert pending.completion.token not in show(pending)

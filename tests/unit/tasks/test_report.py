"""What each answer of the engine to a report means."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import pytest

from bptl.engines.base import (
    Engine,
    EngineConflict,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ExternalTask,
    InvalidRequest,
    LockRefused,
    NotAuthenticated,
    NotAuthorized,
    NotFound,
    WrongAddress,
)
from bptl.tasks.delivery.report import CONFLICT_TRIES, Answer, Report, Verdict, park, send
from bptl.tasks.lifecycle import Outcome

LEASE = uuid.UUID("11111111-1111-4111-8111-111111111111")
OUTCOME = uuid.UUID("22222222-2222-4222-8222-222222222222")

RESULTS: dict[Outcome, Mapping[str, Any]] = {
    Outcome.COMPLETED: {"variables": {"leges": {"type": "Double", "value": 75.0, "valueInfo": {}}}},
    Outcome.FAILED: {"message": "it broke", "details": "Traceback", "retries": 2, "wait_ms": 30_000},
    Outcome.THROWN: {
        "code": "INCOMPLETE",
        "message": "no attachments",
        "variables": {"missing": {"type": "String", "value": "plan", "valueInfo": {}}},
    },
}


class Answering:
    """An engine that answers reports one after another, and a question about the task."""

    def __init__(self, *answers: EngineError | None, asked: ExternalTask | EngineError | None = None) -> None:
        self._answers = list(answers)
        self._asked = asked
        self.reports: list[tuple[str, str, dict[str, Any]]] = []

    def _report(self, verb: str, task_id: str, given: dict[str, Any]) -> None:
        self.reports.append((verb, task_id, given))
        answer = self._answers.pop(0)
        if answer is not None:
            raise answer

    def complete(self, task_id: str, **given: Any) -> None:
        self._report("complete", task_id, given)

    def fail(self, task_id: str, **given: Any) -> None:
        self._report("fail", task_id, given)

    def throw(self, task_id: str, **given: Any) -> None:
        self._report("throw", task_id, given)

    def get(self, task_id: str) -> ExternalTask:
        assert self._asked is not None, "a question that this answer does not need"
        if isinstance(self._asked, EngineError):
            raise self._asked
        return self._asked


def report(outcome: Outcome = Outcome.COMPLETED, *, tries: int = 1, by_author: bool = True) -> Report:
    return Report(
        task_id=1,
        engine_id=1,
        external_id="external",
        topic="topic",
        lease_id=LEASE,
        worker_id="bptl-mine",
        outcome_id=OUTCOME,
        outcome=outcome,
        result=RESULTS[outcome],
        tries=tries,
        refusals=0,
        by_author=by_author,
    )


def sent(engine: Answering, **which: Any) -> Verdict:
    return send(report(**which), cast(Engine, engine))


def held_by(worker_id: str | None, *, suspended: bool = False) -> ExternalTask:
    return ExternalTask(id="external", topic="topic", worker_id=worker_id, suspended=suspended)


def test_a_result_is_completed_under_the_lease_s_worker_id() -> None:
    engine = Answering(None)
    assert sent(engine).answer is Answer.TAKEN
    ((verb, task_id, given),) = engine.reports
    assert (verb, task_id, given["worker_id"]) == ("complete", "external", "bptl-mine")
    assert given["variables"]["leges"].value == 75.0


def test_a_bpmn_error_is_thrown_with_its_variables() -> None:
    engine = Answering(None)
    assert sent(engine, outcome=Outcome.THROWN).answer is Answer.TAKEN
    ((verb, _, given),) = engine.reports
    assert (verb, given["code"], given["message"]) == ("throw", "INCOMPLETE", "no attachments")
    assert given["variables"]["missing"].value == "plan"


def test_a_failure_says_its_retries_and_begins_its_details_with_the_outcome_s_lease() -> None:
    engine = Answering(None)
    assert sent(engine, outcome=Outcome.FAILED).answer is Answer.TAKEN
    ((verb, _, given),) = engine.reports
    assert (verb, given["retries"], given["retry_timeout"]) == ("fail", 2, timedelta(seconds=30))
    assert given["details"].splitlines()[0] == str(OUTCOME)


def test_v3_v4_not_found_on_the_author_s_first_try_is_lost() -> None:
    assert sent(Answering(NotFound("gone"))).answer is Answer.LOST


@pytest.mark.parametrize(("tries", "by_author"), [(2, True), (1, False), (3, False)])
def test_v3_v4_not_found_after_any_other_try_is_assumed_to_be_delivered(tries: int, by_author: bool) -> None:
    verdict = sent(Answering(NotFound("gone")), tries=tries, by_author=by_author)
    assert verdict.answer is Answer.ASSUMED


def test_a_conflict_is_sent_again_at_once() -> None:
    engine = Answering(EngineConflict("OLE"), None)
    assert sent(engine).answer is Answer.TAKEN
    assert len(engine.reports) == 2


def test_not_found_after_a_conflict_is_no_first_try_any_more() -> None:
    assert sent(Answering(EngineConflict("OLE"), NotFound("gone"))).answer is Answer.ASSUMED


def test_conflicts_without_end_count_as_a_refusal() -> None:
    engine = Answering(*[EngineConflict("OLE")] * CONFLICT_TRIES)
    assert sent(engine).answer is Answer.REFUSED
    assert len(engine.reports) == CONFLICT_TRIES


@pytest.mark.parametrize("holder", ["bptl-other", None])
def test_a_lock_that_is_not_ours_ends_the_lease(holder: str | None) -> None:
    verdict = sent(Answering(LockRefused("400"), asked=held_by(holder)))
    assert verdict.answer is Answer.LEASE_ENDED
    assert (holder or "nobody") in verdict.reason


def test_a_suspended_instance_keeps_the_result_for_later() -> None:
    verdict = sent(Answering(LockRefused("400"), asked=held_by("bptl-mine", suspended=True)))
    assert verdict.answer is Answer.LATER


def test_a_suspended_task_of_another_worker_is_not_ours_all_the_same() -> None:
    verdict = sent(Answering(LockRefused("400"), asked=held_by("bptl-other", suspended=True)))
    assert verdict.answer is Answer.LEASE_ENDED


def test_a_refusal_although_the_lock_is_ours_is_about_the_result() -> None:
    assert sent(Answering(LockRefused("400"), asked=held_by("bptl-mine"))).answer is Answer.UNACCEPTABLE


@pytest.mark.parametrize("silence", [NotFound("gone"), EngineUnavailable("cut", sent=True)])
def test_a_refusal_says_nothing_while_the_question_has_no_answer(silence: EngineError) -> None:
    assert sent(Answering(LockRefused("400"), asked=silence)).answer is Answer.LATER


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (InvalidRequest("no such type"), Answer.UNACCEPTABLE),
        (EngineRefused("a script behind it fails"), Answer.REFUSED),
        (EngineUnavailable("cut", sent=True), Answer.LATER),
        (EngineUnavailable("refused", sent=False), Answer.LATER),
        (WrongAddress("a login page", sent=True), Answer.LATER),
        (NotAuthenticated("401"), Answer.LATER),
        (NotAuthorized("403"), Answer.LATER),
    ],
)
@pytest.mark.parametrize("outcome", RESULTS)
def test_every_other_answer_has_its_meaning_for_every_outcome(
    outcome: Outcome, error: EngineError, answer: Answer
) -> None:
    verdict = sent(Answering(error), outcome=outcome)
    assert (verdict.answer, verdict.reason) == (answer, str(error))


def test_the_engine_s_wish_when_to_come_back_is_kept() -> None:
    verdict = sent(Answering(EngineUnavailable("busy", sent=True, retry_after=timedelta(seconds=7))))
    assert verdict.wait == timedelta(seconds=7)


def test_parking_makes_an_incident_that_says_what_happened() -> None:
    engine = Answering(None)
    park(report(), cast(Engine, engine), "value too long")
    ((verb, _, given),) = engine.reports
    assert (verb, given["retries"], given["worker_id"]) == ("fail", 0, "bptl-mine")
    assert given["message"] == "work done, engine refuses: value too long"
    assert given["details"].splitlines()[0] == str(LEASE)

"""FakeWork's ledger: units see the same of ``work.once`` as in a running BPTL."""

from __future__ import annotations

from typing import Any

import pytest

from bptl.work_units.contract import (
    DidNotHappen,
    EffectChanged,
    Happened,
    Inputs,
    LeaseEnded,
    Outputs,
    Refused,
    Sending,
    TryAgain,
    Uncertain,
    Work,
    work_unit,
)
from bptl.work_units.testing import FakeWork, run, task_facts


class Request(Inputs):
    name: str


class Receipt(Outputs):
    receipt: str


CREATED: list[str] = []


@pytest.fixture(autouse=True)
def nothing_created() -> None:
    CREATED.clear()


def create(sending: Sending) -> str:
    sending.check()
    CREATED.append(sending.idempotency_key)
    return f"R-{len(CREATED)}"


@work_unit("test.create_once")
def create_once(work: Work, inputs: Request) -> Receipt:
    """Create a thing once."""
    return Receipt(receipt=work.once("create", create, arguments={"name": inputs.name}))


def raising(error: Exception) -> Any:
    def effect(_: Sending) -> None:
        raise error

    return effect


def test_an_effect_is_done_and_its_result_is_kept() -> None:
    work = FakeWork()
    assert run(create_once, {"name": "a"}, work=work).variables == {"receipt": "R-1"}
    assert work.effects == {"create": "R-1"}


def test_an_effect_is_done_once_however_often_the_unit_runs() -> None:
    work = FakeWork()
    run(create_once, {"name": "a"}, work=work)
    assert run(create_once, {"name": "a"}, work=work).variables == {"receipt": "R-1"}
    assert len(CREATED) == 1


def test_what_an_earlier_attempt_did_is_answered_and_not_repeated() -> None:
    work = FakeWork(effects={"create": "R-7"})
    assert run(create_once, {"name": "a"}, work=work).variables == {"receipt": "R-7"}
    assert CREATED == []


def test_an_effect_without_a_result_is_not_repeated_either() -> None:
    work = FakeWork(effects={"create": None})
    assert work.once("create", create) is None
    assert CREATED == []


def test_other_keys_are_other_effects() -> None:
    work = FakeWork()
    work.once("one", create)
    work.once("two", create)
    assert len(set(CREATED)) == 2


def test_the_idempotency_key_belongs_to_the_task_and_the_effect() -> None:
    for external_id in ("task-1", "task-1", "task-2"):
        FakeWork(task=task_facts(external_id=external_id)).once("create", create)
    assert CREATED[0] == CREATED[1] != CREATED[2]


def test_an_effect_left_open_without_a_way_to_ask_is_uncertain() -> None:
    work = FakeWork(open_effects=["create"])
    with pytest.raises(Uncertain) as uncertain:
        run(create_once, {"name": "a"}, work=work)
    assert (uncertain.value.key, CREATED) == ("create", [])


def test_an_effect_left_open_is_asked_about() -> None:
    happened = FakeWork(open_effects=["create"])
    assert happened.once("create", create, reconcile=lambda: Happened("R-7")) == "R-7"
    assert CREATED == []
    did_not = FakeWork(open_effects=["create"])
    assert did_not.once("create", create, reconcile=lambda: None) == "R-1"
    assert did_not.effects == {"create": "R-1"}


def test_nobody_is_asked_about_an_effect_that_was_never_tried() -> None:
    def ask() -> Happened | None:
        raise AssertionError("asked")

    assert FakeWork().once("create", create, reconcile=ask) == "R-1"


def test_an_idempotent_effect_left_open_is_repeated() -> None:
    assert FakeWork(open_effects=["create"]).once("create", create, idempotent=True) == "R-1"


@pytest.mark.parametrize("error", [DidNotHappen("rolled back"), Refused("400")])
def test_an_effect_that_did_not_happen_may_be_tried_again(error: Exception) -> None:
    work = FakeWork()
    with pytest.raises(type(error)):
        work.once("create", raising(error))
    assert work.effects == {}
    assert work.once("create", create) == "R-1"


def test_cancelled_work_does_nothing() -> None:
    work = FakeWork(effects={"create": "R-7"}, cancelled=True)
    for key in ("create", "other"):
        with pytest.raises(LeaseEnded):
            work.once(key, create)
    assert CREATED == []


def test_the_check_refuses_once_the_work_is_cancelled() -> None:
    work = FakeWork()

    def slow(sending: Sending) -> str:
        work.cancel()
        return create(sending)

    with pytest.raises(LeaseEnded):
        work.once("create", slow)
    assert CREATED == []


def test_work_that_is_cancelled_after_it_has_sent_is_not_taken_for_never_done() -> None:
    work = FakeWork()

    def cancelled_meanwhile(sending: Sending) -> None:
        create(sending)
        work.cancel()
        work.sleep(1)

    with pytest.raises(Uncertain):
        work.once("create", cancelled_meanwhile)
    assert (len(CREATED), work.open_effects) == (1, {"create"})


def test_the_same_key_with_other_arguments_is_an_error_that_says_so() -> None:
    work = FakeWork()
    run(create_once, {"name": "a"}, work=work)
    with pytest.raises(EffectChanged, match="name: then 'a', now 'b'"):
        run(create_once, {"name": "b"}, work=work)
    assert len(CREATED) == 1


@pytest.mark.parametrize("error", [TimeoutError("30 s"), TryAgain("503")])
def test_an_error_that_says_nothing_is_uncertain_when_nobody_can_be_asked(error: Exception) -> None:
    work = FakeWork()
    with pytest.raises(Uncertain) as uncertain:
        work.once("create", raising(error))
    assert uncertain.value.__cause__ is error
    with pytest.raises(Uncertain):
        work.once("create", create)
    assert CREATED == []


def test_an_error_that_says_nothing_comes_out_as_it_is_when_somebody_can_be_asked() -> None:
    work = FakeWork()
    with pytest.raises(TimeoutError):
        work.once("create", raising(TimeoutError("30 s")), reconcile=lambda: Happened("R-7"))
    assert work.once("create", create, reconcile=lambda: Happened("R-7")) == "R-7"
    assert CREATED == []


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_what_is_no_json_fails_in_the_test_already(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        FakeWork().once("create", create, arguments={"value": value})
    with pytest.raises((TypeError, ValueError)):
        FakeWork().once("create", lambda _: value)

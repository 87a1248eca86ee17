"""The ledger of effects on a real PostgreSQL: done once, asked about when in doubt, never doubled in silence."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from bptl.lib.http import NeverSent
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import Effect, Event
from bptl.work_units.contract import (
    DidNotHappen,
    EffectChanged,
    Happened,
    LeaseEnded,
    ProcessNotFound,
    Refused,
    Sending,
    TryAgain,
    Uncertain,
    WorkError,
)
from tests.integration.ledger import (
    KEY,
    Run,
    Service,
    end_lease,
    ends,
    fetched_again,
    first_run,
    next_run,
    row,
    silent,
)
from tests.integration.scene import Scene, events, fresh

HAPPENED, DID_NOT = Effect.End.HAPPENED.value, Effect.End.DID_NOT_HAPPEN.value


def raising(error: BaseException) -> Callable[[Sending], Any]:
    def effect(_: Sending) -> Any:
        raise error

    return effect


# done once


def test_an_effect_is_done_once_and_the_next_lease_is_answered_what_it_gave(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    answer = run.once(service.create, arguments={"bronorganisatie": "123"})
    again = next_run(scene, run)
    assert again.once(service.create, arguments={"bronorganisatie": "123"}) == answer == {"url": "https://zaken/1"}
    assert len(service.created) == 1
    noted = row(run)
    assert (noted.end, noted.known_by, noted.result) == (HAPPENED, "answer", answer)
    assert noted.arguments == {"bronorganisatie": "123"}


def test_an_effect_asked_for_twice_in_one_run_is_done_once(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    assert run.once(service.create) == run.once(service.create)
    assert (len(service.created), ends(run)) == (1, [HAPPENED])


def test_the_row_of_an_effect_is_there_before_it_is_done(scene: Scene) -> None:
    run = first_run(scene)
    seen: list[str] = []
    run.once(lambda _: seen.extend(ends(run)))
    assert seen == [""]


@pytest.mark.parametrize("result", [None, True, 0, 1.5, "tekst", [1, "é"], {"a": {"b": []}}])
def test_any_json_comes_back_as_it_was(scene: Scene, result: Any) -> None:
    run = first_run(scene)
    run.once(lambda _: result)
    calls: list[Sending] = []
    assert next_run(scene, run).once(calls.append) == result
    assert not calls


def test_keys_belong_to_their_task(scene: Scene, service: Service) -> None:
    worker = scene.process(places=8)
    one, two = first_run(scene, worker), first_run(scene, worker)
    one.once(service.create)
    two.once(service.create)
    two.once(service.create, key="create-status")
    assert len(service.created) == len(set(service.created)) == 3


def test_the_idempotency_key_is_the_same_for_every_try_of_one_effect(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(service.create_and_fall_silent, idempotent=True)
    next_run(scene, run).once(service.create, idempotent=True)
    assert len(service.created) == 2
    assert len(set(service.created)) == 1
    assert run.claim.external_id in service.created[0]


# other arguments


def test_a_key_used_with_other_arguments_names_what_differs(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    run.once(service.create, arguments={"bedrag": 100, "naam": "Ouédraogo"})
    with pytest.raises(EffectChanged, match="bedrag: then 100, now 250") as changed:
        next_run(scene, run).once(service.create, arguments={"bedrag": 250, "naam": "Ouédraogo", "spoed": True})
    assert changed.value.differences == {"bedrag": (100, 250), "spoed": (None, True)}
    assert len(service.created) == 1


def test_an_effect_that_may_have_happened_is_not_tried_with_other_arguments(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(service.create_and_fall_silent, arguments={"bedrag": 100}, reconcile=service.find)
    with pytest.raises(EffectChanged):
        next_run(scene, run).once(service.create, arguments={"bedrag": 250}, reconcile=service.find)
    assert (len(service.created), service.asked) == (1, 0)


def test_an_effect_that_did_not_happen_may_be_tried_with_other_arguments(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(Refused):
        run.once(raising(Refused("400: bedrag is negative")), arguments={"bedrag": -1})
    again = next_run(scene, run)
    again.once(service.create, arguments={"bedrag": 1})
    assert row(again).arguments == {"bedrag": 1}


@pytest.mark.parametrize("value", ["a\x00b", ("a", "b"), {1: "a"}], ids=["null character", "tuple", "number as name"])
def test_arguments_that_json_writes_otherwise_are_still_the_same(scene: Scene, service: Service, value: Any) -> None:
    run = first_run(scene)
    answer = run.once(service.create, arguments={"value": value})
    assert next_run(scene, run).once(service.create, arguments={"value": value}) == answer


@pytest.mark.parametrize("value", [object(), float("nan")])
def test_arguments_that_are_no_json_are_refused_before_anything_is_sent(
    scene: Scene, service: Service, value: Any
) -> None:
    run = first_run(scene)
    with pytest.raises((TypeError, ValueError)):
        run.once(service.create, arguments={"value": value})
    assert (service.created, ends(run)) == ([], [])


# the intent needs the live lease


def test_a_lease_that_has_ended_intends_nothing(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    end_lease(scene, run)
    with pytest.raises(LeaseEnded):
        run.once(service.create)
    assert (service.created, ends(run)) == ([], [])


def test_a_lease_that_was_followed_by_another_intends_nothing(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    next_run(scene, run)
    with pytest.raises(LeaseEnded):
        run.once(service.create)
    assert (service.created, ends(run)) == ([], [])


@pytest.mark.parametrize("status", [Status.QUEUED, Status.UNCERTAIN])
def test_only_a_running_task_intends(scene: Scene, service: Service, status: Status) -> None:
    run = first_run(scene)
    type(fresh(run.claim)).objects.filter(id=run.claim.task_id).update(status=status)
    with pytest.raises(LeaseEnded):
        run.once(service.create)
    assert service.created == []


def test_cancelled_work_does_nothing_more(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    run.once(service.create)
    run.cancellation.cancel("the worker stops")
    with pytest.raises(LeaseEnded, match="the worker stops"):
        run.once(service.create)
    with pytest.raises(LeaseEnded):
        run.once(service.create, key="other")
    assert (len(service.created), ends(run, "other")) == (1, [])


# what certainly did not happen

CERTAIN = [
    DidNotHappen("the engine rolled it back"),
    Refused("400: bronorganisatie is no RSIN"),
    ProcessNotFound(key="herinneren"),
    NeverSent("POST", "https://zaken", ConnectionRefusedError("refused")),
]


@pytest.mark.parametrize("error", CERTAIN, ids=lambda error: type(error).__name__)
def test_what_certainly_did_not_happen_is_recorded_so_and_tried_again(
    scene: Scene, service: Service, error: Exception
) -> None:
    run = first_run(scene)
    with pytest.raises(type(error)) as raised:
        run.once(raising(error))
    assert raised.value is error
    noted = row(run)
    assert (noted.end, noted.known_by, noted.error) == (DID_NOT, "answer", str(error))
    again = next_run(scene, run)
    assert again.once(service.create) == {"url": "https://zaken/1"}
    assert ends(run) == [DID_NOT, HAPPENED]


@pytest.mark.parametrize("error", CERTAIN, ids=lambda error: type(error).__name__)
def test_what_certainly_did_not_happen_may_be_tried_again_in_the_same_run(
    scene: Scene, service: Service, error: Exception
) -> None:
    run = first_run(scene)
    with pytest.raises(type(error)):
        run.once(raising(error), arguments={"try": 1})
    run.once(service.create, arguments={"try": 2})
    noted = row(run)
    assert (noted.end, noted.arguments, noted.result) == (HAPPENED, {"try": 2}, {"url": "https://zaken/1"})
    assert noted.error == "", "the error of an earlier try is not that of this one"
    assert len(service.created) == 1


def test_a_refusal_whose_text_no_database_takes_is_a_refusal_all_the_same(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(Refused):
        run.once(raising(Refused("400: \x00 and \ud800")))
    assert ends(run) == [DID_NOT]


# cancelled in the middle


def test_work_that_is_cancelled_after_it_has_sent_is_not_taken_for_never_done(scene: Scene, service: Service) -> None:
    run = first_run(scene)

    def cancelled_meanwhile(sending: Sending) -> Any:
        service.create(sending)
        run.cancellation.cancel("the lock was lost")
        run.cancellation.check()

    with pytest.raises(Uncertain, match="the lock was lost"):
        run.once(cancelled_meanwhile)
    assert ends(run) == [""]
    with pytest.raises(Uncertain):
        next_run(scene, run).once(service.create)
    assert len(service.created) == 1


def test_a_service_is_asked_what_it_did_for_work_that_was_cancelled(scene: Scene, service: Service) -> None:
    run = first_run(scene)

    def cancelled_meanwhile(sending: Sending) -> Any:
        service.create(sending)
        raise LeaseEnded("the lock was lost")

    with pytest.raises(LeaseEnded):
        run.once(cancelled_meanwhile, reconcile=service.find)
    assert next_run(scene, run).once(service.create, reconcile=service.find) == {"url": "https://zaken/1"}
    assert len(service.created) == 1


def test_a_check_that_refuses_after_another_let_something_be_sent_leaves_the_effect_open(
    scene: Scene, service: Service
) -> None:
    run = first_run(scene)

    def two_requests(sending: Sending) -> Any:
        service.create(sending)
        run.cancellation.cancel("the lock was lost")
        sending.check()

    with pytest.raises(Uncertain):
        run.once(two_requests)
    assert (len(service.created), ends(run)) == (1, [""])


def test_a_second_request_that_never_left_says_nothing_about_the_first(scene: Scene, service: Service) -> None:
    run = first_run(scene)

    def two_requests(sending: Sending) -> Any:
        service.create(sending)
        sending.check()
        raise NeverSent("PATCH", "https://zaken", ConnectionRefusedError("refused"))

    with pytest.raises(Uncertain):
        run.once(two_requests)
    assert (len(service.created), ends(run)) == (1, [""])


# what nobody knows


@pytest.mark.parametrize("error", [TimeoutError("30 s"), TryAgain("503"), KeyError("url"), SystemExit(1)])
def test_an_error_that_says_nothing_leaves_the_effect_open(
    scene: Scene, service: Service, error: BaseException
) -> None:
    run = first_run(scene)
    with pytest.raises(type(error)):
        run.once(raising(error), reconcile=service.find)
    noted = row(run)
    assert (noted.end, noted.ended_at) == ("", None)
    assert type(error).__name__ in noted.error


def test_an_open_effect_without_reconcile_is_uncertain_at_once_and_for_every_later_lease(
    scene: Scene, service: Service
) -> None:
    run = first_run(scene)
    with pytest.raises(Uncertain, match="TimeoutError: no answer in 30 s") as uncertain:
        run.once(service.create_and_fall_silent)
    assert uncertain.value.key == KEY
    assert isinstance(uncertain.value.__cause__, TimeoutError)
    again = next_run(scene, run)
    with pytest.raises(Uncertain, match="cannot be asked"):
        again.once(service.create)
    assert (len(service.created), ends(run)) == (1, [""])


def test_an_error_whose_text_no_database_takes_is_uncertain_all_the_same(committed_scene: Scene) -> None:
    run = first_run(committed_scene)
    with pytest.raises(Uncertain):
        run.once(raising(RuntimeError("\x00 and \ud800")))


def test_an_exit_in_the_middle_of_an_effect_leaves_it_to_the_next_lease(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(SystemExit):
        run.once(raising(SystemExit(1)))
    with pytest.raises(Uncertain):
        next_run(scene, run).once(service.create)


# asked about


def test_nobody_waits_for_a_call_that_has_settled_long_ago(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(silent, reconcile=service.find)
    hour = timedelta(hours=1)
    Effect.objects.update(gives_up_at=F("gives_up_at") - hour, settles_at=F("settles_at") - hour)
    again = next_run(scene, run)
    again.once(service.create, reconcile=service.find)
    assert again.slept == []


def test_what_did_not_happen_says_the_service_is_done_now(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(silent, reconcile=service.find)
    again = next_run(scene, run)
    assert again.once(service.create, reconcile=service.find) == {"url": "https://zaken/1"}
    assert (len(service.created), service.asked, ends(run)) == (1, 1, [DID_NOT, HAPPENED])
    assert (row(run).known_by, row(again).known_by) == ("reconciled", "answer")


def test_happened_without_a_result_is_an_answer_too(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(silent, reconcile=Happened)
    assert next_run(scene, run).once(service.create, reconcile=Happened) is None
    assert (service.created, ends(run)) == ([], [HAPPENED])


def test_a_service_that_does_not_answer_the_question_leaves_it_open(scene: Scene, service: Service) -> None:
    def unreachable() -> Happened | None:
        raise TryAgain("503")

    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(silent, reconcile=unreachable)
    with pytest.raises(TryAgain):
        next_run(scene, run).once(service.create, reconcile=unreachable)
    assert (service.created, ends(run)) == ([], [""])


def test_an_effect_that_is_open_in_the_same_run_is_asked_about_before_it_is_repeated(
    scene: Scene, service: Service
) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(service.create_and_fall_silent, reconcile=service.find)
    run.once(service.create, reconcile=service.find)
    assert (len(service.created), service.asked) == (1, 1)


def test_several_open_intents_are_answered_together(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(silent, idempotent=True)
    again = next_run(scene, run)
    with pytest.raises(TimeoutError):
        again.once(silent, idempotent=True)
    next_run(scene, again).once(service.create, reconcile=lambda: Happened({"url": "found"}))
    assert ends(run) == [HAPPENED, HAPPENED]
    assert "effect.doubled" not in events(run.claim), "one answer about one effect is no doubling"


def test_the_wait_really_takes_time_and_ends_when_the_work_is_cancelled(
    committed_scene: Scene, service: Service
) -> None:
    run = first_run(committed_scene)
    short = timedelta(seconds=0.2)
    with pytest.raises(TimeoutError):
        run.once(silent, reconcile=service.find, gives_up_after=short, settles_after=short)
    again = next_run(committed_scene, run)
    again.once(service.create, reconcile=service.find)
    assert all(0 < seconds <= 0.4 for seconds in again.slept)
    assert len(service.created) == 1


# late answers


def test_a_late_result_is_written_to_its_own_intent_after_its_lease_has_ended(scene: Scene) -> None:
    run = first_run(scene)

    def slow(_: Sending) -> str:
        end_lease(scene, run)
        return "late"

    assert run.once(slow) == "late"
    assert (row(run).end, row(run).result) == (HAPPENED, "late")
    calls: list[Sending] = []
    assert fetched_again(scene, run).once(calls.append) == "late"
    assert not calls


def test_a_late_result_that_contradicts_what_the_service_said_is_kept(scene: Scene, service: Service) -> None:
    """The service was asked too early; nobody has acted since: the next lease must find that it happened."""
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        again = next_run(scene, run)
        with pytest.raises(Refused):
            again.once(raising(Refused("409")), reconcile=lambda: None)
        return service.create(sending)

    run.once(slow, reconcile=lambda: None)
    assert ends(run) == [HAPPENED, DID_NOT]


def contradictions(run: Run) -> list[dict[str, Any]]:
    found = Event.objects.filter(task_id=run.claim.task_id, name="effect.contradicted")
    return [event.detail for event in found]


def test_a_refusal_that_comes_after_the_service_said_that_it_happened_is_on_record(scene: Scene) -> None:
    run = first_run(scene)

    def slow(_: Sending) -> Any:
        next_run(scene, run).once(silent, reconcile=lambda: Happened("found"))
        raise Refused("409: it exists already")

    with pytest.raises(Refused):
        run.once(slow, reconcile=lambda: None)
    assert (row(run).end, row(run).result) == (HAPPENED, "found")
    assert contradictions(run) == [
        {
            "effect": KEY,
            "stands": HAPPENED,
            "known_by": "reconciled",
            "answered": DID_NOT,
            "error": "409: it exists already",
        }
    ]


@pytest.mark.parametrize(("answer", "recorded"), [("found", 0), ("another", 1)])
def test_a_late_result_is_on_record_when_it_is_another_than_the_one_that_was_told(
    scene: Scene, answer: str, recorded: int
) -> None:
    run = first_run(scene)

    def slow(_: Sending) -> str:
        next_run(scene, run).once(silent, reconcile=lambda: Happened("found"))
        return answer

    run.once(slow, reconcile=lambda: None)
    assert len(contradictions(run)) == recorded
    assert row(run).result == "found", "what the next lease may have used already"


def test_a_repeated_effect_that_the_service_recognises_is_no_doubling(scene: Scene, service: Service) -> None:
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        next_run(scene, run).once(service.create, idempotent=True)
        return service.create(sending)

    run.once(slow, idempotent=True)
    assert len(set(service.created)) == 1
    assert "effect.doubled" not in events(run.claim)


def test_the_check_refuses_when_the_lease_has_ended(scene: Scene, service: Service) -> None:
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        run.cancellation.cancel("the lock was lost")
        return service.create(sending)

    with pytest.raises(LeaseEnded):
        run.once(slow)
    assert (service.created, ends(run)) == ([], [DID_NOT])


# what errors say


@pytest.mark.parametrize("error", [Refused("401 for Bearer abcDEF123456"), TimeoutError("Bearer abcDEF123456 in 30 s")])
def test_a_credential_in_an_error_is_not_kept(scene: Scene, service: Service, error: Exception) -> None:
    run = first_run(scene)
    with pytest.raises((Refused, Uncertain)) as raised:
        run.once(raising(error))
    assert "Bearer ***" in row(run).error
    assert "abcDEF123456" not in row(run).error
    if isinstance(raised.value, Uncertain):
        assert "abcDEF123456" not in str(raised.value)


# results that no database takes


def test_a_null_character_in_a_result_becomes_one_that_the_database_takes(scene: Scene) -> None:
    run = first_run(scene)
    now = run.once(lambda _: {"naam": "a\x00b"})
    later = next_run(scene, run).once(silent)
    assert later == {"naam": "a\ufffdb"}
    assert now == later, "a unit is answered the same by every attempt"


@pytest.mark.parametrize(
    "result",
    [object(), float("nan"), {"at": timedelta(1)}, "\ud800", {"id": uuid.UUID(int=1)}],
    ids=["object", "nan", "timedelta", "half a character", "uuid"],
)
def test_a_result_that_cannot_be_stored_does_not_lose_that_it_happened(committed_scene: Scene, result: Any) -> None:
    run = first_run(committed_scene)
    with suppress(TypeError, ValueError, WorkError):
        run.once(lambda _: result)
    assert ends(run) == [HAPPENED]


def test_a_database_that_is_read_only_for_a_while_costs_no_attempt_and_forgets_no_effect(
    committed_scene: Scene, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(value: str) -> None:
        connection.cursor().execute(f"SET default_transaction_read_only = {value}")

    def create_and_lose_the_right_to_write(sending: Sending) -> Any:
        answer = service.create(sending)
        read_only("on")
        monkeypatch.setattr(time, "sleep", lambda _: read_only("off"))
        return answer

    run = first_run(committed_scene)
    run.slept = WaitUntil(lambda: read_only("off"))
    read_only("on")
    run.once(create_and_lose_the_right_to_write)
    assert run.slept == [0.25], "the intent waited"
    assert ends(run) == [HAPPENED]


class WaitUntil(list[float]):
    """Notes waits; the first one is when ``happens`` happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._happens = happens
        super().__init__()

    def append(self, seconds: float) -> None:
        self._happens()
        super().append(seconds)


def test_a_long_key_is_refused_before_anything_is_sent(committed_scene: Scene, service: Service) -> None:
    run = first_run(committed_scene)
    with pytest.raises(Exception, match="too long"):
        run.once(service.create, key="x" * 400)
    assert service.created == []


def test_a_key_has_room_for_any_name_that_an_engine_allows(committed_scene: Scene, service: Service) -> None:
    run = first_run(committed_scene)
    run.once(service.create, key="correlate " + "x" * 255)
    assert len(service.created) == 1


# the table


def refused(name: str, effect: Effect, **change: Any) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Effect.objects.filter(id=effect.id).update(**change)


def test_the_table_refuses_what_cannot_be(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    run.once(service.create)
    run.left_open(key="notify")
    done, unknown = row(run), row(run, "notify")
    refused("effect_one_per_lease", unknown, key=KEY)
    refused("effect_ended_says_how", unknown, ended_at=Now())
    refused("effect_ended_says_how", unknown, end=HAPPENED)
    refused("effect_ended_says_how", done, end="", result=None)
    refused("effect_result_only_when_happened", done, end=DID_NOT)
    refused("effect_settles_last", done, settles_at=F("gives_up_at") - timedelta(seconds=1))

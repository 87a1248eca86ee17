"""Callbacks as rows: written with a completed outcome and with nothing else, due when the engine has taken that."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from bptl.connections.callbacks import Target
from bptl.tasks import actions, callbacks
from bptl.tasks.callbacks import LeftAsItIs, wanted
from bptl.tasks.delivery import callbacks as outbox
from bptl.tasks.delivery.callbacks import Due, Tried
from bptl.tasks.endings import Ending
from bptl.tasks.execution.claim import Claim
from bptl.tasks.execution.outcomes import Ended, store
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Callback, Task
from bptl.tasks.retries import Retry
from tests.doubles.outlet import Outlet
from tests.integration.scene import Scene, completed, events, fresh

URL = "https://hooks.example.nl/bptl/klaar?token=geheim"
FAILED = Ending.failed("it broke", "Traceback", Retry(left=0, wait=timedelta()))
THROWN = Ending.thrown("INCOMPLETE", "no attachments", {}, catcher="yes")


def text(value: str) -> dict[str, Any]:
    return {"type": "String", "value": value, "valueInfo": {}}


def perform(scene: Scene, worker: uuid.UUID, ending: Ending | None = None, url: str = URL) -> Claim:
    """A task that asks for a callback, with its outcome."""
    claimed = scene.claimed(worker, variables={"callbackUrl": text(url)})
    ended = Ended(claimed.task_id, claimed.lease_id, ending or completed(), wanted(claimed.variables))
    assert store(worker, [ended]) == {claimed.lease_id}
    return claimed


def deliver(claimed: Claim) -> None:
    """The engine has taken its outcome."""
    Task.objects.filter(id=claimed.task_id).update(
        status=Status.DELIVERED, lease_id=None, reporter=None, next_report_at=None
    )


def take() -> Due:
    found = outbox.take(leave=[])
    assert found is not None
    return found


def later(**of: float) -> None:
    """So much time goes by."""
    past = timedelta(**of)
    Callback.objects.exclude(next_try_at=None).update(next_try_at=F("next_try_at") - past)
    Callback.objects.update(first_try_at=F("first_try_at") - past, created_at=F("created_at") - past)


def test_it_is_stored_with_the_outcome_and_due_once_the_engine_has_taken_that(scene: Scene, worker: uuid.UUID) -> None:
    claimed = perform(scene, worker)
    callback = Callback.objects.get()
    assert (callback.task_id, callback.outcome_id, callback.url) == (claimed.task_id, claimed.lease_id, URL)
    assert (callback.state, callback.place, callback.tries) == ("waiting", "https://hooks.example.nl", 0)
    assert not outbox.due()
    assert outbox.take(leave=[]) is None
    deliver(claimed)
    assert outbox.due()
    due = take()
    assert (due.task_id, due.url, due.tries) == (claimed.task_id, URL, 1)
    assert due.key == f"{claimed.task_id}/{claimed.lease_id}"


@pytest.mark.parametrize("ending", [FAILED, THROWN], ids=lambda ending: ending.outcome)
def test_what_did_not_complete_calls_nobody(scene: Scene, worker: uuid.UUID, ending: Ending) -> None:
    perform(scene, worker, ending)
    assert not Callback.objects.exists()


def test_an_outcome_that_is_stored_again_calls_once(scene: Scene, worker: uuid.UUID) -> None:
    claimed = perform(scene, worker)
    again = Ended(claimed.task_id, claimed.lease_id, completed(), wanted(claimed.variables))
    assert store(worker, [again]) == {claimed.lease_id}
    assert Callback.objects.count() == 1


def test_the_callback_of_a_lease_that_has_ended_is_not_stored(scene: Scene, worker: uuid.UUID) -> None:
    claimed = scene.claimed(worker, variables={"callbackUrl": text(URL)})
    assert store(worker, [Ended(claimed.task_id, uuid.uuid4(), completed(), wanted(claimed.variables))]) == set()
    assert not Callback.objects.exists()


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ({"type": "Integer", "value": 7}, "type Integer"),
        ({"type": "Json", "value": '{"a": 1}'}, "type Json"),
        ({"type": "File", "value": None}, "type File"),
        (text("https://x/" + "a" * 3000), "longer than 2000"),
    ],
)
def test_what_is_no_address_is_refused_and_the_work_is_done_all_the_same(
    scene: Scene, worker: uuid.UUID, variable: dict[str, Any], says: str
) -> None:
    claimed = scene.claimed(worker, variables={"callbackUrl": {"valueInfo": {}, **variable}})
    store(worker, [Ended(claimed.task_id, claimed.lease_id, completed(), wanted(claimed.variables))])
    assert fresh(claimed).outcome == Outcome.COMPLETED
    callback = Callback.objects.get()
    assert callback.state == "refused"
    assert says in callback.error
    assert callback.ended_at is not None


def test_nothing_that_stands_in_the_variable_keeps_an_outcome_from_being_stored(
    scene: Scene, worker: uuid.UUID
) -> None:
    for value in ("https://x/\x00", "https://x/\ud800", "http://[::1", "é" * 2000, "https://x/%s"):
        asked = wanted({"callbackUrl": text(value)})
        claimed = scene.claimed(worker)
        assert store(worker, [Ended(claimed.task_id, claimed.lease_id, completed(), asked)]) == {claimed.lease_id}
    assert Callback.objects.count() == 5


@pytest.mark.parametrize("variable", [text(""), text("  "), {"type": "Null", "value": None}, {"type": "String"}])
def test_an_empty_address_asks_for_nothing(variable: dict[str, Any]) -> None:
    assert wanted({"callbackUrl": variable}) is None
    assert wanted({}) is None


def test_who_completes_by_hand_lets_it_be_called_too(scene: Scene) -> None:
    task = scene.task(Status.RETURNED, variables={"callbackUrl": text(URL)})
    actions.complete_by_hand(task.id, {}, actor="jansen", reason="done by phone")
    callback = Callback.objects.get()
    assert (callback.state, callback.url, callback.outcome_id) == ("waiting", URL, fresh(task).outcome_id)
    assert outbox.take(leave=[]) is None, "the engine has not heard of it yet"


def test_a_call_of_the_rest_api_that_is_completed_by_hand_calls_nobody(scene: Scene) -> None:
    task = scene.task(Status.RETURNED, variables={"callbackUrl": text(URL)})
    Task.objects.update(engine=None)
    actions.complete_by_hand(task.id, {}, actor="jansen", reason="done by phone")
    assert not Callback.objects.exists()


@pytest.fixture
def due(scene: Scene, worker: uuid.UUID) -> Claim:
    claimed = perform(scene, worker)
    deliver(claimed)
    return claimed


def test_a_claimed_one_is_nobody_else_s_until_its_try_must_have_ended(due: Claim) -> None:
    take()
    assert outbox.take(leave=[]) is None
    later(seconds=61)
    assert take().tries == 2


def test_none_is_taken_to_a_place_that_is_left_alone(due: Claim) -> None:
    assert outbox.take(leave=["https://hooks.example.nl"]) is None
    assert outbox.take(leave=["https://other.example.nl"]) is not None


def test_what_went_well_is_delivered_and_stays_so(due: Claim) -> None:
    first = take()
    outbox.settle(Tried(first, 200))
    outbox.settle(Tried(first, error="a late word"))
    callback = Callback.objects.get()
    assert (callback.state, callback.status, callback.error, callback.next_try_at) == ("delivered", 200, "", None)


def test_a_sender_that_comes_late_notes_nothing_about_the_try_of_another(due: Claim) -> None:
    slow = take()
    later(minutes=5)
    take()
    outbox.settle(Tried(slow, error="refused", refused=True))
    assert Callback.objects.get().state == "waiting"


def test_waits_grow_and_after_a_day_it_is_given_up(due: Claim) -> None:
    waits = []
    for _ in range(6):
        claimed = take()
        outbox.settle(Tried(claimed, 500, "callback answered 500"))
        (wait,) = Callback.objects.filter(state="waiting").values_list(F("next_try_at") - Now(), flat=True)
        waits.append(round(wait.total_seconds() / 60))
        later(minutes=61)
    assert waits == [1, 2, 10, 30, 60, 60], "none is shorter than its try may take"
    later(hours=24)
    outbox.settle(Tried(take(), 500, "callback answered 500"))
    callback = Callback.objects.get()
    assert (callback.state, callback.error, callback.next_try_at) == ("given_up", "callback answered 500", None)
    assert callback.ended_at is not None


def test_a_day_counts_from_the_first_try_and_not_from_the_outcome(scene: Scene, worker: uuid.UUID) -> None:
    claimed = perform(scene, worker)
    later(hours=48)
    deliver(claimed)
    outbox.settle(Tried(take(), 503, "callback answered 503"))
    assert Callback.objects.get().state == "waiting"


def test_what_the_engine_does_not_take_is_put_off_so_that_nobody_passes_by_it(scene: Scene, worker: uuid.UUID) -> None:
    claimed = perform(scene, worker)
    assert not outbox.due()
    assert Callback.objects.filter(next_try_at__lte=Now()).exists(), "a fresh one is not: the engine takes it soon"
    later(minutes=2)
    assert not outbox.due()
    assert not Callback.objects.filter(next_try_at__lte=Now()).exists()
    deliver(claimed)
    later(minutes=1)
    assert outbox.due()


@pytest.mark.parametrize("state", ["refused", "given_up"])
def test_a_person_has_it_tried_again_for_another_day(due: Claim, state: str) -> None:
    Callback.objects.update(state=state, error="why", next_try_at=None, ended_at=Now(), tries=9, status=500)
    callback = Callback.objects.get()
    callbacks.again(callback.pk, actor="jansen", reason="the list was extended")
    callback.refresh_from_db()
    assert (callback.state, callback.tries, callback.error, callback.first_try_at) == ("waiting", 0, "", None)
    assert events(due)[-1] == "callback.tried_again"
    assert outbox.due()


def test_only_what_ended_badly_and_has_an_address_is_tried_again(due: Claim) -> None:
    callback = Callback.objects.get()
    with pytest.raises(LeftAsItIs, match="refused, given up or dismissed"):
        callbacks.again(callback.pk, actor="jansen", reason="why not")
    Callback.objects.update(state="refused", error="no text", url="", next_try_at=None, ended_at=Now())
    with pytest.raises(LeftAsItIs, match="no address"):
        callbacks.again(callback.pk, actor="jansen", reason="why not")


def test_what_a_person_dismissed_needs_nobody_and_can_be_tried_again(due: Claim) -> None:
    callback = Callback.objects.get()
    with pytest.raises(LeftAsItIs, match="refused or given up"):
        callbacks.dismiss(callback.pk, actor="jansen", reason="why not")
    outbox.settle(Tried(take(), error="it belongs to nobody", refused=True))
    assert callbacks.attention() == "refused"
    callbacks.dismiss(callback.pk, actor="jansen", reason="that register is gone")
    callback.refresh_from_db()
    assert (callback.state, callback.error, callback.next_try_at) == ("dismissed", "it belongs to nobody", None)
    assert callback.ended_at is not None
    assert callbacks.attention() == ""
    assert not outbox.due()
    assert events(due)[-1] == "callback.dismissed"
    with pytest.raises(LeftAsItIs, match="refused or given up"):
        callbacks.dismiss(callback.pk, actor="jansen", reason="twice")
    callbacks.again(callback.pk, actor="jansen", reason="it is back")
    assert take().url == URL


Attempt = Callable[..., Tried]


@pytest.mark.parametrize(
    ("status", "refused", "says"),
    [(500, False, "500"), (404, False, "404"), (302, True, "redirects are not followed"), (429, False, "429")],
)
def test_a_redirect_is_refused_and_everything_else_that_is_no_success_is_tried_again(
    due: Claim, status: int, refused: bool, says: str
) -> None:
    with Outlet() as outlet:
        outlet.statuses, outlet.location = [status], f"{outlet.root}elsewhere?token=ander-geheim"
        tried = outbox.attempt(take(), Target(f"{outlet.root}hook?token=geheim", lambda _: True))
    assert (tried.status, tried.refused, tried.answered) == (status, refused, True)
    assert says in tried.error
    assert "geheim" not in tried.error
    assert len(outlet.calls) == 1


def test_a_network_that_may_not_be_reached_is_refused(due: Claim) -> None:
    with Outlet() as outlet:
        tried = outbox.attempt(take(), Target(f"{outlet.root}hook", lambda _: False))
    assert (tried.refused, outlet.calls) == (True, [])
    assert "BPTL_WEBHOOK_NETWORKS" in tried.error


def test_who_is_not_there_gave_no_answer(due: Claim) -> None:
    with Outlet() as outlet:
        gone = outlet.root
    tried = outbox.attempt(take(), Target(gone, lambda _: True))
    assert (tried.status, tried.refused, tried.answered) == (None, False, False)

"""A task that waits for somebody outside: its address, its answer, its lock, its deadline."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import F
from django.db.models.functions import Now

from bptl.tasks import answering, completions, leases, sql
from bptl.tasks.answering import Answer, Misfit
from bptl.tasks.completions import NotTaken, Refusal, State, Terms, UnknownToken
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import send
from bptl.tasks.endings import Ending
from bptl.tasks.execution.claim import Claim, claim
from bptl.tasks.execution.waiting import Awaiting, wait_for
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, TransitionRefused
from bptl.tasks.models import Completion, Event
from bptl.tasks.upkeep import waiting as upkeep
from bptl.tasks.upkeep.sweep import sweep
from bptl.work_units import registry
from bptl.work_units.contract import LeaseEnded
from tests.integration.scene import Scene, age_lease, due_now, fresh, lease_of
from tests.integration.workers import units

TERMS = Terms((timedelta(minutes=1),) * 3, None, "test.sign")
SIGNED = Answer(Outcome.COMPLETED, {"signedBy": "Saskia"})
WIRE = {
    "signedBy": {"type": "String", "value": "Saskia", "valueInfo": {}},
    "pages": {"type": "Integer", "value": 1, "valueInfo": {}},
}


@pytest.fixture(autouse=True)
def _sign() -> Iterator[None]:
    registry.load.cache_clear()
    registry.load().add(units.sign)
    yield
    registry.load.cache_clear()


def mapped(scene: Scene) -> Scene:
    scene.map("sign", "test.sign", retry_plan="R3/PT1M")
    return scene


@pytest.fixture
def signing(scene: Scene) -> Scene:
    return mapped(scene)


def run_of(scene: Scene) -> Claim:
    return scene.claimed(scene.process(), topic="sign")


def asked(claimed: Claim, *, key: str = "signed", wait: timedelta = timedelta(hours=1)) -> Completion:
    return completions.ask(claimed.task_id, claimed.lease_id, key=key, unit="test.sign", wait=wait)


def pending(claimed: Claim, completion: Completion, process_id: uuid.UUID | None = None) -> Any:
    """The unit answers it."""
    return wait_for(process_id or uuid.uuid4(), claimed.task_id, claimed.lease_id, Awaiting(completion.pk, TERMS))


def waiting(scene: Scene) -> tuple[Claim, Completion]:
    """A task that waits."""
    claimed = run_of(scene)
    completion = asked(claimed)
    assert pending(claimed, completion) is True
    return claimed, completion


def say(completion: Completion, answer: Answer = SIGNED) -> bool:
    digest = hashlib.sha256(repr(answer).encode()).hexdigest()
    return answering.from_outside(completion.token, answer, digest=digest)


def refused(completion: Completion, token: str, answer: Answer = SIGNED) -> Refusal:
    with pytest.raises(NotTaken) as error:
        answering.from_outside(token, answer, digest=repr(answer))
    return error.value.refusal


def pass_deadline(completion: Completion) -> None:
    Completion.objects.filter(pk=completion.pk).update(deadline=Now() - timedelta(seconds=1))


def now(completion: Completion) -> Completion:
    return Completion.objects.get(pk=completion.pk)


def deliver(scene: Scene) -> int:
    """A worker reports what is due; how much it was."""
    process_id = scene.process()
    verdicts = [send(report, scene.engine) for report in outbox.take_due(process_id)]
    outbox.delivered(verdicts)
    return len(verdicts)


# addresses


def test_a_token_is_found_by_its_digest_and_stands_in_no_row(signing: Scene) -> None:
    completion = asked(run_of(signing))
    token = completion.token
    assert completions.find(token).pk == completion.pk
    assert len(token) >= len(completions.PREFIX) + 43
    assert token not in str(Completion.objects.values())
    with pytest.raises(UnknownToken):
        completions.find(token[:-1])


def test_a_later_attempt_gets_the_same_address_and_its_first_deadline(signing: Scene) -> None:
    claimed = run_of(signing)
    first = asked(claimed)
    leases.end([claimed.lease_id], how=LeaseEnd.EXPIRED, reason="killed")
    signing.there.advance(400)
    worker = signing.process()
    signing.fetch(worker)
    (again,) = claim(worker, places=4)
    second = asked(again, wait=timedelta(days=3))
    assert (second.pk, second.token, second.deadline) == (first.pk, first.token, first.deadline)


def test_keys_have_addresses_of_their_own(signing: Scene) -> None:
    claimed = run_of(signing)
    assert asked(claimed).token != asked(claimed, key="paid").token


def test_whose_lease_has_ended_gets_no_address(signing: Scene) -> None:
    claimed = run_of(signing)
    leases.end([claimed.lease_id], how=LeaseEnd.EXPIRED, reason="killed")
    with pytest.raises(LeaseEnded):
        asked(claimed)
    assert not Completion.objects.exists()


def test_after_its_deadline_a_fresh_address_is_made_and_the_old_one_is_refused(signing: Scene) -> None:
    claimed = run_of(signing)
    first = asked(claimed)
    token = first.token
    pass_deadline(first)
    second = asked(claimed)
    assert (second.number, now(first).state, now(first).encrypted_token) == (2, State.EXPIRED, "")
    assert refused(first, token) is Refusal.EXPIRED


# answers


def test_an_answer_performs_the_task_that_waits_and_is_delivered_under_its_lease(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    assert (fresh(claimed).status, fresh(claimed).outcome) == (Status.WAITING, "")
    assert say(completion)
    task = fresh(claimed)
    assert (task.status, task.outcome, task.result) == (Status.PERFORMED, Outcome.COMPLETED, {"variables": WIRE})
    assert (task.lease_id, task.reporter_id, task.outcome_id) == (claimed.lease_id, None, claimed.lease_id)
    assert (now(completion).state, now(completion).encrypted_token) == (State.USED, "")
    assert deliver(signing) == 1
    assert fresh(claimed).status == Status.DELIVERED
    assert signing.there.completed == {claimed.external_id: {"signedBy": "Saskia", "pages": 1}}
    assert lease_of(claimed).outcome == Outcome.COMPLETED


def test_an_answer_before_the_unit_says_pending_is_used_when_it_does(signing: Scene) -> None:
    claimed = run_of(signing)
    completion = asked(claimed)
    assert say(completion)
    assert (fresh(claimed).status, now(completion).state) == (Status.RUNNING, State.ANSWERED)
    worker = signing.process()
    ending = pending(claimed, now(completion), worker)
    task = fresh(claimed)
    assert ending.result == task.result == {"variables": WIRE}
    assert (task.status, task.reporter_id, task.report_tries) == (Status.PERFORMED, worker, 1)
    assert now(completion).state == State.USED


def test_an_early_answer_survives_the_attempt_that_asked_for_it(signing: Scene) -> None:
    claimed = run_of(signing)
    completion = asked(claimed)
    say(completion)
    leases.end([claimed.lease_id], how=LeaseEnd.EXPIRED, reason="killed")
    signing.there.advance(400)
    worker = signing.process()
    signing.fetch(worker)
    (again,) = claim(worker, places=4)
    assert asked(again).pk == completion.pk
    assert pending(again, now(completion), worker).outcome is Outcome.COMPLETED


def test_the_same_answer_again_is_no_second_one_and_another_is_refused(signing: Scene) -> None:
    _, completion = waiting(signing)
    token = completion.token
    assert answering.from_outside(token, SIGNED, digest="one")
    assert not answering.from_outside(token, SIGNED, digest="one")
    with pytest.raises(NotTaken) as error:
        answering.from_outside(token, SIGNED, digest="two")
    assert error.value.refusal is Refusal.USED


def test_an_answer_that_does_not_fit_names_every_bad_variable_and_changes_nothing(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    with pytest.raises(Misfit) as misfit:
        say(completion, Answer(Outcome.COMPLETED, {"pages": "many", "stamp": 1}))
    assert sorted(fault.path for fault in misfit.value.faults) == [
        "variables.pages",
        "variables.signedBy",
        "variables.stamp",
    ]
    assert (fresh(claimed).status, now(completion).state) == (Status.WAITING, State.AWAITED)
    assert say(completion)


@pytest.mark.parametrize(("said", "left", "wait"), [(None, 3, True), (1, 1, True), (0, 0, False)])
def test_a_failure_from_outside_is_retried_by_the_plan_unless_it_says_how_often(
    signing: Scene, said: int | None, left: int, wait: bool
) -> None:
    claimed, completion = waiting(signing)
    say(completion, Answer(Outcome.FAILED, {}, message="the printer burns", retries=said))
    result = fresh(claimed).result or {}
    assert (result["message"], result["retries"], result["wait_ms"] > 0) == ("the printer burns", left, wait)
    assert fresh(claimed).error_group


def test_an_attempt_after_a_failure_from_outside_gets_a_fresh_address(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    say(completion, Answer(Outcome.FAILED, {}, message="the printer burns"))
    deliver(signing)
    signing.there.advance(3600)
    worker = signing.process()
    signing.fetch(worker)
    (again,) = claim(worker, places=4)
    assert (again.task_id, asked(again).number) == (claimed.task_id, 2)


def test_a_bpmn_error_from_outside_must_be_one_that_the_unit_declares(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    with pytest.raises(Misfit, match=r"is no error code of test\.sign; there are: REFUSED"):
        say(completion, Answer(Outcome.THROWN, {}, code="NOPE"))
    say(completion, Answer(Outcome.THROWN, {"why": "ill"}, code="REFUSED", message="she is ill"))
    task = fresh(claimed)
    assert (task.outcome, (task.result or {})["code"]) == (Outcome.THROWN, "REFUSED")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(Status.LOST, Outcome.NONE), (Status.DELIVERED, Outcome.COMPLETED), (Status.PERFORMED, Outcome.THROWN)],
)
def test_a_task_that_is_over_takes_no_answer(signing: Scene, status: Status, outcome: Outcome) -> None:
    claimed = run_of(signing)
    completion = asked(claimed)
    token, task = completion.token, fresh(claimed)
    task.status, task.outcome, task.lease_id = status, outcome, None
    task.outcome_id = uuid.uuid4() if outcome else None
    task.save()
    assert refused(completion, token) is Refusal.OVER
    assert now(completion).answer is None


# locks


def test_the_lock_of_a_waiting_task_is_kept_though_the_process_that_ran_it_is_dead(signing: Scene) -> None:
    dead = signing.process()
    claimed = signing.claimed(dead, topic="sign")
    pending(claimed, asked(claimed))
    assert leases.held_by(dead) == []
    signing.silence(dead)
    sweep(signing.process(), signing.clients)
    assert fresh(claimed).lease_id == claimed.lease_id
    before = lease_of(claimed).locked_until
    signing.there.advance(120)
    due_now(claimed)
    swept = sweep(signing.process(), signing.clients)
    assert swept.kept == 1
    lease = lease_of(claimed)
    assert (lease.ended_at, lease.extensions, lease.locked_until >= before) == (None, 1, True)
    assert (signing.there.tasks[claimed.external_id].locked_until or 0) > signing.there.now() + 290


def test_a_lock_is_extended_once_a_third_of_its_length_and_not_in_every_round(signing: Scene) -> None:
    claimed, _ = waiting(signing)
    assert sweep(signing.process(), signing.clients).kept == 0
    due_now(claimed)
    assert sweep(signing.process(), signing.clients).kept == 1
    assert sweep(signing.process(), signing.clients).kept == 0
    due = fresh(claimed).next_report_at
    assert due is not None
    assert abs(lease_of(claimed).locked_until - due - timedelta(seconds=200)) < timedelta(seconds=1)


def test_an_engine_that_is_away_is_asked_again_soon(signing: Scene) -> None:
    claimed, _ = waiting(signing)
    due_now(claimed)
    with signing.there.down():
        assert sweep(signing.process(), signing.clients).kept == 0
    task = fresh(claimed)
    assert task.lease_id == claimed.lease_id
    assert task.next_report_at is not None
    due_now(claimed)
    assert sweep(signing.process(), signing.clients).kept == 1


def test_a_lost_lock_leaves_the_task_waiting_and_its_answer_goes_out_under_the_next_lease(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    age_lease(claimed, seconds=1000)
    signing.there.advance(1000)
    due_now(claimed)
    sweep(signing.process(), signing.clients)
    task = fresh(claimed)
    assert (task.status, task.lease_id, lease_of(claimed).ended_as) == (Status.WAITING, None, LeaseEnd.EXPIRED)
    assert say(completion)
    assert (fresh(claimed).status, deliver(signing)) == (Status.PERFORMED, 0)
    signing.fetch(signing.process())
    assert deliver(signing) == 1
    assert signing.there.completed == {claimed.external_id: {"signedBy": "Saskia", "pages": 1}}


def test_a_new_lease_of_a_waiting_task_waits_on_and_is_kept(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    age_lease(claimed, seconds=1000)
    signing.there.advance(1000)
    due_now(claimed)
    sweep(signing.process(), signing.clients)
    signing.fetch(signing.process())
    task = fresh(claimed)
    assert (task.status, task.attempts, task.lease_id) == (Status.WAITING, 2, lease_of(claimed).id)
    assert sweep(signing.process(), signing.clients).kept == 1
    assert say(completion)
    assert deliver(signing) == 1


def test_a_waiting_task_whose_process_was_cancelled_is_lost(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    token = completion.token
    signing.there.remove(signing.there.tasks[claimed.external_id])
    due_now(claimed)
    sweep(signing.process(), signing.clients)
    due_now(claimed)
    sweep(signing.process(), signing.clients)
    assert fresh(claimed).status == Status.LOST
    assert refused(completion, token) is Refusal.OVER


# deadlines


def test_without_an_answer_in_time_the_attempt_has_failed_by_its_plan(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    token = completion.token
    assert sweep(signing.process(), signing.clients).expired == 0
    pass_deadline(completion)
    assert sweep(signing.process(), signing.clients).expired == 1
    task = fresh(claimed)
    assert (task.status, task.outcome) == (Status.PERFORMED, Outcome.FAILED)
    assert (task.result or {})["message"].startswith("no answer before ")
    assert (task.result or {})["retries"] == 3
    assert refused(completion, token) is Refusal.EXPIRED
    assert deliver(signing) == 1
    (failure,) = signing.there.failures
    assert failure.retries == 3


def test_a_deadline_that_passes_before_the_unit_says_pending_fails_at_once(signing: Scene) -> None:
    claimed = run_of(signing)
    completion = asked(claimed)
    pass_deadline(completion)
    ending = pending(claimed, completion, signing.process())
    assert ending.result["message"].startswith("no answer before ")
    assert now(completion).state == State.EXPIRED


def test_an_answer_in_time_counts_also_when_the_unit_says_pending_after_the_deadline(signing: Scene) -> None:
    claimed = run_of(signing)
    completion = asked(claimed)
    say(completion)
    pass_deadline(completion)
    sweep(signing.process(), signing.clients)
    assert pending(claimed, completion, signing.process()).outcome is Outcome.COMPLETED


def at_once(*work: Any) -> list[Any]:
    """Do it all in threads that start together; what each answered, or raised."""
    barrier = threading.Barrier(len(work))
    found: list[Any] = [None] * len(work)

    def do(place: int) -> None:
        barrier.wait()
        try:
            found[place] = work[place]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            found[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=[place]) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("round_", range(8))
def test_of_an_answer_and_the_deadline_exactly_one_wins(committed_scene: Scene, round_: int) -> None:
    scene = mapped(committed_scene)
    claimed, completion = waiting(scene)
    token = completion.token
    Completion.objects.filter(pk=completion.pk).update(deadline=Now() + timedelta(milliseconds=30))

    def wait_and_expire() -> bool:
        while Completion.objects.filter(pk=completion.pk, deadline__gt=Now()).exists():
            pass
        return completions.expire(completion.pk)

    def answer_late() -> bool:
        while Completion.objects.filter(pk=completion.pk, deadline__gt=Now() + timedelta(milliseconds=2)).exists():
            pass
        return answering.from_outside(token, SIGNED, digest="one")

    expired, answered = at_once(wait_and_expire, answer_late)
    task = fresh(claimed)
    assert task.status == Status.PERFORMED
    if answered is True:
        assert (task.outcome, expired, now(completion).state) == (Outcome.COMPLETED, False, State.USED)
    else:
        assert isinstance(answered, NotTaken)
        assert (task.outcome, expired, now(completion).state) == (Outcome.FAILED, True, State.EXPIRED)


@pytest.mark.parametrize("round_", range(8))
def test_an_answer_and_the_unit_s_pending_at_once_lose_neither(committed_scene: Scene, round_: int) -> None:
    scene = mapped(committed_scene)
    claimed = run_of(scene)
    completion, worker = asked(claimed), scene.process()
    token = completion.token
    ending, taken = at_once(
        lambda: pending(claimed, completion, worker), lambda: answering.from_outside(token, SIGNED, digest="one")
    )
    assert taken is True
    task = fresh(claimed)
    assert (task.status, task.outcome, task.result) == (Status.PERFORMED, Outcome.COMPLETED, {"variables": WIRE})
    assert (task.reporter_id == worker) == isinstance(ending, Ending)
    assert now(completion).state == State.USED


def test_of_two_answers_at_once_exactly_one_wins(committed_scene: Scene) -> None:
    scene = mapped(committed_scene)
    _, completion = waiting(scene)
    token = completion.token
    other = Answer(Outcome.FAILED, {}, message="no")
    found = at_once(
        lambda: answering.from_outside(token, SIGNED, digest="one"),
        lambda: answering.from_outside(token, other, digest="two"),
    )
    assert sorted(type(one).__name__ for one in found) == ["NotTaken", "bool"]


# people


def test_a_person_answers_in_the_place_of_the_outside_and_is_on_record(signing: Scene) -> None:
    claimed, completion = waiting(signing)
    token = completion.token
    answering.by_person(claimed.task_id, SIGNED, actor="Bea", reason="she signed on paper")
    task = fresh(claimed)
    assert (task.status, task.outcome, task.by_hand) == (Status.PERFORMED, Outcome.COMPLETED, False)
    (event,) = Event.objects.filter(task_id=task.pk)
    assert (event.name, event.actor, event.detail["reason"]) == ("task.answered", "Bea", "she signed on paper")
    assert now(completion).answered_by == "Bea"
    assert refused(completion, token) is Refusal.USED


def test_a_person_answers_only_a_task_that_waits(signing: Scene) -> None:
    claimed = run_of(signing)
    asked(claimed)
    with pytest.raises(TransitionRefused):
        answering.by_person(claimed.task_id, SIGNED, actor="Bea", reason="too early")
    assert not Event.objects.exists()


# what is kept


def plan(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_one_index_finds_the_locks_and_one_the_deadlines_that_are_due(signing: Scene) -> None:
    holder = signing.process()
    for _ in range(200):
        signing.task(Status.WAITING, live=True, holder=holder, next_report_at=Now() + timedelta(minutes=1))
    sql.query("ANALYZE tasks_task")
    sql.query("SET LOCAL enable_seqscan = off")
    found = plan(f"SELECT 1 WHERE {upkeep.PENDING}")
    assert "task_to_keep" in found
    assert "completion_by_deadline" in found


def test_a_lease_is_due_a_third_after_it_was_locked(signing: Scene) -> None:
    claimed, _ = waiting(signing)
    due = fresh(claimed).next_report_at
    assert due is not None
    assert abs(due - (lease_of(claimed).locked_until - timedelta(seconds=200))) < timedelta(milliseconds=5)
    assert Completion.objects.filter(awaited_at__gte=F("asked_at")).count() == 1

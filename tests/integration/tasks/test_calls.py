"""Calls of the REST API in the heart: what a call makes of a task, and what the sweep and people do with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from bptl.accounts.models import User
from bptl.connections.models import Mapping
from bptl.tasks import actions, leases, search
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer as ReportAnswer
from bptl.tasks.delivery.report import send
from bptl.tasks.endings import Ending
from bptl.tasks.execution.claim import Claim, claim
from bptl.tasks.execution.outcomes import Ended as RunEnded
from bptl.tasks.execution.outcomes import store
from bptl.tasks.filters import TaskFilter
from bptl.tasks.intake import calls
from bptl.tasks.intake.calls import Answer, Call, Ended
from bptl.tasks.intake.news import News
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Task
from bptl.tasks.retries import NO_RETRY
from bptl.tasks.upkeep.sweep import sweep
from bptl.workers.clients import Clients
from tests.integration.scene import Scene, age_lease, completed, due_now, events, lease_of
from tests.integration.waiting import until

SHORT = timedelta(milliseconds=50)


@pytest.fixture
def caller(scene: Scene) -> User:
    Mapping.objects.create(topic="leges", unit="demo.quick")
    return User.objects.create_user("flowable")


@pytest.fixture
def news() -> News:
    """Nobody listens in a test that sees its own rows only: the row is looked at when the time is over."""
    deaf = News()
    deaf._thread = threading.current_thread()
    return deaf


def a_call(caller: User, key: str = "key-1", **values: Any) -> Call:
    return Call.of(caller_id=caller.pk, key=key, topic="leges", values=values)


def asked(caller: User, news: News, **values: Any) -> Answer:
    """A call for which no worker was free, and what it left behind."""
    return calls.perform(a_call(caller, **values), patience=SHORT, news=news)


def leased(caller: User, **values: Any) -> Task:
    """A call that waits, without its waiting."""
    calls._lease(a_call(caller, **values), calls.mapping_of("leges"), timedelta(seconds=40))
    return Task.objects.get(engine=None)


def claimed(scene: Scene, caller: User) -> Claim:
    leased(caller)
    (found,) = claim(scene.process(), places=4)
    return found


def stored(scene: Scene, caller: User, ending: Ending | None = None) -> Claim:
    found = claimed(scene, caller)
    holder = lease_of(found).holder_id
    store(holder, [RunEnded(found.task_id, found.lease_id, ending or completed(leges=75.0))])
    return found


FAILED = Ending.failed("it broke", "Traceback", NO_RETRY)


def test_a_call_is_a_task_of_nobody_that_a_worker_can_claim(scene: Scene, caller: User) -> None:
    found = claimed(scene, caller)

    task = Task.objects.get(id=found.task_id)
    assert (task.engine_id, task.caller, task.external_id, task.status) == (None, caller, "key-1", Status.RUNNING)
    assert found.engine_retries == 0


def test_only_variables_that_the_unit_declares_are_kept(scene: Scene, caller: User) -> None:
    task = leased(caller, aanvrager="N. Nieuw", bsn="123456782")

    assert set(task.variables) == {"aanvrager"}


def test_what_nobody_started_is_withdrawn_and_cannot_be_claimed(scene: Scene, caller: User, news: News) -> None:
    answer = asked(caller, news)

    assert answer.ended is Ended.NOT_STARTED
    assert Task.objects.get(engine=None).status == Status.RETURNED
    assert claim(scene.process(), places=4) == []


def test_a_task_that_runs_is_not_withdrawn(scene: Scene, caller: User, news: News) -> None:
    found = claimed(scene, caller)

    assert asked(caller, news).ended is Ended.STILL_RUNNING
    assert Task.objects.get(id=found.task_id).lease_id == found.lease_id


@pytest.mark.parametrize(
    ("ending", "ended"),
    [
        (completed(leges=75.0), Ended.COMPLETED),
        (FAILED, Ended.FAILED),
        (Ending.thrown("NO", "no attachments", {}, catcher="not checked"), Ended.THROWN),
    ],
)
def test_a_stored_outcome_is_the_answer_also_when_its_worker_died(
    scene: Scene, caller: User, news: News, ending: Ending, ended: Ended
) -> None:
    found = stored(scene, caller, ending)
    leases.end([found.lease_id], how=LeaseEnd.PROCESS_DEAD, reason="it died")

    assert asked(caller, news).ended is ended
    assert Task.objects.get(id=found.task_id).attempts == 1


def test_the_report_of_a_call_is_taken_at_once(scene: Scene, caller: User) -> None:
    found = stored(scene, caller)
    due_now(found)
    (report,) = outbox.take_due(lease_of(found).holder_id)

    verdict = send(report, Clients()(report.engine_id))
    outbox.delivered([verdict])

    assert verdict.answer is ReportAnswer.TAKEN
    assert Task.objects.get(id=found.task_id).status == Status.DELIVERED


def test_an_outcome_whose_reporter_died_is_delivered_by_the_sweep_and_no_engine_is_asked(
    scene: Scene, caller: User
) -> None:
    found = stored(scene, caller)
    scene.bury(lease_of(found).holder_id)

    sweep(scene.process(), scene.clients)

    task = Task.objects.get(id=found.task_id)
    assert (task.status, task.outcome, task.look_at) == (Status.DELIVERED, Outcome.COMPLETED, None)


def test_a_run_whose_process_died_is_counted_and_the_next_call_runs_it_again(
    scene: Scene, caller: User, news: News
) -> None:
    found = claimed(scene, caller)
    scene.bury(lease_of(found).holder_id)

    sweep(scene.process(), scene.clients)

    task = Task.objects.get(id=found.task_id)
    assert (task.status, task.crashes, task.look_at) == (Status.RETURNED, 1, None)
    again = leased(caller)
    assert (again.id, again.status, again.attempts) == (task.id, Status.QUEUED, 2)


def test_a_call_that_was_queued_when_its_web_process_died_ends_with_its_lock(scene: Scene, caller: User) -> None:
    task = leased(caller)
    age_lease(task, seconds=3600)

    sweep(scene.process(), scene.clients)

    assert Task.objects.get(id=task.id).status == Status.RETURNED


def test_a_delivered_failure_runs_again_and_a_delivered_result_does_not(scene: Scene, caller: User, news: News) -> None:
    found = stored(scene, caller, FAILED)
    leases.end([found.lease_id], how=LeaseEnd.PROCESS_DEAD, reason="it died")
    sweep(scene.process(), scene.clients)
    assert Task.objects.get(id=found.task_id).status == Status.DELIVERED

    assert asked(caller, news).ended is Ended.NOT_STARTED, "it would run, were there a worker"
    assert Task.objects.get(id=found.task_id).attempts == 2

    actions.complete_by_hand(found.task_id, {"leges": 80.0}, actor="jansen", reason="done on paper")
    answer = asked(caller, news)
    assert answer.ended is Ended.COMPLETED
    assert answer.variables["leges"].value == 80.0


def test_a_result_by_hand_is_delivered_without_an_engine(scene: Scene, caller: User, news: News) -> None:
    asked(caller, news)
    task = Task.objects.get(engine=None)
    actions.complete_by_hand(task.id, {}, actor="jansen", reason="done on paper")

    (report,) = outbox.take_due(scene.process())
    outbox.delivered([send(report, Clients()(report.engine_id))])

    assert Task.objects.get(id=task.id).status == Status.DELIVERED


def test_nobody_but_the_caller_tries_a_failed_call_again(scene: Scene, caller: User) -> None:
    found = stored(scene, caller, FAILED)
    leases.end([found.lease_id], how=LeaseEnd.PROCESS_DEAD, reason="it died")
    sweep(scene.process(), scene.clients)
    task = Task.objects.get(id=found.task_id)

    with pytest.raises(actions.ActionRefused, match="key-1"):
        actions.retry(task.id, actor="jansen", reason="please")

    assert "retry" not in actions.possible(task)
    assert "complete" in actions.possible(task)


def test_a_person_can_hand_back_a_running_call(scene: Scene, caller: User) -> None:
    found = claimed(scene, caller)

    actions.hand_back(found.task_id, actor="jansen", reason="stop it")

    assert Task.objects.get(id=found.task_id).status == Status.RETURNED
    assert "task.handed_back" in events(found)


def test_a_used_key_with_other_variables_is_refused(scene: Scene, caller: User, news: News) -> None:
    asked(caller, news, bouwkosten=1)

    with pytest.raises(calls.KeyReused):
        asked(caller, news, bouwkosten=2)


@pytest.mark.parametrize("fields", [{"active": False}, {"unit": "no.such_unit"}, {"topic": "other"}])
def test_a_topic_without_a_usable_mapping_is_refused(
    scene: Scene, caller: User, news: News, fields: dict[str, Any]
) -> None:
    Mapping.objects.filter(engine=None).update(**fields)

    with pytest.raises(calls.NoSuchTopic):
        asked(caller, news)

    assert not Task.objects.filter(engine=None).exists()


def test_a_mapping_of_an_engine_cannot_be_called(scene: Scene, caller: User, news: News) -> None:
    call = Call.of(caller_id=caller.pk, key="", topic="topic", values={})

    with pytest.raises(calls.NoSuchTopic):
        calls.perform(call, patience=SHORT, news=news)


def test_one_key_of_one_caller_is_one_row_for_the_database_too(scene: Scene, caller: User) -> None:
    task = leased(caller)
    task.pk = None

    with pytest.raises(IntegrityError, match="task_one_per_call"), transaction.atomic():
        task.save(force_insert=True)


def test_calls_are_found_by_the_word_that_stands_for_no_engine(scene: Scene, caller: User) -> None:
    task = leased(caller)
    scene.task(Status.RETURNED)

    assert [found.id for found in search.page(TaskFilter(engine="rest")).tasks] == [task.id]
    assert [found.engine_name for found in search.page(TaskFilter(engine="main")).tasks] == ["main"]


@pytest.fixture
def committed_caller(committed_scene: Scene) -> User:
    Mapping.objects.create(topic="leges", unit="demo.quick")
    return User.objects.create_user("flowable")


@pytest.fixture
def in_the_background() -> Iterator[list[threading.Thread]]:
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_a_waiting_call_hears_of_its_outcome_and_survives_a_worker_that_gives_back(
    committed_scene: Scene, committed_caller: User, in_the_background: list[threading.Thread]
) -> None:
    answers: list[Answer] = []
    news = News(idle=0.2)

    def wait() -> None:
        answers.append(calls.perform(a_call(committed_caller), patience=timedelta(seconds=60), news=news))
        connections.close_all()

    in_the_background.append(threading.Thread(target=wait))
    in_the_background[0].start()
    worker = committed_scene.process()
    (first,) = until(lambda: claim(worker, places=1), what="the call is queued")
    until(lambda: news.listening, what="the process listens")

    leases.end([first.lease_id], how=LeaseEnd.GIVEN_BACK, reason="the worker stopped")
    (second,) = until(lambda: claim(worker, places=1), what="the waiting call took it up again")
    store(worker, [RunEnded(second.task_id, second.lease_id, completed(leges=75.0))])

    until(lambda: answers, what="the call is answered")
    assert (second.task_id, second.attempt) == (first.task_id, 2)
    assert answers[0].ended is Ended.COMPLETED


def test_a_call_that_is_given_back_again_and_again_gives_up(
    committed_scene: Scene, committed_caller: User, in_the_background: list[threading.Thread]
) -> None:
    answers: list[Answer] = []

    def wait() -> None:
        answers.append(calls.perform(a_call(committed_caller), patience=timedelta(seconds=60), news=News(idle=0.2)))
        connections.close_all()

    in_the_background.append(threading.Thread(target=wait))
    in_the_background[0].start()
    worker = committed_scene.process()
    for _ in range(calls.LEASES_PER_CALL):
        (found,) = until(lambda: claim(worker, places=1), what="the call is queued")
        leases.end([found.lease_id], how=LeaseEnd.GIVEN_BACK, reason="the unit is not registered here")

    until(lambda: answers, what="the call is answered")
    assert answers[0].ended is Ended.INTERRUPTED

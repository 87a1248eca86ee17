"""Retention: what is taken away when, what never, and that a run that ends anywhere leaves nothing half done."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from bptl.tasks import queries, sql
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import send
from bptl.tasks.effects import Ledger
from bptl.tasks.execution.claim import claim
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, outcomes_of
from bptl.tasks.models import Completion, Effect, Event, Fetch, Lease, Process, ServiceCall, Task
from bptl.tasks.upkeep import retention
from bptl.tasks.upkeep.retention import Keep, Removed
from bptl.tasks.upkeep.sweep import sweep
from bptl.work_units.contract import NeverAgain
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, due_now, fresh

DAY = timedelta(days=1)
KEEP = Keep(data=30 * DAY, completed=180 * DAY, thrown=365 * DAY, lost=90 * DAY, calls=30 * DAY)

ENDS = [
    (Status.DELIVERED, Outcome.COMPLETED, 180),
    (Status.DELIVERED, Outcome.THROWN, 365),
    *((Status.LOST, outcome, 90) for outcome in outcomes_of(Status.LOST)),
]
"""What is over, and the days for which KEEP keeps its row."""

UNENDED = [
    (status, outcome)
    for status in Status
    for outcome in outcomes_of(status)
    if (status, outcome) not in {(status, outcome) for status, outcome, _ in ENDS}
]

PERSONAL = "Van der Meer"


def run(keep: Keep = KEEP, *, seconds: float = 60, wait: Callable[[float], bool] = lambda _: False) -> Removed:
    return retention.remove(keep, seconds=seconds, wait=wait)


def age(task: Task, days: float) -> None:
    """Let the last move of a task lie so far back."""
    Task.objects.filter(id=task.id).update(changed_at=Now() - days * DAY)


KINDS = (Lease, Effect, Event, ServiceCall, Completion)


def told(scene: Scene, status: Status, outcome: Outcome, *, days: float, **fields: Any) -> Task:
    """A task with personal data wherever a task can have some, and with what stays."""
    secret = {"type": "String", "value": PERSONAL, "valueInfo": {}}
    result = {"message": PERSONAL, "details": PERSONAL, "code": "ONVOLLEDIG", "variables": {"naam": secret}}
    fields = {"variables": {"naam": secret}, "report_error": PERSONAL, **fields}
    if outcome:
        fields["result"] = result
    task = scene.task(status, outcome, **fields)
    Lease.objects.filter(task=task).update(error={"message": PERSONAL, "details": PERSONAL, "retries": 0, "code": "X"})
    Effect.objects.create(
        task=task,
        key="create-zaak",
        lease_id=task.last_lease_id,
        arguments={"naam": PERSONAL},
        gives_up_at=Now(),
        settles_at=Now(),
        end=Effect.End.HAPPENED,
        ended_at=Now(),
        known_by="answer",
        result={"naam": PERSONAL},
    )
    Event.objects.create(
        task=task, name="effect.settled", actor="jansen", detail={"reason": PERSONAL, "effect": "create-zaak"}
    )
    ServiceCall.objects.create(
        task=task,
        lease_id=task.last_lease_id,
        service="zaken",
        method="POST",
        url=f"https://zaken.example.nl/zaken?naam={PERSONAL}",
        began_at=Now(),
        milliseconds=12,
        request_body=PERSONAL,
        answer_body=PERSONAL,
        error=PERSONAL,
    )
    Completion.objects.create(
        task=task,
        key="signed",
        number=1,
        unit="test.sign",
        lease_id=task.last_lease_id,
        digest=uuid.uuid4().hex,
        deadline=Now(),
        state=Completion.State.USED,
        answered_at=Now(),
        answer={"outcome": "failed", "message": PERSONAL},
    )
    age(task, days)
    return task


def everything_about(task: Task) -> str:
    """All columns of all rows of a task, as text."""
    tables = (Task.objects.filter(id=task.id), *(kind.objects.filter(task=task) for kind in KINDS))
    return str([list(rows.values()) for rows in tables])


def rows_of(task: Task) -> list[int]:
    return [Task.objects.filter(id=task.id).count(), *(kind.objects.filter(task=task).count() for kind in KINDS)]


# what is taken away


@pytest.mark.parametrize(("status", "outcome", "days"), ENDS)
def test_personal_data_go_first_and_the_row_later(scene: Scene, status: Status, outcome: Outcome, days: int) -> None:
    task = told(scene, status, outcome, days=29.9)
    before = everything_about(task)
    assert run() == Removed()
    assert everything_about(task) == before

    age(task, 30.1)
    changed_at = fresh(task).changed_at
    assert run() == Removed(emptied=1)
    assert PERSONAL not in everything_about(task)
    emptied = fresh(task)
    assert (emptied.emptied, emptied.status, emptied.outcome) == (True, status, outcome)
    assert emptied.changed_at == changed_at
    assert rows_of(task) == [1, 1, 1, 1, 0, 1]

    age(task, days - 0.1)
    assert run() == Removed()
    age(task, days + 0.1)
    assert run() == Removed(deleted=1)
    assert rows_of(task) == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("state", ["open", "awaited", "answered"])
def test_an_address_that_was_never_used_goes_with_the_data(scene: Scene, state: str) -> None:
    task = told(scene, Status.LOST, Outcome.NONE, days=30.1)
    Completion.objects.filter(task=task).update(
        state=state, encrypted_token="token", awaited_at=Now(), answered_at=Now() if state == "answered" else None
    )
    assert run() == Removed(emptied=1)
    assert not Completion.objects.filter(task=task).exists()


def test_what_is_no_personal_data_stays_until_the_row_goes(scene: Scene) -> None:
    task = told(scene, Status.DELIVERED, Outcome.THROWN, days=31, business_key="ZAAK-1")
    run()
    emptied = fresh(task)
    assert emptied.result == {"removed_by_retention": True, "code": "ONVOLLEDIG"}
    assert (emptied.business_key, emptied.external_id) == ("ZAAK-1", task.external_id)
    assert Lease.objects.get(task=task).error == {"removed_by_retention": True, "code": "X", "retries": 0}
    effect = Effect.objects.get(task=task)
    assert (effect.key, effect.end, effect.known_by) == ("create-zaak", Effect.End.HAPPENED, "answer")
    event = Event.objects.get(task=task)
    assert (event.name, event.actor, event.detail) == ("effect.settled", "jansen", {"effect": "create-zaak"})


def test_every_table_that_refers_to_tasks_is_emptied_and_deleted_with_them() -> None:
    fields = (field for model in apps.get_models() for field in model._meta.concrete_fields)
    referring = {field.model._meta.db_table for field in fields if field.related_model is Task}
    tables = {"lease", "effect", "event", "servicecall", "callback", "completion"}
    assert referring == {f"tasks_{name}" for name in tables}


def test_data_that_would_outlive_the_row_go_with_it(scene: Scene) -> None:
    task = told(scene, Status.DELIVERED, Outcome.COMPLETED, days=181)
    assert run(replace(KEEP, data=None)) == Removed(emptied=1, deleted=1)
    assert rows_of(task) == [0, 0, 0, 0, 0, 0]


def test_what_is_kept_for_ever_is_kept(scene: Scene) -> None:
    task = told(scene, Status.DELIVERED, Outcome.COMPLETED, days=10_000)
    before = everything_about(task)
    nothing = Keep(data=None, completed=None, thrown=None, lost=None, calls=None)
    assert run(nothing) == Removed()
    assert everything_about(task) == before
    assert run(replace(nothing, data=30 * DAY)) == Removed(emptied=1)
    assert rows_of(task) == [1, 1, 1, 1, 0, 1]


def test_the_settings_say_days_and_0_is_for_ever(settings: Any) -> None:
    settings.BPTL_RETENTION_DATA_DAYS = 7
    settings.BPTL_RETENTION_LOST_DAYS = 0
    assert retention.configured() == Keep(
        data=7 * DAY, completed=180 * DAY, thrown=180 * DAY, lost=None, calls=30 * DAY
    )


# what never


@pytest.mark.parametrize(("status", "outcome"), UNENDED)
def test_a_task_that_may_still_exist_at_its_engine_keeps_row_data_and_ledger(
    scene: Scene, status: Status, outcome: Outcome
) -> None:
    task = told(scene, status, outcome, days=10_000)
    # A failed one has a time to look, so that it is not asked about here.
    Task.objects.filter(id=task.id).update(look_at=Now())
    before = everything_about(task)
    assert run() == Removed()
    assert everything_about(task) == before


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.THROWN])
def test_an_assumed_delivery_keeps_everything(scene: Scene, outcome: Outcome) -> None:
    task = told(scene, Status.DELIVERED, outcome, days=10_000, assumed=True)
    before = everything_about(task)
    assert run() == Removed()
    assert everything_about(task) == before


def test_a_parked_result_keeps_everything(scene: Scene) -> None:
    task = told(scene, Status.PERFORMED, Outcome.COMPLETED, days=10_000, parked=True)
    before = everything_about(task)
    assert run() == Removed()
    assert everything_about(task) == before


# failed tasks: the engine is asked


def test_a_failed_task_goes_when_its_engine_no_longer_knows_it(scene: Scene, there: FakeEngine) -> None:
    task = told(scene, Status.DELIVERED, Outcome.FAILED, days=2)
    sweeper = scene.process()
    assert run() == Removed(asked=1)
    sweep(sweeper, scene.clients)
    assert fresh(task).status == Status.DELIVERED, "its engine still has it"
    assert run() == Removed(), "it is asked again by the sweep, a day later"

    del there.tasks[task.external_id]
    due_now(task)
    sweep(sweeper, scene.clients)
    assert (fresh(task).status, fresh(task).outcome) == (Status.LOST, Outcome.FAILED)
    age(task, 31)
    assert run() == Removed(emptied=1)
    age(task, 91)
    assert run() == Removed(deleted=1)


def test_the_engine_is_asked_once_a_day_about_a_failed_task(scene: Scene) -> None:
    task = told(scene, Status.DELIVERED, Outcome.FAILED, days=2)
    run()
    sweep(scene.process(), scene.clients)
    next_look = fresh(task).look_at
    assert next_look is not None
    assert next_look - Task.objects.values_list(Now(), flat=True)[0] > timedelta(hours=23)


# should the engine be put back to an old backup


def test_a_removed_result_is_never_delivered_it_becomes_an_incident(
    scene: Scene, there: FakeEngine, worker: uuid.UUID
) -> None:
    external = there.add()
    task = told(scene, Status.DELIVERED, Outcome.COMPLETED, days=31, external=external)
    run()
    scene.fetch(worker)
    assert fresh(task).status == Status.PERFORMED
    (report,) = outbox.take_due(worker)
    verdict = send(report, scene.engine)
    assert outbox.settle(worker, verdict), "parked at once"
    assert verdict.reason == "its result was removed by retention, after it had been delivered"
    assert external.id in there.tasks


def test_an_effect_whose_result_was_removed_is_not_repeated(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, ledger_of: Callable[[Task], Ledger]
) -> None:
    task = told(scene, Status.LOST, Outcome.NONE, days=31)
    run()
    scene.fetch(worker)
    assert [claimed.task_id for claimed in claim(worker, places=4)] == [task.id]
    done: list[str] = []
    with pytest.raises(NeverAgain, match="create-zaak"):
        ledger_of(task).once(
            "create-zaak",
            lambda sending: done.append("again"),
            arguments={"naam": PERSONAL},
            reconcile=None,
            idempotent=False,
            gives_up_after=DAY,
            settles_after=DAY,
        )
    assert done == []


def test_a_task_that_moved_on_has_new_data_and_a_new_time(scene: Scene, there: FakeEngine, worker: uuid.UUID) -> None:
    task = told(scene, Status.LOST, Outcome.NONE, days=31)
    run()
    scene.fetch(worker)
    assert not fresh(task).emptied
    moved = fresh(task)
    assert (moved.status, moved.variables) == (Status.QUEUED, {}), "the double gives no variables"
    Task.objects.filter(id=task.id).update(status=Status.LOST, lease_id=None)
    assert run() == Removed()
    age(task, 31)
    Task.objects.filter(id=task.id).update(emptied_at=Now() - 60 * DAY)
    assert run() == Removed(emptied=1)


@pytest.fixture
def ledger_of() -> Callable[[Task], Ledger]:
    def make(task: Task) -> Ledger:
        row = fresh(task)
        assert row.lease_id is not None
        return Ledger(row.id, row.lease_id, row.external_id, sleep=lambda _: None, check=lambda: None)

    return make


# calls of the REST API


def called(scene: Scene, status: Status, outcome: Outcome = Outcome.NONE, *, days: float) -> Task:
    caller, _ = get_user_model().objects.get_or_create(username="activiti")
    task = told(scene, status, outcome, days=days)
    Task.objects.filter(id=task.id).update(engine=None, caller=caller)
    return task


CALLS_THAT_END = [
    *((Status.DELIVERED, outcome) for outcome in outcomes_of(Status.DELIVERED)),
    (Status.RETURNED, Outcome.NONE),
]


@pytest.mark.parametrize(("status", "outcome"), CALLS_THAT_END)
def test_a_call_keeps_its_whole_answer_and_then_goes_whole(scene: Scene, status: Status, outcome: Outcome) -> None:
    task = called(scene, status, outcome, days=29.9)
    before = everything_about(task)
    assert run() == Removed()
    assert everything_about(task) == before
    age(task, 30.1)
    assert run() == Removed(calls=1)
    assert rows_of(task) == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.WAITING, Status.UNCERTAIN])
def test_a_call_that_is_under_way_or_waits_for_a_person_stays(scene: Scene, status: Status) -> None:
    task = called(scene, status, days=10_000)
    assert run() == Removed()
    assert rows_of(task) == [1, 1, 1, 1, 1, 1]


def test_a_call_with_an_effect_whose_end_nobody_knows_stays(scene: Scene) -> None:
    task = called(scene, Status.RETURNED, days=10_000)
    Effect.objects.filter(task=task).update(end="", ended_at=None, result=None)
    assert run() == Removed()
    assert rows_of(task) == [1, 1, 1, 1, 1, 1]


# small steps


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(retention, "STEP", 3)
    return 3


def test_no_step_takes_more_than_its_share_and_a_pause_follows_each(scene: Scene, small_steps: int) -> None:
    for _ in range(7):
        told(scene, Status.DELIVERED, Outcome.COMPLETED, days=31)
    left: list[int] = []

    def wait(seconds: float) -> bool:
        assert seconds >= retention.PAUSE
        left.append(sum(not task.emptied for task in Task.objects.all()))
        return False

    assert run(wait=wait) == Removed(emptied=7)
    assert left == [4, 1, 0]


@pytest.mark.parametrize("told_to", ["stop", "end in time"])
def test_a_run_that_is_stopped_leaves_the_rest_to_the_next(scene: Scene, small_steps: int, told_to: str) -> None:
    tasks = [told(scene, Status.DELIVERED, Outcome.COMPLETED, days=31 + number) for number in range(7)]
    stopped = run(wait=lambda _: True) if told_to == "stop" else run(seconds=0)
    assert stopped == Removed(emptied=3, more=True)
    assert [fresh(task).emptied for task in tasks] == [False] * 4 + [True] * 3, "the oldest first"
    assert run() == Removed(emptied=4)


def test_an_emptying_that_breaks_off_leaves_whole_tasks(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    task = told(scene, Status.DELIVERED, Outcome.COMPLETED, days=31)
    before = everything_about(task)
    _break(monkeypatch, "tasks_event v SET", "tasks_event v SET id = NULL,")
    with pytest.raises(DatabaseError):
        run()
    assert everything_about(task) == before
    monkeypatch.undo()
    assert run() == Removed(emptied=1)
    assert PERSONAL not in everything_about(task)


def test_a_deletion_that_breaks_off_leaves_whole_tasks(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    task = told(scene, Status.DELIVERED, Outcome.COMPLETED, days=31)
    run()
    age(task, 181)
    _break(monkeypatch, "DELETE FROM tasks_event WHERE", "DELETE FROM tasks_event WHERE 1 / (id - id) > 0 AND")
    with pytest.raises(DatabaseError):
        run()
    assert rows_of(task) == [1, 1, 1, 1, 0, 1]
    monkeypatch.undo()
    assert run() == Removed(deleted=1)


def _break(monkeypatch: pytest.MonkeyPatch, before: str, after: str) -> None:
    """Let a statement fail in its middle, in a transaction of its own."""
    query = sql.query

    def broken(statement: str, params: Sequence[Any] = ()) -> list[Any]:
        with transaction.atomic():
            return query(statement.replace(before, after), params)

    monkeypatch.setattr(sql, "query", broken)


def test_a_second_run_in_the_fleet_ends_at_once(scene: Scene) -> None:
    task = told(scene, Status.DELIVERED, Outcome.COMPLETED, days=31)
    with other_session() as other:
        other.execute("SELECT pg_advisory_xact_lock(7201119)")
        assert run() == Removed(more=True)
        assert not fresh(task).emptied
    assert run() == Removed(emptied=1)


def test_a_task_that_somebody_moves_at_this_moment_is_passed_over(committed_scene: Scene) -> None:
    task = told(committed_scene, Status.DELIVERED, Outcome.COMPLETED, days=31)
    with other_session() as other:
        other.execute("SELECT FROM tasks_task WHERE id = %s FOR UPDATE", [task.id])
        assert run() == Removed()
    assert run() == Removed(emptied=1)


def other_session() -> psycopg.Connection[Any]:
    """A connection of somebody else; its transaction ends with the block."""
    settings = connection.settings_dict
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
    )


# processes


@pytest.fixture
def ended(scene: Scene) -> uuid.UUID:
    process = scene.process()
    Process.objects.filter(id=process).update(stopped_at=Now() - 31 * DAY)
    return process


def test_a_process_that_ended_long_ago_is_forgotten(scene: Scene, ended: uuid.UUID) -> None:
    living = scene.process()
    recent = scene.process()
    Process.objects.filter(id=recent).update(stopped_at=Now() - 29 * DAY)
    assert run() == Removed(processes=1)
    assert set(Process.objects.values_list("id", flat=True)) == {living, recent}


@pytest.mark.parametrize("tie", ["a live lease", "a report", "a fetch"])
def test_a_process_that_something_still_names_is_kept(scene: Scene, ended: uuid.UUID, tie: str) -> None:
    if tie == "a live lease":
        scene.task(Status.UNCERTAIN, live=True, holder=ended)
    if tie == "a report":
        scene.task(Status.PERFORMED, Outcome.COMPLETED, reporter_id=ended)
    if tie == "a fetch":
        fetch = scene.announced(scene.process())
        Fetch.objects.filter(id=fetch.number).update(process=ended)
    assert run() == Removed()
    assert Process.objects.filter(id=ended).exists()


def test_a_lease_of_a_forgotten_process_still_ends_its_story(scene: Scene, ended: uuid.UUID) -> None:
    task = scene.task(Status.DELIVERED, Outcome.COMPLETED, holder=ended)
    run()
    story = queries.story(task.id)
    assert [(lease.ended_as, story.holders.get(lease.holder_id)) for lease in story.leases] == [
        (LeaseEnd.GIVEN_BACK, None)
    ]

"""Calls to services are found with their task, and no unit waits for their writing."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from django.db import connection, transaction

from bptl.clients.access import DataClass
from bptl.clients.gate import Call
from bptl.tasks.execution import service_calls
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import ServiceCall, Task
from tests.integration.scene import Scene
from tests.integration.waiting import until

CONFIRMED = 10.0
"""Seconds within which all must be written."""


def call(**changes: object) -> Call:
    values = {
        "service": "open-zaak",
        "data_class": DataClass.ORDINARY,
        "method": "POST",
        "url": "https://zaken.example.nl/zaken/api/v1/zaken",
        "began_at": datetime(2026, 11, 26, 12, tzinfo=UTC),
        "seconds": 0.25,
        "status": 201,
        "request_type": "application/json",
        "request_body": b'{"bsn": "111222333", "omschrijving": "dakkapel"}',
    }
    return Call(**{**values, **changes})  # type: ignore[arg-type]


def test_a_call_is_kept_with_its_task_and_lease_redacted(committed_scene: Scene) -> None:
    task = committed_scene.task(Status.RUNNING)
    service_calls.record(task.id, task.last_lease_id, call())
    assert service_calls.stop(timeout=CONFIRMED)
    kept = ServiceCall.objects.get(task=task)
    assert (kept.lease_id, kept.service, kept.method, kept.status) == (task.lease_id, "open-zaak", "POST", 201)
    assert kept.milliseconds == 250
    assert kept.began_at == datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert "dakkapel" in kept.request_body
    assert "111222333" not in kept.request_body


def test_calls_of_a_task_that_is_gone_keep_nobody_from_writing_theirs(committed_scene: Scene) -> None:
    task = committed_scene.task(Status.RUNNING)
    service_calls.record(task.id + 1000, uuid.uuid4(), call())
    service_calls.record(task.id, task.last_lease_id, call(method="GET"))
    assert service_calls.stop(timeout=CONFIRMED)
    assert [kept.method for kept in ServiceCall.objects.all()] == ["GET"]


def test_a_body_that_no_database_takes_as_it_is_is_kept_all_the_same(committed_scene: Scene) -> None:
    task = committed_scene.task(Status.RUNNING)
    service_calls.record(
        task.id,
        task.last_lease_id,
        call(request_type="text/plain", request_body=b"nul \x00 and \xff", status=None, error="cut"),
    )
    assert service_calls.stop(timeout=CONFIRMED)
    kept = ServiceCall.objects.get(task=task)
    assert kept.request_body.startswith("nul ")
    assert (kept.status, kept.error) == (None, "cut")


def test_what_one_call_cannot_be_kept_for_costs_the_others_nothing(committed_scene: Scene) -> None:
    task = committed_scene.task(Status.RUNNING)
    service_calls.record(task.id, task.last_lease_id, call(status=70_000))  # no smallint
    service_calls.record(task.id, task.last_lease_id, call(method="GET"))
    assert service_calls.stop(timeout=CONFIRMED)
    assert [kept.method for kept in ServiceCall.objects.all()] == ["GET"]


def somebody_waits_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        (waiting,) = cursor.fetchone()
    return bool(waiting)


def test_calls_of_many_tasks_are_written_in_the_order_in_which_others_lock_tasks(committed_scene: Scene) -> None:
    first, second = sorted((committed_scene.task(Status.RUNNING) for _ in range(2)), key=lambda task: task.id)
    with transaction.atomic():
        Task.objects.select_for_update().get(id=first.id)
        for task in (second, first):
            service_calls.record(task.id, task.last_lease_id, call())
        until(somebody_waits_for_a_row, what="the writer waits for the first task")
        # With the second one locked by the writer, each would now wait for the other.
        Task.objects.select_for_update(nowait=True).get(id=second.id)
    assert service_calls.stop(timeout=CONFIRMED)
    assert ServiceCall.objects.count() == 2


def test_a_writer_that_outlasts_its_stop_takes_nothing_from_the_next_one(committed_scene: Scene) -> None:
    first, second, third = sorted((committed_scene.task(Status.RUNNING) for _ in range(3)), key=lambda task: task.id)
    with transaction.atomic():
        Task.objects.select_for_update().get(id=first.id)
        service_calls.record(first.id, first.last_lease_id, call())
        until(somebody_waits_for_a_row, what="the writer waits for the first task")
        assert not service_calls.stop(timeout=0.01)
        service_calls.record(second.id, second.last_lease_id, call())
        until(lambda: ServiceCall.objects.filter(task=second).exists())
        service_calls.record(third.id, third.last_lease_id, call())
        until(lambda: ServiceCall.objects.filter(task=third).exists())
    assert service_calls.stop(timeout=CONFIRMED)
    until(lambda: ServiceCall.objects.filter(task=first).exists())

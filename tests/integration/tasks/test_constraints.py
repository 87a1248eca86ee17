"""What must never be is refused by the database, whoever tries to write it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from bptl.tasks.lifecycle import Outcome, Status, outcomes_of
from bptl.tasks.models import Fetch, Lease, PollLeadership, Task
from tests.integration.scene import Scene, lease_of


def refused(name: str, model: Any, row: Any, **change: Any) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        model.objects.filter(id=row.id).update(**change)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(status, outcome) for status in Status for outcome in Outcome if outcome not in outcomes_of(status)],
)
def test_an_outcome_must_fit_its_status(scene: Scene, status: Status, outcome: Outcome) -> None:
    task = scene.task(status, outcomes_of(status)[0])
    fields: dict[str, Any] = {"outcome": outcome, "outcome_id": uuid.uuid4() if outcome else None}
    refused("task_outcome_fits_status", Task, task, **fields)


def test_a_status_that_the_lifecycle_does_not_know_is_refused(scene: Scene) -> None:
    refused("task_outcome_fits_status", Task, scene.task(Status.RETURNED), status="done")


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
def test_what_is_queued_or_running_has_a_lease(scene: Scene, status: Status) -> None:
    refused("task_held_has_lease", Task, scene.task(status), lease_id=None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(Status.RETURNED, Outcome.NONE), (Status.LOST, Outcome.NONE), (Status.DELIVERED, Outcome.COMPLETED)],
)
def test_what_rests_has_no_lease(scene: Scene, status: Status, outcome: Outcome) -> None:
    task = scene.task(status, outcome)
    refused("task_resting_has_no_lease", Task, task, lease_id=task.last_lease_id)


def test_the_live_lease_is_the_last_one(scene: Scene) -> None:
    refused("task_lease_is_last", Task, scene.task(Status.RUNNING), lease_id=uuid.uuid4())


def test_an_outcome_has_an_id_and_no_outcome_has_none(scene: Scene) -> None:
    done = scene.task(Status.PERFORMED, Outcome.COMPLETED)
    refused("task_outcome_has_id", Task, done, outcome_id=None)
    running = scene.task(Status.RUNNING)
    refused("task_outcome_has_id", Task, running, outcome_id=uuid.uuid4())
    refused("task_outcome_has_id", Task, running, result={"variables": {}})


def test_one_external_task_is_one_row(scene: Scene) -> None:
    one, two = scene.task(Status.RETURNED), scene.task(Status.RETURNED)
    refused("task_one_per_external_task", Task, two, external_id=one.external_id)


def test_a_task_has_one_live_lease(scene: Scene) -> None:
    task, other = scene.task(Status.RUNNING), scene.task(Status.RUNNING)
    refused("lease_one_live_per_task", Lease, lease_of(other), task=task, number=2)


def test_leases_of_a_task_are_numbered(scene: Scene) -> None:
    task, other = scene.task(Status.RETURNED), scene.task(Status.RETURNED)
    refused("lease_numbers_count", Lease, lease_of(other), task=task)


def test_a_lease_that_ended_says_how_and_one_that_says_how_has_ended(scene: Scene) -> None:
    lease = lease_of(scene.task(Status.RUNNING))
    refused("lease_ended_says_how", Lease, lease, ended_at=Now())
    refused("lease_ended_says_how", Lease, lease, ended_as="expired")


def test_a_fetch_that_is_closed_says_how_and_only_a_closed_one_is_watched(scene: Scene) -> None:
    fetch = Fetch.objects.get(id=scene.announced(scene.process()).number)
    refused("fetch_closed_says_how", Fetch, fetch, closed_at=Now())
    refused("fetch_watched_is_closed", Fetch, fetch, watch_until=Now())


def test_a_filter_group_has_one_leader(scene: Scene) -> None:
    values = {"engine": scene.row, "ordinal": 0, "process_id": scene.process()}
    PollLeadership.objects.create(**values, expires_at=Now())
    with pytest.raises(IntegrityError, match="leadership_one_per_group"), transaction.atomic():
        PollLeadership.objects.create(**values, expires_at=Now())

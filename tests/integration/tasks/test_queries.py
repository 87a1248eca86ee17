"""Counts that cost the same on tables of any size."""

from __future__ import annotations

import pytest
from django.db import connection

from bptl.connections.models import Engine
from bptl.tasks import queries
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task
from bptl.tasks.queries import Amount
from tests.integration.scene import Scene


def test_few_tasks_are_counted_and_many_estimated(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        scene.task(Status.DELIVERED, Outcome.COMPLETED)
    scene.task(Status.LOST, Outcome.COMPLETED)
    assert queries.counts() == {("delivered", "completed"): Amount(3), ("lost", "completed"): Amount(1)}
    monkeypatch.setattr(queries, "MANY", 2)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tasks_task")
    assert queries.counts() == {("delivered", "completed"): Amount(3, about=True), ("lost", "completed"): Amount(1)}


def test_an_estimate_is_told_in_two_digits_and_never_below_what_was_counted() -> None:
    assert Amount(4_849_312, about=True).rounded == 4_800_000
    assert Amount(4_849_312).rounded == 4_849_312
    assert Amount(3) + Amount(20_000, about=True) == Amount(20_003, about=True)


def test_the_tasks_of_a_deleted_mapping_stay_and_have_none(scene: Scene) -> None:
    mapping = scene.mappings["topic"]
    task = scene.task(Status.DELIVERED, Outcome.COMPLETED)
    Task.objects.filter(id=task.id).update(mapping=mapping)
    assert queries.story(task.id).task.mapping == mapping
    mapping.delete()
    assert queries.story(task.id).task.mapping is None
    assert Engine.objects.get().name == "main"

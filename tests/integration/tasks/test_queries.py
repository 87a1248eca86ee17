"""Lists and counts that cost the same on tables of any size."""

from __future__ import annotations

import pytest
from django.db import connection

from bptl.connections.models import WITHOUT_ENGINE, Engine
from bptl.tasks import queries
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task
from bptl.tasks.queries import Amount, TaskFilter
from tests.integration.scene import Scene


@pytest.fixture
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "SEARCHED", 3)


def test_an_engine_that_does_not_exist_has_no_tasks(scene: Scene) -> None:
    scene.task(Status.LOST)
    assert queries.page(TaskFilter(engine="unknown")).tasks == []
    assert queries.page(TaskFilter(engine="unknown", topic="topic", status="lost")).tasks == []
    assert len(queries.page(TaskFilter(engine="main")).tasks) == 1


def test_a_status_that_cannot_have_an_outcome_has_no_tasks(scene: Scene) -> None:
    scene.task(Status.QUEUED)
    assert queries.page(TaskFilter(status="queued", outcome="failed", topic="topic")) == queries.TaskPage([])


def test_a_list_of_several_states_is_one_list(scene: Scene) -> None:
    states = [Outcome.COMPLETED, Outcome.FAILED, Outcome.THROWN, Outcome.COMPLETED]
    ids = [scene.task(Status.DELIVERED, outcome).pk for outcome in states]
    ids.append(scene.task(Status.LOST, Outcome.COMPLETED).pk)
    page = queries.page(TaskFilter(status="delivered"), limit=3)
    assert [task.pk for task in page.tasks] == [ids[3], ids[2], ids[1]]
    assert page.older == ids[1]
    older = queries.page(TaskFilter(status="delivered", before_id=page.older), limit=3)
    assert [task.pk for task in older.tasks] == [ids[0]]
    newer = queries.page(TaskFilter(status="delivered"), after_id=ids[0], limit=2)
    assert ([task.pk for task in newer.tasks], newer.newer, newer.older) == ([ids[2], ids[1]], ids[2], ids[1])
    completed = queries.page(TaskFilter(outcome="completed"))
    assert [task.pk for task in completed.tasks] == [ids[4], ids[3], ids[0]]


NEWER = 1_000
"""Tasks of another kind that are newer than all that is asked for."""


@pytest.mark.parametrize(
    "wanted",
    [
        TaskFilter(topic="old"),
        TaskFilter(status="lost"),
        TaskFilter(outcome="failed"),
        TaskFilter(engine=WITHOUT_ENGINE),
        TaskFilter(status="lost", topic="old"),
        TaskFilter(topic="old", before_id=2**62),
    ],
    ids=str,
)
def test_a_list_does_not_read_the_newer_tasks_of_another_kind(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, wanted: TaskFilter
) -> None:
    monkeypatch.setattr(queries, "SEARCHED", 100)
    done = scene.task(Status.DELIVERED, Outcome.COMPLETED)
    names = {field.attname for field in Task._meta.concrete_fields} - {"id", "external_id"}
    values = {name: getattr(done, name) for name in names}
    old = [
        {**values, "topic": "old", "status": status, "outcome": outcome, "external_id": f"{status} {number}"}
        for number in range(NEWER)
        for status, outcome in (("lost", "completed"), ("delivered", "failed"))
    ]
    # So common that, for all that PostgreSQL knows, the first ones lie among the newest.
    Task.objects.bulk_create(Task(**one) for one in old)
    Task.objects.bulk_create(Task(**values, external_id=f"newer {number}") for number in range(NEWER))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tasks_task")
    before = rows_read()
    assert {task.topic for task in queries.page(wanted).tasks} <= {"old"}
    assert rows_read() - before < NEWER / 2


def rows_read() -> int:
    """Rows of tasks that this transaction has read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'tasks_task'")
        (rows,) = cursor.fetchone()
    return int(rows)


def test_a_search_for_filters_that_no_index_knows_together_goes_on_where_it_ended(
    scene: Scene, short_searches: None
) -> None:
    wanted = [scene.task(Status.DELIVERED, Outcome.FAILED, topic="rare") for _ in range(2)]
    for _ in range(7):
        scene.task(Status.DELIVERED, Outcome.FAILED, topic="other")
        scene.task(Status.DELIVERED, Outcome.COMPLETED, topic="rare")
    found: list[int] = []
    before, pages = None, 0
    while True:
        page = queries.page(TaskFilter(outcome="failed", topic="rare", before_id=before))
        found += [task.pk for task in page.tasks]
        pages += 1
        if page.older is None:
            break
        assert page.searched == 3
        before = page.older
    assert found == [task.pk for task in reversed(wanted)]
    assert pages > 2, "it ended more than once on its way"


def test_a_search_towards_the_newest_finds_the_same(scene: Scene, short_searches: None) -> None:
    first = scene.task(Status.DELIVERED, Outcome.COMPLETED, topic="other")
    for _ in range(7):
        scene.task(Status.DELIVERED, Outcome.FAILED, topic="other")
        scene.task(Status.DELIVERED, Outcome.COMPLETED, topic="rare")
    wanted = scene.task(Status.DELIVERED, Outcome.FAILED, topic="rare")
    after, found = first.pk, []
    for _ in range(10):
        page = queries.page(TaskFilter(outcome="failed", topic="rare"), after_id=after)
        found += [task.pk for task in page.tasks]
        if page.newer is None:
            break
        after = page.newer
    assert found == [wanted.pk]


def test_a_full_page_is_no_search_that_ended(scene: Scene, short_searches: None) -> None:
    tasks = [scene.task(Status.DELIVERED, Outcome.FAILED) for _ in range(5)]
    page = queries.page(TaskFilter(outcome="failed", topic=tasks[0].topic), limit=2)
    topics = {task.topic for task in tasks}
    assert (len(page.tasks), page.searched) == ((2, 0) if len(topics) == 1 else (1, 3))


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

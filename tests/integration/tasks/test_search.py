"""Lists of tasks: every filter alone and combined, at the same cost on tables of any size."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from bptl.connections.models import WITHOUT_ENGINE
from bptl.connections.models import Mapping as TopicMapping
from bptl.tasks import search, walks
from bptl.tasks.error_groups import group_of
from bptl.tasks.filters import Condition, TaskFilter
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task
from tests.integration.scene import RESULTS, Scene


@pytest.fixture
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, 3)


def bounded(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """A search has time for one step of so many rows."""
    monkeypatch.setattr(walks, "FIRST_STEP", rows)
    monkeypatch.setattr(search, "SECONDS", 0)


def test_an_engine_that_does_not_exist_has_no_tasks(scene: Scene) -> None:
    scene.task(Status.LOST)
    assert search.page(TaskFilter(engine="unknown")).tasks == []
    assert search.page(TaskFilter(engine="unknown", topic="topic", status="lost")).tasks == []
    assert len(search.page(TaskFilter(engine="main")).tasks) == 1


def test_a_status_that_cannot_have_an_outcome_has_no_tasks(scene: Scene) -> None:
    scene.task(Status.QUEUED)
    assert search.page(TaskFilter(status="queued", outcome="failed", topic="topic")) == search.TaskPage([])


def test_a_list_of_several_states_is_one_list(scene: Scene) -> None:
    states = [Outcome.COMPLETED, Outcome.FAILED, Outcome.THROWN, Outcome.COMPLETED]
    ids = [scene.task(Status.DELIVERED, outcome).pk for outcome in states]
    ids.append(scene.task(Status.LOST, Outcome.COMPLETED).pk)
    page = search.page(TaskFilter(status="delivered"), limit=3)
    assert [task.pk for task in page.tasks] == [ids[3], ids[2], ids[1]]
    assert page.older == ids[1]
    older = search.page(TaskFilter(status="delivered", before_id=page.older), limit=3)
    assert [task.pk for task in older.tasks] == [ids[0]]
    newer = search.page(TaskFilter(status="delivered"), after_id=ids[0], limit=2)
    assert ([task.pk for task in newer.tasks], newer.newer, newer.older) == ([ids[2], ids[1]], ids[2], ids[1])
    completed = search.page(TaskFilter(outcome="completed"))
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
    bounded(monkeypatch, 100)
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
    assert {task.topic for task in search.page(wanted).tasks} <= {"old"}
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
        page = search.page(TaskFilter(outcome="failed", topic="rare", before_id=before))
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
        page = search.page(TaskFilter(outcome="failed", topic="rare"), after_id=after)
        found += [task.pk for task in page.tasks]
        if page.newer is None:
            break
        after = page.newer
    assert found == [wanted.pk]


def test_a_full_page_is_no_search_that_ended(scene: Scene, short_searches: None) -> None:
    tasks = [scene.task(Status.DELIVERED, Outcome.FAILED) for _ in range(5)]
    page = search.page(TaskFilter(outcome="failed", topic=tasks[0].topic), limit=2)
    topics = {task.topic for task in tasks}
    assert (len(page.tasks), page.searched) == ((2, 0) if len(topics) == 1 else (1, 3))


def found(**wanted: Any) -> list[int]:
    """The numbers of the tasks on a page, newest first."""
    return [task.pk for task in search.page(TaskFilter(**wanted)).tasks]


def variable(text: object) -> dict[str, object]:
    return {"type": "String", "value": text, "valueInfo": {}}


def test_a_unit_finds_what_its_mappings_fetched_and_nothing_else_of_the_same_topics(scene: Scene) -> None:
    ours = scene.task(Status.DELIVERED, Outcome.COMPLETED)
    scene.map("other", unit="demo.slow")
    others = scene.task(Status.DELIVERED, Outcome.COMPLETED, topic="topic", mapping=scene.mappings["other"])
    assert found(unit="demo.quick") == [ours.pk]
    assert found(unit="demo.slow") == [], "its mapping has another topic now"
    Task.objects.filter(id=others.pk).update(topic="other")
    assert found(unit="demo.slow") == [others.pk]
    assert found(unit="demo.slow", topic="topic") == []
    assert found(unit="demo.nothing") == []


def test_a_unit_is_found_by_its_old_name_too(scene: Scene) -> None:
    scene.map("zaken", unit="zgw.create_zaak")
    task = scene.task(
        Status.DELIVERED, Outcome.COMPLETED, topic="zaken", mapping=TopicMapping.objects.get(topic="zaken")
    )
    assert found(unit="bptl.work_units.zgw.tasks.zaak.CreateZaakTask") == [task.pk]


def test_an_application_is_what_the_process_said(scene: Scene) -> None:
    task = scene.task(Status.DELIVERED, Outcome.COMPLETED, variables={"bptlAppId": variable("vth")})
    scene.task(Status.DELIVERED, Outcome.COMPLETED, variables={"bptlAppId": variable("jeugd")})
    scene.task(Status.DELIVERED, Outcome.COMPLETED, variables={"zaak": variable("vth")})
    assert found(application="vth") == [task.pk]


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("Kerkstraat 12", "kerkstraat"),
        ('a "quoted" word', '"quoted"'),
        ("back\\slash", "k\\s"),
        ("100 %", "0 %"),
        ("onder_streep", "r_s"),
        ("café", "CAFÉ"),
    ],
)
def test_text_is_found_in_variables_that_came_and_that_were_answered(scene: Scene, stored: str, asked: str) -> None:
    came = scene.task(Status.DELIVERED, Outcome.COMPLETED, variables={"adres": variable(stored)})
    answered = scene.task(Status.DELIVERED, Outcome.COMPLETED, result={"variables": {"adres": variable(stored)}})
    scene.task(Status.DELIVERED, Outcome.COMPLETED, variables={"adres": variable("10090 onderXstreep")})
    assert found(text=asked) == [answered.pk, came.pk]


def test_a_sign_of_a_pattern_in_a_text_is_only_itself(scene: Scene) -> None:
    scene.task(Status.DELIVERED, Outcome.COMPLETED, variables={"adres": variable("Kerkstraat")})
    assert found(text="%") == []
    assert found(text="Kerk_traat") == []


def at(hour: int) -> datetime:
    return datetime(2026, 11, 20, hour, tzinfo=timezone.get_current_timezone())


@pytest.fixture
def hours(scene: Scene) -> dict[int, int]:
    """A task for each hour of a day: hour → number. Two changed places, as transactions do; some are deleted."""
    tasks = [scene.task(Status.DELIVERED, Outcome.COMPLETED).pk for _ in range(24)]
    for hour, number in enumerate(tasks):
        Task.objects.filter(id=number).update(recorded_at=at(hour))
    late, early = tasks[12], tasks[13]
    Task.objects.filter(id=early).update(recorded_at=at(12) - timedelta(seconds=5))
    for hour in (3, 4, 5, 20):
        Task.objects.get(id=tasks[hour]).delete()
    kept = {hour: number for hour, number in enumerate(tasks) if hour not in {3, 4, 5, 20}}
    assert kept[12] == late
    return kept


@pytest.mark.parametrize(("since", "until"), [(0, 23), (3, 9), (4, 5), (9, 20), (12, 13), (13, 14), (21, 23), (23, 23)])
def test_a_time_takes_what_was_first_seen_in_it(hours: dict[int, int], since: int, until: int) -> None:
    seen = dict(Task.objects.values_list("id", "recorded_at"))
    expected = [number for number, when in seen.items() if at(since) <= when < at(until)]
    assert found(since=at(since), until=at(until)) == sorted(expected, reverse=True)
    assert found(since=at(since)) == sorted((n for n, when in seen.items() if when >= at(since)), reverse=True)
    assert found(until=at(until)) == sorted((n for n, when in seen.items() if when < at(until)), reverse=True)


def test_a_time_before_and_after_all_tasks_has_none(hours: dict[int, int]) -> None:
    assert found(until=at(0)) == []
    assert found(since=at(23) + timedelta(seconds=1)) == []
    assert len(found(since=at(0) - timedelta(days=900))) == len(hours)


def test_an_empty_installation_has_no_tasks_of_any_time(scene: Scene) -> None:
    assert found(since=at(3), until=at(4)) == []


def test_pages_of_a_time_stay_within_it(hours: dict[int, int]) -> None:
    wanted = TaskFilter(since=at(6), until=at(19), topic="topic")
    first = search.page(wanted, limit=4)
    assert [task.pk for task in first.tasks] == [hours[hour] for hour in (18, 17, 16, 15)]
    assert first.older
    back = search.page(wanted, after_id=hours[14], limit=4)
    assert [task.pk for task in back.tasks] == [task.pk for task in first.tasks]


def failures(scene: Scene, message: str, count: int, **fields: Any) -> str:
    """So many failed tasks of one cause; the key of their group."""
    key = group_of("demo.quick", message).key
    for _ in range(count):
        result = {**(RESULTS[Outcome.FAILED] or {}), "message": message, "unit": "demo.quick"}
        scene.task(Status.DELIVERED, Outcome.FAILED, result=result, error_group=key, **fields)
    return key


def test_an_error_group_has_the_tasks_that_lie_failed_of_one_cause(scene: Scene) -> None:
    key = failures(scene, "zaaktype 17 is unknown", 3)
    failures(scene, "HTTP 503 from the Zaken API", 2)
    tried_again = Task.objects.filter(error_group=key).first()
    assert tried_again is not None
    Task.objects.filter(id=tried_again.pk).update(
        status="queued", outcome="", outcome_id=None, result=None, lease_id=tried_again.last_lease_id
    )
    assert len(found(error_group=key)) == 2
    assert found(error_group=key, status="queued") == []
    assert found(error_group="0" * 16) == []


def test_failures_are_grouped_by_cause_with_the_filters_of_the_list(scene: Scene) -> None:
    key = failures(scene, "zaaktype 17 is unknown", 3)
    failures(scene, "HTTP 503 from the Zaken API", 2)
    failures(scene, "HTTP 503 from the Zaken API", 4, topic="other")
    scene.task(Status.DELIVERED, Outcome.FAILED)
    scene.task(Status.DELIVERED, Outcome.COMPLETED)
    groups = search.error_groups(TaskFilter(outcome="failed", topic="topic")).groups
    assert [(one.count, one.group and one.group.cause) for one in groups] == [
        (3, "zaaktype … is unknown"),
        (2, "HTTP 503 from the Zaken API"),
        (1, None),
    ]
    assert groups[0].group == group_of("demo.quick", "zaaktype 17 is unknown")
    (only,) = search.error_groups(TaskFilter(error_group=key)).groups
    assert (only.count, only.group and only.group.unit) == (3, "demo.quick")
    assert only.first_seen <= only.last_changed


def test_many_failures_are_grouped_from_the_newest(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "GROUPED", 3)
    failures(scene, "old", 2)
    failures(scene, "new", 3)
    grouped = search.error_groups(TaskFilter(outcome="failed"))
    assert ([one.count for one in grouped.groups], grouped.walked) == ([3], 3)
    assert search.error_groups(TaskFilter(outcome="failed", topic="none")) == search.Grouped([], 0)


def test_all_filters_together_find_the_one_task_that_has_it_all(scene: Scene) -> None:
    all_of_it: dict[str, Any] = {
        "business_key": "VTH-1",
        "process_instance_id": "p-1",
        "variables": {"bptlAppId": variable("vth"), "adres": variable("Kerkstraat")},
    }
    failures(scene, "HTTP 503", 1, **all_of_it, recorded_at=at(1))
    for name, other in (("business_key", "VTH-2"), ("process_instance_id", "p-2"), ("variables", {}), ("topic", "x")):
        failures(scene, "HTTP 503", 1, **{**all_of_it, name: other})
    failures(scene, "HTTP 404", 1, **all_of_it)
    key = failures(scene, "HTTP 503", 1, **all_of_it)
    wanted = Task.objects.order_by("-id")[0]
    now = timezone.now()
    assert found(
        status="delivered",
        outcome="failed",
        engine="main",
        topic="topic",
        unit="demo.quick",
        application="vth",
        process_instance_id="p-1",
        business_key="VTH-1",
        error_group=key,
        text="kerkstraat",
        since=now - timedelta(hours=1),
        until=now + timedelta(hours=1),
    ) == [wanted.pk]


def test_a_business_key_of_most_tasks_is_not_sorted_as_a_whole(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    done = scene.task(Status.DELIVERED, Outcome.COMPLETED, business_key="same")
    names = {field.attname for field in Task._meta.concrete_fields} - {"id", "external_id"}
    values = {name: getattr(done, name) for name in names}
    Task.objects.bulk_create(Task(**values, external_id=str(uuid.uuid4())) for _ in range(NEWER))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tasks_task")
    monkeypatch.setattr(walks, "SORTED_AT_MOST", 100)
    before = rows_read()
    assert len(found(business_key="same")) == 50
    assert rows_read() - before < NEWER / 2


def test_a_search_that_reads_too_much_is_stopped(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.task(Status.DELIVERED, Outcome.COMPLETED)
    monkeypatch.setattr(walks, "LONGEST_STATEMENT", 0.001)
    slow = "EXISTS (SELECT 1 FROM generate_series(1, 10000000) n WHERE n < 0 AND id > 0)"
    monkeypatch.setattr(walks, "ANY", Condition(slow))
    with pytest.raises(walks.TooSlow):
        search.page(TaskFilter())

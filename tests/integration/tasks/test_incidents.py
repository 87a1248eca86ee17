"""Four hundred failed tasks are a few lines: what failed, how often, when last, of which topics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F

from bptl.tasks import incidents
from bptl.tasks.error_groups import group_of
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task
from tests.integration.scene import Scene

DAY = timedelta(days=1)


def failed(scene: Scene, message: str, *, topic: str = "topic", ago: timedelta = timedelta(), **fields: Any) -> Task:
    """A task that lies failed."""
    result = {"message": message, "details": "Traceback", "retries": 0, "wait_ms": 0, "unit": "mail.send"}
    key = group_of("mail.send", message).key
    task = scene.task(Status.DELIVERED, Outcome.FAILED, result=result, error_group=key, **{"topic": topic, **fields})
    Task.objects.filter(id=task.id).update(changed_at=F("changed_at") - ago)
    return task


def test_failures_with_one_cause_are_one_line_with_the_most_frequent_first(scene: Scene) -> None:
    failed(scene, "KeyError: 'zaak'", topic="besluit")
    for number in range(5):
        failed(scene, f"no mailbox {number}", topic=f"mail-{number}")
    common, rare = incidents.recent(DAY)
    assert (common.amount.number, common.group.unit, common.group.cause) == (5, "mail.send", "no mailbox …")
    assert (common.topics, common.more_topics) == (["mail-0", "mail-1", "mail-2"], 2)
    assert (rare.amount.number, rare.group.cause, rare.topics) == (1, "KeyError: 'zaak'", ["besluit"])


def test_the_number_is_that_of_the_list_and_counts_older_failures_of_the_cause_too(scene: Scene) -> None:
    old = failed(scene, "no mailbox 1", ago=3 * DAY)
    new = failed(scene, "no mailbox 2")
    (found,) = incidents.recent(DAY)
    listed = Task.objects.filter(status="delivered", outcome="failed", error_group=found.group.key)
    assert set(listed) == {old, new}
    assert found.amount.number == 2


def test_a_cause_of_which_nothing_failed_lately_is_no_news(scene: Scene) -> None:
    failed(scene, "no mailbox 1", ago=2 * DAY)
    assert incidents.recent(DAY) == []


def test_what_was_mended_is_no_incident_any_more(scene: Scene) -> None:
    task = failed(scene, "no mailbox 1")
    Task.objects.filter(id=task.id).update(outcome="completed", error_group="")
    assert incidents.recent(DAY) == []


def test_it_says_whether_the_engine_offers_them_again_by_itself(scene: Scene) -> None:
    failed(scene, "no mailbox 1", retry_at="2030-01-01T00:00:00Z")
    assert [found.again for found in incidents.recent(DAY)] == [True]
    failed(scene, "no mailbox 2")
    assert [found.again for found in incidents.recent(DAY)] == [False]

"""The admin pages of the heart show all and change nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bptl.accounts.models import User
from bptl.tasks.endings import Ending
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.retries import NO_RETRY
from bptl.web import admin_tasks
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, a_scene

LIST = "/admin/tasks/task/"


@pytest.fixture
def scene(there: FakeEngine, db: None) -> Iterator[Scene]:
    with a_scene(there) as scene:
        yield scene


@pytest.fixture
def administrator(db: None) -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(User.objects.create_superuser("admin", password="not-used-here"))
    return client


def test_a_task_shows_its_error_and_its_variables(scene: Scene, administrator: Client) -> None:
    variables = {"aanvrager": {"type": "String", "value": "Ouédraogo <b>", "valueInfo": {}}}
    failed = Ending.failed("de Zaken API antwoordt niet", "Traceback", NO_RETRY)
    claimed = scene.performed(scene.process(), failed, variables=variables)

    page = administrator.get(f"{LIST}{claimed.task_id}/change/").content.decode()

    assert "de Zaken API antwoordt niet" in page
    assert "Ouédraogo &lt;b&gt;" in page
    assert "<pre>" in page


def test_nothing_can_be_added_changed_or_deleted(scene: Scene, administrator: Client) -> None:
    task = scene.task(Status.QUEUED)
    assert administrator.get(f"{LIST}add/").status_code == 403
    assert administrator.post(f"{LIST}{task.pk}/change/", {"status": "lost"}).status_code == 403
    assert administrator.post(f"{LIST}{task.pk}/delete/", {"post": "yes"}).status_code == 403
    task.refresh_from_db()
    assert task.status == Status.QUEUED


def test_a_task_is_found_by_each_of_its_ids(scene: Scene, administrator: Client) -> None:
    wanted = scene.task(Status.QUEUED, business_key="ZAAK-1", process_instance_id="instance-1")
    scene.task(Status.QUEUED, business_key="ZAAK-2", process_instance_id="instance-2")
    for text in (wanted.external_id, "ZAAK-1", "instance-1"):
        found = administrator.get(LIST, {"q": text}).context["cl"].queryset
        assert [task.pk for task in found] == [wanted.pk]


def test_a_list_is_filtered_by_state_and_engine_newest_first(scene: Scene, administrator: Client) -> None:
    scene.task(Status.QUEUED)
    done = [scene.task(Status.DELIVERED, Outcome.COMPLETED) for _ in range(2)]
    scene.task(Status.DELIVERED, Outcome.FAILED)

    def found(**chosen: str | int) -> list[int]:
        return [task.pk for task in administrator.get(LIST, chosen).context["cl"].result_list]

    newest_first = [done[1].pk, done[0].pk]
    assert found(state="delivered-completed") == newest_first
    assert found(state="delivered-completed", engine=scene.row.pk) == newest_first
    assert found(state="delivered-completed", engine=0) == []
    assert len(found(state="no such state", engine="no number")) == 4
    assert len(found(state="queued")) == 1


def test_a_list_has_no_filter_or_order_that_would_read_all_tasks(scene: Scene, administrator: Client) -> None:
    first, second = scene.task(Status.QUEUED, topic="a"), scene.task(Status.QUEUED, topic="b")
    assert administrator.get(LIST, {"status__exact": "queued"}).status_code == 400
    listed = administrator.get(LIST, {"o": "2"}).context["cl"].result_list
    assert [task.pk for task in listed] == [second.pk, first.pk]


def test_a_list_never_counts_a_whole_big_table(
    scene: Scene, administrator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_tasks, "MOST_COUNTED", 2)
    for _ in range(3):
        scene.task(Status.QUEUED)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = administrator.get(LIST)
    assert answer.context["cl"].result_count == 2
    counting = [query["sql"] for query in queries if "COUNT(*)" in query["sql"] and "tasks_task" in query["sql"]]
    assert counting
    assert all("LIMIT 2" in statement for statement in counting)


@pytest.mark.parametrize("page", ["/admin/tasks/fetch/", "/admin/tasks/process/"])
def test_fetches_and_processes_can_be_looked_at(scene: Scene, administrator: Client, page: str) -> None:
    scene.queued(scene.process())
    answer = administrator.get(page)
    assert answer.status_code == 200
    assert answer.context["cl"].result_count >= 1

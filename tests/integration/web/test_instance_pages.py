"""Process instances of an engine: listed as it tells them, deleted after a page that says what goes with them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from bptl.accounts.models import AuditEntry
from bptl.accounts.roles import Role
from bptl.connections.models import Engine
from bptl.tasks.instances import PAGE
from tests.doubles.engine import FakeEngine
from tests.integration.web.conftest import MakeTask, somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Client:
    return somebody(Role.ADMINISTRATOR)


@pytest.fixture
def main_engine(there: FakeEngine) -> Engine:
    return Engine.objects.create(name="main", address=there.url, authentication="none")


@pytest.fixture
def listed(main_engine: Engine) -> str:
    return reverse("instances", args=[main_engine.pk])


@pytest.fixture
def deleting(main_engine: Engine) -> str:
    return reverse("instances-delete", args=[main_engine.pk])


def audited() -> list[tuple[str, str, object]]:
    rows = AuditEntry.objects.filter(action__startswith="instances.").order_by("id")
    return [(row.action, row.reason, row.detail["instances"]) for row in rows]


def test_instances_are_listed_by_name_with_their_tasks_here(
    reader: Client, there: FakeEngine, listed: str, make_task: MakeTask
) -> None:
    there.add(process_instance_id="i-1", business_key="case-1")
    there.add(process_instance_id="i-2", business_key="case-2")
    for _ in range(2):
        make_task(process_instance_id="i-1")
    answer = reader.get(listed)
    rows = [(row.instance.id, row.process, row.task_count) for row in answer.context["page"].rows]
    assert rows == [("i-1", "A permit", 2), ("i-2", "A permit", 0)]
    assert "/tasks/?process_instance=i-1" in answer.content.decode()
    assert "Delete the marked ones" not in answer.content.decode()
    filtered = reader.get(listed, {"business_key": "case-2", "process": "model"})
    assert [row.instance.id for row in filtered.context["page"].rows] == ["i-2"]
    nothing = reader.get(listed, {"process": "other"}).content.decode()
    assert "No process instance matches" in nothing


def test_without_the_right_to_read_definitions_processes_are_named_by_their_key(
    reader: Client, there: FakeEngine, listed: str
) -> None:
    there.add(process_instance_id="i-1")
    for status, body in ((200, []), (403, {"type": "AuthorizationException", "message": "no"})):
        there.answer("definitions", status, body)
        answer = reader.get(listed)
        assert [row.process for row in answer.context["page"].rows] == ["model"]
        assert "READ on Process Definition" in answer.content.decode()


def test_pages_keep_the_filters(reader: Client, there: FakeEngine, listed: str) -> None:
    for number in range(PAGE + 1):
        there.add(process_instance_id=f"i-{number:03}")
    first = reader.get(listed, {"process": "model"})
    assert len(first.context["page"].rows) == PAGE
    assert first.context["newer"] == ""
    second = reader.get(first.context["older"])
    assert [row.instance.id for row in second.context["page"].rows] == [f"i-{PAGE:03}"]
    assert (second.context["older"], second.context["newer"]) == ("", f"{listed}?process=model")
    assert "There are no more" in reader.get(listed, {"first": 500}).content.decode()


def test_an_engine_without_instances_says_what_that_may_mean(reader: Client, listed: str) -> None:
    shown = reader.get(listed).content.decode()
    assert "No process instance runs" in shown
    assert "READ on Process Instance" in shown


def test_an_engine_that_is_down_is_a_page_that_says_so_and_leads_back(
    reader: Client, there: FakeEngine, listed: str
) -> None:
    with there.down():
        answer = reader.get(f"{listed}?process=model")
        dutch = reader.get(listed, headers={"accept-language": "nl"}).content.decode()
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    shown = answer.content.decode()
    assert "Engine main does not answer" in shown
    assert "nothing listens at 127.0.0.1" in shown
    assert f'href="{listed}?process=model"' in shown
    assert "Engine main antwoordt niet" in dutch


def test_a_wrong_login_and_a_missing_right_are_pages_too(reader: Client, there: FakeEngine, listed: str) -> None:
    there.answer("instances", 401)
    assert "does not accept our login" in reader.get(listed).content.decode()
    right = {"permissionName": "READ", "resourceName": "ProcessInstance", "resourceId": "*"}
    there.answer("instances", 403, {"type": "AuthorizationException", "message": "no", **right})
    answer = reader.get(listed)
    assert answer.status_code == 502
    assert "grant our user: READ on ProcessInstance *" in answer.content.decode()
    there.answer("instances", 200, "<html>a login page</html>")
    assert "What answers is not engine main" in reader.get(listed).content.decode()


def test_deletion_is_confirmed_with_what_goes_and_a_reason(
    administrator: Client, there: FakeEngine, deleting: str, listed: str, make_task: MakeTask
) -> None:
    for name in ("i-1", "i-2", "i-3"):
        there.add(process_instance_id=name)
    make_task("running", process_instance_id="i-1")
    make_task(process_instance_id="i-2")
    assert "Delete the marked ones" in administrator.get(listed).content.decode()
    shown = administrator.get(deleting, {"id": ["i-1", "i-2", "gone"]}).content.decode()
    assert "ends these 2 process instances" in shown
    assert "One task of them is not over here" in shown
    assert "One of those that you marked is gone already" in shown
    assert there.deletions == []

    assert "say why" in administrator.post(deleting, {"id": ["i-1", "i-2"]}).content.decode()
    assert there.deletions == []
    done = administrator.post(deleting, {"id": ["i-1", "i-2"], "reason": "wrong month"}, follow=True)
    assert "The engine deletes 2 instances now (batch batch-1)" in done.content.decode()
    [deletion] = there.deletions
    assert deletion == {
        "processInstanceIds": ["i-1", "i-2"],
        "deleteReason": "wrong month (BPTL, administrator)",
        "skipCustomListeners": True,
        "skipSubprocesses": False,
        "failIfNotExists": False,
    }
    assert [row.instance.id for row in done.context["page"].rows] == ["i-3"]
    assert audited() == [("instances.deleted", "wrong month", ["i-1", "i-2"])]


def test_nothing_chosen_and_all_gone_are_said(administrator: Client, there: FakeEngine, deleting: str) -> None:
    none = administrator.get(deleting)
    assert none.status_code == 400
    assert "No instance is chosen" in none.content.decode()
    gone = administrator.post(deleting, {"id": "gone", "reason": "whatever"})
    assert gone.status_code == 409
    assert "All of them are gone already" in gone.content.decode()
    assert (there.deletions, audited()) == ([], [])


def test_a_missing_right_to_delete_is_said_keeps_the_reason_and_is_in_the_audit_log(
    administrator: Client, there: FakeEngine, deleting: str
) -> None:
    there.add(process_instance_id="i-1")
    right = {"permissionName": "CREATE", "resourceName": "Batch"}
    there.answer("deleteInstances", 403, {"type": "AuthorizationException", "message": "not yours", **right})
    refused = administrator.post(deleting, {"id": "i-1", "reason": "wrong month"})
    assert refused.status_code == 502
    shown = refused.content.decode()
    assert "grant our user: CREATE on Batch *" in shown
    assert "Nothing was deleted" in shown
    assert "wrong month" in shown
    assert audited() == [
        ("instances.deleted", "wrong month", ["i-1"]),
        ("instances.deletion_refused", "not yours", ["i-1"]),
    ]


def test_an_engine_that_goes_down_meanwhile_costs_nothing_that_was_typed(
    administrator: Client, there: FakeEngine, deleting: str
) -> None:
    there.add(process_instance_id="i-1")
    with there.down():
        assert administrator.get(deleting, {"id": "i-1"}).status_code == 503
        refused = administrator.post(deleting, {"id": "i-1", "reason": "wrong month"})
    assert refused.status_code == 502
    shown = refused.content.decode()
    assert "Engine main does not answer" in shown
    assert "wrong month" in shown
    assert 'name="id" value="i-1"' in shown


def test_operators_see_instances_and_do_not_delete_them(
    operator: Client, there: FakeEngine, listed: str, deleting: str
) -> None:
    there.add(process_instance_id="i-1")
    assert "Delete the marked ones" not in operator.get(listed).content.decode()
    assert operator.get(deleting, {"id": "i-1"}).status_code == 403
    assert operator.post(deleting, {"id": "i-1", "reason": "no right"}).status_code == 403
    assert there.deletions == []

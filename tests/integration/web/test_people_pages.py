"""The pages of people, the audit log and the settings in force."""

from __future__ import annotations

import csv
import io
import re

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client

from bptl.accounts import audit, people
from bptl.accounts.audit import By
from bptl.accounts.models import AuditEntry, User
from bptl.accounts.roles import Role
from bptl.connections.mail_models import MailTemplate
from bptl.tasks.models import Event
from bptl.web.admin_audit import unaudited
from tests.integration.web.conftest import MakeTask, somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Client:
    return somebody(Role.ADMINISTRATOR)


def acts() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "actor", "reason"))


def test_somebody_is_invited_and_the_link_is_shown_once(administrator: Client) -> None:
    page = administrator.post("/people/invite/", {"username": "piet", "full_name": "Piet de Vries", "role": "operator"})
    link = re.search(r"http://testserver(/welcome/[^<]+)<", page.content.decode())
    assert link is not None
    assert "Choose a password" in Client(HTTP_ACCEPT_LANGUAGE="en").get(link[1], follow=True).content.decode()
    piet = User.objects.get(username="piet")
    assert (piet.role, piet.get_full_name()) == (Role.OPERATOR, "Piet de Vries")
    assert "piet" in administrator.get("/people/").content.decode()
    again = administrator.post("/people/invite/", {"username": "piet"}).content.decode()
    assert "already exists" in again


def test_a_role_is_given_with_a_reason_that_stays(administrator: Client) -> None:
    piet = User.objects.create_user("piet")
    refused = administrator.post(f"/people/{piet.pk}/role/", {"role": "viewer"})
    assert refused.status_code == 400
    assert administrator.post(f"/people/{piet.pk}/role/", {"role": "viewer", "reason": "nieuw"}).status_code == 302
    assert User.objects.get(pk=piet.pk).role is Role.VIEWER
    assert acts()[-1] == ("role.set", "administrator", "nieuw")


def test_the_last_administrator_is_told_why_not(administrator: Client) -> None:
    me = User.objects.get(username="administrator")
    for page, said in ((f"/people/{me.pk}/role/", {"role": ""}), (f"/people/{me.pk}/active/off/", {})):
        answer = administrator.post(page, {"reason": "weg", **said})
        assert answer.status_code == 409
        assert "Nobody else could administer BPTL then" in answer.content.decode()
    assert people.administrators().get() == me


def test_who_is_kept_out_is_let_in_again(administrator: Client) -> None:
    piet = User.objects.create_user("piet")
    administrator.post(f"/people/{piet.pk}/active/off/", {"reason": "weg"})
    assert not User.objects.get(pk=piet.pk).is_active
    administrator.post(f"/people/{piet.pk}/active/on/", {"reason": "terug"})
    assert User.objects.get(pk=piet.pk).is_active
    assert [act[0] for act in acts()][-2:] == ["user.deactivated", "user.activated"]


def test_changes_on_the_admin_pages_are_in_the_audit_log_and_nowhere_else(administrator: Client) -> None:
    said = {"name": "groet", "subject": "Hallo", "text": "Dag", "html": "<p>Dag</p>"}
    pages = "/admin/connections/mailtemplate"
    assert administrator.post(f"{pages}/add/", said).status_code == 302
    template = MailTemplate.objects.get()
    administrator.post(f"{pages}/{template.pk}/change/", {**said, "subject": "Dag"})
    administrator.post(f"{pages}/{template.pk}/delete/", {"post": "yes"})
    assert [act[0] for act in acts()][-3:] == ["mailtemplate.added", "mailtemplate.changed", "mailtemplate.deleted"]
    assert LogEntry.objects.count() == 0
    history = administrator.get(f"{pages}/{template.pk}/history/")
    assert history["Location"] == f"/audit/?object_type=connections.mailtemplate&object_id={template.pk}"


def test_no_admin_page_changes_something_in_silence() -> None:
    assert unaudited(admin.site._registry) == []


def test_what_people_did_to_tasks_is_in_the_same_list_and_stored_once(
    administrator: Client, make_task: MakeTask
) -> None:
    task = make_task()
    Event.objects.create(task=task, name="task.retried", actor="jansen", detail={"reason": "opnieuw"})
    Event.objects.create(task=task, name="task.uncertain", detail={})
    page = administrator.get("/audit/").content.decode()
    assert "task.retried" in page
    assert "opnieuw" in page
    assert f"/tasks/{task.pk}/" in page
    assert "task.uncertain" not in page, "what BPTL did by itself is no act of a person"
    assert AuditEntry.objects.filter(action="task.retried").count() == 0


def test_the_audit_log_is_filtered_and_paged_without_losing_a_row(administrator: Client, make_task: MakeTask) -> None:
    task = make_task()
    for number in range(70):
        # One transaction, one time: the order within it must hold too.
        audit.record("mapping.changed", by=By("piet"), reason=f"nummer-{number}")
        Event.objects.create(task=task, name="task.retried", actor="piet", detail={"reason": f"taak-{number}"})
    audit.record("engine.added", by=By("jan"))
    seen: list[str] = []
    address = "/audit/?actor=piet"
    while address:
        page = administrator.get(address).content.decode()
        seen += re.findall(r">((?:nummer|taak)-\d+)<", page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == 140
    assert len(set(seen)) == 140
    assert "engine.added" not in administrator.get("/audit/?actor=piet").content.decode()
    assert "engine.added" in administrator.get("/audit/?action=engine").content.decode()
    assert "Nothing matches" in administrator.get("/audit/?until=2001-01-01").content.decode()


def test_the_export_holds_all_rows_and_no_formula(administrator: Client) -> None:
    audit.record("mapping.changed", by=By("piet"), reason="=HYPERLINK()")
    answer = administrator.get("/audit.csv?actor=piet")
    lines = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
    assert [(line["actor"], line["reason"]) for line in lines] == [("piet", "'=HYPERLINK()")]


@pytest.mark.parametrize("statement", ["UPDATE accounts_auditentry SET actor = 'x'", "DELETE FROM accounts_auditentry"])
def test_nothing_rewrites_the_audit_log(statement: str) -> None:
    audit.record("mapping.changed", by=By("piet"))
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_settings_in_force_are_shown_without_any_secret(administrator: Client) -> None:
    from django.conf import settings

    page = administrator.get("/settings/").content.decode()
    for one in settings.BPTL_ENVIRONMENT:
        assert f">{one.name}</code>" in page
    assert settings.SECRET_KEY not in page
    assert str(settings.DATABASES["default"]["PASSWORD"] or "no-password") not in page
    assert settings.BPTL_ENCRYPTION_KEYS[0] not in page
    assert "set, secret" in page


def test_every_page_of_this_kind_has_dutch_words(administrator: Client) -> None:
    for page in ("/people/", "/people/invite/", "/audit/", "/settings/", "/account/", "/account/second-factor/"):
        text = administrator.get(page, headers={"accept-language": "nl"}).content.decode()
        for english in ("People</h1>", "Invite somebody</h1>", "Audit log</h1>", "Settings in force", "Your account"):
            assert english not in text, page

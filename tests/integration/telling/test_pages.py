"""The pages of incidents and of owners, for who may see and change them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from pytest_django.fixtures import Settings

from bptl.accounts.models import AuditEntry
from bptl.accounts.roles import Role
from bptl.connections.models import Mapping
from bptl.telling import rounds
from bptl.telling.models import Incident, Message
from tests.doubles.mailbox import Mailbox
from tests.doubles.webhook import Receiver
from tests.integration.telling.conftest import FALLBACK, OWNER, SECRET, Fail
from tests.integration.web.conftest import somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(db: None) -> Client:
    return somebody(Role.ADMINISTRATOR)


def text(client: Client, page: str) -> str:
    return client.get(page).content.decode()


def test_an_incident_shows_how_many_since_when_whom_was_told_and_its_tasks(fail: Fail) -> None:
    tasks = fail(12)
    rounds.run()
    incident = Incident.objects.get()
    operator = somebody(Role.OPERATOR)
    assert f'href="/incidents/{incident.pk}/"' in text(operator, "/incidents/")
    page = text(operator, f"/incidents/{incident.pk}/")
    assert ">12<" in page
    assert "zaak … is closed" in page
    assert "Vergunningen" in page
    assert OWNER in page
    assert f"error={incident.error_group}" in page
    assert f'href="/tasks/{tasks[-1].pk}/"' in page


def test_a_viewer_sees_no_addresses_and_no_buttons(fail: Fail) -> None:
    fail(1)
    rounds.run()
    incident = Incident.objects.get()
    viewer = somebody(Role.VIEWER)
    page = text(viewer, "/incidents/") + text(viewer, f"/incidents/{incident.pk}/")
    assert OWNER not in page
    assert "Mute" not in page
    assert viewer.post(f"/incidents/{incident.pk}/mute/", {"hours": "1", "reason": "x"}).status_code == 403


def test_an_operator_mutes_with_a_reason_and_takes_it_back(fail: Fail, post: Mailbox) -> None:
    fail(1)
    rounds.run()
    address = f"/incidents/{Incident.objects.get().pk}/"
    operator = somebody(Role.OPERATOR)
    assert operator.post(f"{address}mute/", {"hours": "4", "reason": ""}).status_code == 400
    assert operator.post(f"{address}mute/", {"hours": "5", "reason": "x"}).status_code == 400
    answer = operator.post(f"{address}mute/", {"hours": "4", "reason": "release vanavond"}, follow=True)
    assert "Nothing more is told of it until then." in answer.content.decode()
    assert "release vanavond" in text(operator, address)
    assert "muted until" in text(operator, "/incidents/")
    operator.post(f"{address}unmute/")
    assert Incident.objects.get().muted_until is None
    acts = list(AuditEntry.objects.filter(object_type="telling.incident").values_list("action", "reason"))
    assert sorted(acts) == [("incident.muted", "release vanavond"), ("incident.unmuted", "")]


def test_an_incident_that_is_over_cannot_be_muted(fail: Fail) -> None:
    fail(1)
    rounds.run()
    Incident.objects.update(ended_at=Now(), tell_at=None)
    address = f"/incidents/{Incident.objects.get().pk}/"
    answer = somebody(Role.OPERATOR).post(f"{address}mute/", {"hours": "1", "reason": "x"}, follow=True)
    assert "It is over already" in answer.content.decode()


def test_an_administrator_gives_a_mapping_an_owner_and_sends_a_test(
    administrator: Client, mapping: Mapping, receiver: Receiver, post: Mailbox
) -> None:
    page = f"/mappings/{mapping.pk}/owner/"
    said = {"owner_name": "Zaken", "owner_mail": "a@example.nl, b@example.nl", "owner_webhook": receiver.url}
    assert "A webhook needs a secret" in administrator.post(page, {**said, "reason": "x"}).content.decode()
    said |= {"owner_secret": SECRET}
    assert administrator.post(page, said).status_code == 200, "without a reason nothing is stored"
    before = Mapping.objects.get().updated_at
    assert administrator.post(page, {**said, "reason": "nieuw team"}).status_code == 302
    stored = Mapping.objects.get()
    assert (stored.owner_name, stored.owner_mail) == ("Zaken", ["a@example.nl", "b@example.nl"])
    assert stored.owner_secret == SECRET
    assert stored.updated_at == before, "its lines need not be polled anew"
    assert SECRET not in text(administrator, page)
    entry = AuditEntry.objects.get(action="mapping.owner_set")
    assert entry.reason == "nieuw team"
    assert SECRET not in str(entry.detail)

    tried = administrator.post(f"{page}test/", follow=True).content.decode()
    assert "A test went to a@example.nl." in tried
    assert [call.payload["event"] for call in receiver.calls] == ["test"]
    assert receiver.calls[0].signed
    administrator.post(page, {**said, "owner_secret": "", "owner_mail": "", "reason": "minder"})
    assert Mapping.objects.get().owner_secret == SECRET, "an empty field keeps the secret"


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("owner_mail", "a@example.nl, nobody", "nobody is no mail address"),
        ("owner_webhook", "ftp://example.nl/", "Enter an http(s) address"),
        ("owner_webhook", "https://a:b@example.nl/", "Leave username and password out"),
        ("owner_secret", "short", "16 characters or more"),
    ],
)
def test_what_is_wrong_with_an_owner_is_said_at_its_field(
    field: str, value: str, fault: str, administrator: Client, mapping: Mapping
) -> None:
    said = {"owner_webhook": "https://example.nl/hook", "owner_secret": SECRET, "reason": "x", field: value}
    assert fault in administrator.post(f"/mappings/{mapping.pk}/owner/", said).content.decode()
    assert Mapping.objects.get().owner_webhook == ""


def test_an_administrator_sees_what_does_not_arrive(administrator: Client, fail: Fail, settings: Settings) -> None:
    settings.EMAIL_PORT = 1
    fail(1)
    rounds.run()
    page = text(administrator, "/incidents/")
    assert "Messages that nobody took" in page
    assert "no mail was given to the mail server" in page
    Message.objects.update(planned_at=Now() - timedelta(days=2), next_try_at=None, given_up_at=Now())
    assert "Given up at" in text(administrator, "/incidents/")
    tried = administrator.post("/incidents/test/", follow=True).content.decode()
    assert f"No test reached {FALLBACK}" in tried


def test_without_any_address_an_administrator_is_told_what_to_set(
    administrator: Client, fleet: None, settings: Settings
) -> None:
    settings.BPTL_INCIDENT_MAIL = []
    page = text(administrator, "/incidents/")
    assert "BPTL_INCIDENT_MAIL" in page
    assert "Nothing goes wrong that somebody must know of." in page
    assert "there is no address" in administrator.post("/incidents/test/", follow=True).content.decode()


def test_incidents_that_are_over_are_paged_without_losing_one(administrator: Client, fleet: None) -> None:
    Incident.objects.bulk_create(
        Incident(kind="failed", key=f"m{number}|", topic=f"topic-{number}.", ended_at=Now()) for number in range(60)
    )
    first = text(administrator, "/incidents/")
    older = first.partition('rel="next" href="')[2].partition('"')[0]
    pages = first + text(administrator, older)
    assert all(f"topic-{number}." in pages for number in range(60))
    assert "Open</h2>" not in text(administrator, older)


def test_an_incident_that_is_no_more_says_so(administrator: Client) -> None:
    answer = administrator.get("/incidents/4711/")
    assert answer.status_code == 404
    assert "No such incident" in answer.content.decode()


def test_every_page_of_this_kind_has_dutch_words(administrator: Client, fail: Fail) -> None:
    fail(1)
    rounds.run()
    mapping = Mapping.objects.get()
    for page in ("/incidents/", f"/incidents/{Incident.objects.get().pk}/", f"/mappings/{mapping.pk}/owner/"):
        shown = administrator.get(page, headers={"accept-language": "nl"}).content.decode()
        for english in ("Incidents</h1>", "What was told", "Next message", "Store the owner", "Send a test", "Mute<"):
            assert english not in shown, (page, english)

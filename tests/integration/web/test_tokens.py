"""Pages of API tokens: made with scopes and an end, their key shown once, revoked with a reason."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from bptl.accounts import people, tokens
from bptl.accounts.audit import By
from bptl.accounts.models import AuditEntry, Token, User
from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from tests.integration.web.conftest import somebody

BY = By("test")


@pytest.fixture
def administrator(db: None) -> Client:
    return somebody(Role.ADMINISTRATOR)


@pytest.fixture
def flowable(db: None) -> User:
    return User.objects.create_user("flowable")


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def make(client: Client, **said: object) -> str:
    """What is answered when the form is sent."""
    filled = {"name": "flowable", "user": "flowable", "scopes": [Scope.CALL.value], "last_day": "", **said}
    return client.post("/tokens/add/", filled).content.decode()


def key_in(page: str) -> str:
    return page.partition('id="key">')[2].partition("<")[0]


def test_a_token_is_made_its_key_shown_once_and_kept_nowhere(administrator: Client, flowable: User) -> None:
    answer = administrator.post(
        "/tokens/add/", {"name": "flowable", "user": "flowable", "scopes": ["work-unit:call"], "last_day": ""}
    )
    assert "no-store" in answer["Cache-Control"]
    key = key_in(answer.content.decode())
    token = tokens.find(key)
    assert token is not None
    assert (token.user, token.scopes, token.expires_at) == (flowable, ["work-unit:call"], None)
    for address in ("/tokens/", f"/tokens/{token.pk}/revoke/", "/audit/"):
        page = text(administrator, address)
        assert key not in page
        assert token.digest not in page
    assert AuditEntry.objects.get(action="token.created").actor == "administrator"


def test_the_last_day_counts_whole(administrator: Client, flowable: User) -> None:
    tomorrow = timezone.localdate() + timedelta(days=1)
    make(administrator, last_day=tomorrow.isoformat())
    expires_at = Token.objects.get().expires_at
    assert expires_at is not None
    ends = timezone.localtime(expires_at)
    assert (ends.date(), ends.time()) == (tomorrow + timedelta(days=1), datetime.min.time())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"scopes": []}, "Choose at least one."),
        ({"scopes": ["all"]}, "all is not one of the available choices"),
        ({"last_day": "2001-01-01"}, "This day is over"),
        ({"user": "gone"}, "Select a valid choice"),
        ({"name": "taken"}, "A token of this name is in use"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_what_makes_no_token_is_told_at_its_field(
    administrator: Client, flowable: User, said: dict[str, object], told: str
) -> None:
    tokens.create(flowable, name="taken", scopes=[Scope.CALL], by=BY)
    User.objects.create_user("gone", is_active=False)
    assert told in make(administrator, **said)
    assert Token.objects.count() == 1


def test_the_list_says_whether_each_key_is_taken_and_what_it_may(administrator: Client, flowable: User) -> None:
    kept_out = User.objects.create_user("oud", is_active=False)
    over = timezone.now() - timedelta(days=1)
    made = {
        "valid": tokens.create(flowable, name="a", scopes=[Scope.CALL, Scope.READ_TASKS], by=BY),
        "expired": tokens.create(flowable, name="b", scopes=[Scope.CALL], expires_at=over, by=BY),
        "revoked": tokens.create(flowable, name="c", scopes=[Scope.CALL], by=BY),
        "user kept out": tokens.create(kept_out, name="d", scopes=[Scope.CALL], by=BY),
    }
    tokens.revoke(made["revoked"].token, by=BY)
    rows = administrator.get("/tokens/").context["rows"]
    assert {str(word.label): token.name for token, _, word, _ in rows} == {
        said: one.token.name for said, one in made.items()
    }
    assert rows[0][0].name == "a"
    page = text(administrator, "/tokens/")
    assert "“read tasks” does nothing: its user lacks the role viewer." in page
    people.set_role(flowable, Role.VIEWER, by=BY)
    assert "does nothing" not in text(administrator, "/tokens/")


def test_a_token_is_revoked_with_a_reason_and_once(administrator: Client, flowable: User) -> None:
    made = tokens.create(flowable, name="flowable", scopes=[Scope.CALL], by=BY)
    address = f"/tokens/{made.token.pk}/revoke/"
    assert "It was never used." in text(administrator, address)
    assert "Say why" in administrator.post(address, {"reason": ""}).content.decode()
    assert tokens.find(made.key) is not None
    assert administrator.post(address, {"reason": "leaked"})["Location"] == "/tokens/"
    assert tokens.find(made.key) is None
    entry = AuditEntry.objects.get(action="token.revoked")
    assert (entry.actor, entry.reason) == ("administrator", "leaked")
    assert administrator.post(address, {"reason": "again"}).status_code == 404


def test_people_see_which_tokens_act_as_them_and_cannot_make_any(reader: Client) -> None:
    assert "act as you" not in text(reader, "/account/")
    viewer = User.objects.get(username="viewer")
    tokens.create(viewer, name="dashboard", scopes=[Scope.READ_TASKS], by=BY)
    page = text(reader, "/account/")
    assert "API tokens that act as you" in page
    assert "dashboard" in page
    assert reader.get("/tokens/").status_code == 403
    assert reader.post("/tokens/add/", {}).status_code == 403


def test_an_empty_list_says_what_tokens_are_for(administrator: Client) -> None:
    assert "There is no token yet" in text(administrator, "/tokens/")

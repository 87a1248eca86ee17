"""Who may call: tokens and passwords."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from bptl.accounts import passwords, tokens
from bptl.accounts.models import Token, User
from bptl.connections.models import Engine, Mapping
from bptl.web.protection import POLICY

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("flowable", password="een-lang-wachtwoord")


def test_a_key_is_found_and_nothing_stored_is_the_key(user: User) -> None:
    made = tokens.create(user, name="flowable")

    found = tokens.find(made.key)

    assert found is not None
    assert found.user == user
    assert made.key not in str(Token.objects.values())
    assert Token.objects.get().used_at is not None
    assert tokens.find(made.key + "x") is None


def test_a_key_of_a_user_who_is_not_active_is_refused(user: User) -> None:
    made = tokens.create(user, name="flowable")
    User.objects.update(is_active=False)

    assert tokens.find(made.key) is None


def test_a_name_can_be_used_again_when_its_token_was_revoked(user: User) -> None:
    first = tokens.create(user, name="flowable")
    with pytest.raises(ValidationError):
        tokens.create(user, name="flowable")

    tokens.revoke(first.token)
    second = tokens.create(user, name="flowable")

    assert tokens.find(first.key) is None
    assert tokens.find(second.key) is not None


def test_a_remembered_password_ends_when_it_is_changed_or_its_user_leaves(user: User) -> None:
    def right(password: str) -> bool:
        return passwords.check("flowable", password, sender="127.0.0.1") is not None

    assert right("een-lang-wachtwoord")
    assert right("een-lang-wachtwoord")
    user.set_password("een-ander-wachtwoord")
    user.save()
    assert not right("een-lang-wachtwoord")
    assert right("een-ander-wachtwoord")
    User.objects.update(is_active=False)
    assert not right("een-ander-wachtwoord")


@pytest.fixture
def administrator() -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(User.objects.create_superuser("admin"))
    return client


def test_an_administrator_makes_a_token_sees_its_key_once_and_revokes_it(administrator: Client, user: User) -> None:
    made = administrator.post("/admin/accounts/token/add/", {"user": user.pk, "name": "flowable"}, follow=True)

    token = Token.objects.get()
    page = made.content.decode()
    key = page.partition("shown this once: ")[2].partition("<")[0].strip()
    assert tokens.find(key) is not None
    assert key not in administrator.get("/admin/accounts/token/").content.decode()
    detail = administrator.get(f"/admin/accounts/token/{token.pk}/change/").content.decode()
    assert key not in detail
    assert token.digest not in detail

    chosen = {"action": "revoke", "_selected_action": [token.pk]}
    administrator.post("/admin/accounts/token/", chosen, follow=True)
    assert tokens.find(key) is None


def test_a_reader_who_is_logged_in_sees_the_description(administrator: Client) -> None:
    assert administrator.get("/api/v1/openapi.json").json()["openapi"].startswith("3.1")
    swagger = administrator.get("/api/v1/swagger/")
    assert swagger.status_code == 200
    assert "http" not in swagger.content.decode().replace("http-equiv", ""), "nothing comes from another host"
    assert swagger["Content-Security-Policy"] == POLICY


def test_no_engine_takes_the_name_of_calls_and_a_call_has_no_filters() -> None:
    with pytest.raises(ValidationError, match="REST"):
        Engine(name="rest", address="http://127.0.0.1/", authentication="none").full_clean()
    with pytest.raises(ValidationError, match="filter"):
        Mapping(topic="leges", unit="demo.quick", business_key="17").full_clean()
    Mapping.objects.create(topic="leges", unit="demo.quick")
    with pytest.raises(ValidationError):
        Mapping(topic="leges", unit="demo.slow").full_clean()

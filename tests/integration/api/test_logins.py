"""Who may call: tokens and passwords."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client, RequestFactory
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bptl.accounts import passwords, people, tokens
from bptl.accounts.audit import By
from bptl.accounts.models import Token, User
from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from bptl.api.rights import Right
from bptl.connections.models import Engine, Mapping
from bptl.web.protection import POLICY

BY = By("test")
pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("flowable", password="een-lang-wachtwoord")


def test_a_key_is_found_and_nothing_stored_is_the_key(user: User) -> None:
    made = tokens.create(user, name="flowable", scopes=[Scope.CALL], by=BY)

    found = tokens.find(made.key)

    assert found is not None
    assert found.user == user
    assert made.key not in str(Token.objects.values())
    assert Token.objects.get().used_at is not None
    assert tokens.find(made.key + "x") is None


def test_a_key_of_a_user_who_is_not_active_is_refused(user: User) -> None:
    made = tokens.create(user, name="flowable", scopes=[Scope.CALL], by=BY)
    User.objects.update(is_active=False)

    assert tokens.find(made.key) is None


def test_a_name_can_be_used_again_when_its_token_was_revoked(user: User) -> None:
    first = tokens.create(user, name="flowable", scopes=[Scope.CALL], by=BY)
    with pytest.raises(ValidationError):
        tokens.create(user, name="flowable", scopes=[Scope.CALL], by=BY)

    tokens.revoke(first.token, by=BY)
    second = tokens.create(user, name="flowable", scopes=[Scope.CALL], by=BY)

    assert tokens.find(first.key) is None
    assert tokens.find(second.key) is not None


def test_a_remembered_password_ends_when_it_is_changed_or_its_user_leaves(user: User) -> None:
    def right(password: str) -> bool:
        return passwords.check("flowable", password, request=RequestFactory().get("/")) is not None

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


def call(**headers: str) -> int:
    answer = Client().post("/api/v1/work-unit", "{}", content_type="application/json", headers=headers)
    return answer.status_code


def test_a_token_does_what_its_scopes_say_and_no_more(user: User) -> None:
    reads = tokens.create(user, name="reads", scopes=[Scope.READ_TASKS], by=BY)
    calls = tokens.create(user, name="calls", scopes=[Scope.CALL], by=BY)
    assert call(authorization=f"Token {reads.key}") == 403
    # The call itself is let in; it is empty, so it is wrong.
    assert call(authorization=f"Token {calls.key}") == 400
    with pytest.raises(ValidationError):
        tokens.create(user, name="nothing", scopes=[], by=BY)


def test_a_token_ends_with_its_time(user: User) -> None:
    made = tokens.create(user, name="short", scopes=[Scope.CALL], expires_at=timezone.now() + timedelta(days=1), by=BY)
    assert call(authorization=f"Token {made.key}") == 400
    Token.objects.update(expires_at=timezone.now())
    assert call(authorization=f"Token {made.key}") == 401


def test_a_password_calls_work_units_only_with_the_role(user: User) -> None:
    basic = "Basic " + base64.b64encode(b"flowable:een-lang-wachtwoord").decode()
    assert call(authorization=basic) == 403
    people.set_role(user, Role.OPERATOR, by=BY)
    assert call(authorization=basic) == 400


def test_a_scope_never_allows_what_the_user_may_not(user: User) -> None:
    class ActView(APIView):
        right = Right(role=Role.OPERATOR, scope=Scope.ACT_ON_TASKS)

        def post(self, request: Request) -> Response:
            return Response()

    made = tokens.create(user, name="acts", scopes=[Scope.ACT_ON_TASKS], by=BY)

    def act() -> int:
        asked = RequestFactory().post("/", headers={"authorization": f"Token {made.key}"})
        return ActView.as_view()(asked).status_code

    assert act() == 403
    people.set_role(user, Role.OPERATOR, by=BY)
    assert act() == 200


def test_a_view_of_the_api_that_says_nothing_is_refused(user: User) -> None:
    class ForgottenView(APIView):
        def get(self, request: Request) -> Response:
            return Response()

    made = tokens.create(user, name="any", scopes=list(Scope), by=BY)
    asked = RequestFactory().get("/", headers={"authorization": f"Token {made.key}"})
    assert ForgottenView.as_view()(asked).status_code == 403

"""All work units for a modeler: for people and tokens, in their language, once for each topic."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from bptl.accounts import people, tokens
from bptl.accounts.audit import By
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from bptl.connections.models import Engine, Mapping
from bptl.work_units import registry

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/element-templates"


@pytest.fixture
def modeller() -> User:
    user = User.objects.create_user("tekenaar")
    people.set_role(user, Role.VIEWER, by=By("test"))
    return user


@pytest.fixture
def visitor(modeller: User) -> Client:
    client = Client()
    client.force_login(modeller)
    return client


def templates(client: Client, **headers: str) -> dict[str, Any]:
    answer = client.get(ADDRESS, headers=headers)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert len(found) == len({one["id"] for one in found})
    return {one["id"]: one for one in found}


def test_every_unit_has_one(visitor: Client) -> None:
    assert set(templates(visitor)) >= {f"bptl:{name}" for name in registry.load().names()}


def test_every_topic_that_an_engine_may_fetch_has_one(visitor: Client) -> None:
    main, second, off = (
        Engine.objects.create(
            name=name, address="http://127.0.0.1:1/engine-rest/", authentication="none", active=name != "off"
        )
        for name in ("main", "second", "off")
    )
    for engine in (main, second):
        Mapping.objects.create(engine=engine, topic="leges", unit="demo.quick")
    Mapping.objects.create(engine=main, topic="gepauzeerd", unit="demo.quick", active=False)
    Mapping.objects.create(engine=off, topic="uit", unit="demo.quick")
    Mapping.objects.create(engine=main, topic="kapot", unit="no.such")
    Mapping.objects.create(topic="bellen", unit="demo.quick")
    of_topics = {name for name in templates(visitor) if name.count(":") == 2}
    assert of_topics == {"bptl:demo.quick:leges"}


def test_labels_are_in_the_language_of_the_caller_and_pages_are_absolute(visitor: Client) -> None:
    english, dutch = (templates(visitor, accept_language=language)["bptl:zgw.relate_zaak"] for language in ("en", "nl"))
    assert english["groups"][1]["label"] == "Inputs"
    assert dutch["groups"][1]["label"] == "Invoer"
    assert dutch["documentationRef"] == "http://testserver/units/zgw.relate_zaak/"


def test_a_token_is_enough_and_a_stranger_or_somebody_without_role_gets_nothing(modeller: User) -> None:
    key = tokens.create(modeller, name="modeler", scopes=[Scope.CALL], by=By("test")).key
    assert templates(Client(), authorization=f"Token {key}")
    assert Client().get(ADDRESS).status_code == 401
    newcomer = Client()
    newcomer.force_login(User.objects.create_user("nieuw"))
    assert newcomer.get(ADDRESS).status_code == 403

"""A dashboard that was made for the existing BPTL gets what it knows, once it logs in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from bptl.accounts import people, tokens
from bptl.accounts.audit import By
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from bptl.tasks.aggregate import STATUSES
from bptl.tasks.models import Task
from bptl.tasks.upkeep import minutes
from tests.integration.web.conftest import MakeTask

pytestmark = pytest.mark.django_db

ADDRESS = "/tasks/api/aggregate/"


@pytest.fixture
def viewer() -> User:
    user = User.objects.create_user("dashboard")
    people.set_role(user, Role.VIEWER, by=By("test"))
    return user


@pytest.fixture
def dashboard(viewer: User) -> Client:
    client = Client()
    client.force_login(viewer)
    return client


def figures(client: Client) -> Any:
    answer = client.get(ADDRESS)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_without_tasks_every_engine_and_status_is_there_with_zero(dashboard: Client) -> None:
    found = figures(dashboard)
    assert found["items"] == {engine: dict.fromkeys(STATUSES, 0) for engine in ("camunda", "activiti")}
    assert found["total"] == dict.fromkeys(STATUSES, 0)
    since = parse_datetime(found["since"])
    assert since is not None
    assert abs(timezone.now() - since - timedelta(days=1)) < timedelta(minutes=1)


def test_tasks_of_the_last_day_are_counted_in_the_old_words(dashboard: Client, make_task: MakeTask) -> None:
    make_task("queued")
    make_task("running")
    make_task("performed", "completed")
    for outcome in ("completed", "thrown", "failed"):
        task = make_task("delivered", outcome)
        task.leases.update(performed_at=Now() - timedelta(minutes=3))
    old = make_task("delivered", "failed")
    Task.objects.filter(id=old.id).update(changed_at=Now() - timedelta(days=2))
    while minutes.count():
        pass
    expected = {"initial": 1, "in_progress": 1, "performed": 1, "failed": 1, "completed": 2}
    assert figures(dashboard)["items"] == {"camunda": expected}
    assert figures(dashboard)["total"] == expected


def test_a_token_needs_the_scope_to_read_tasks(viewer: User, client: Client) -> None:
    def asked(*scopes: Scope) -> int:
        key = tokens.create(viewer, name=f"for {scopes}", scopes=scopes, by=By("test")).key
        return client.get(ADDRESS, headers={"Authorization": f"Token {key}"}).status_code

    assert asked(Scope.READ_TASKS) == 200
    assert asked(Scope.CALL) == 403


def test_strangers_are_refused(client: Client) -> None:
    assert client.get(ADDRESS).status_code == 401

"""The administration: nothing without login, every list opens."""

from __future__ import annotations

import pytest
from django.test import Client

from bptl.accounts.models import User


@pytest.fixture
def administrator(db: None) -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(User.objects.create_superuser("admin", password="not-used-here"))
    return client


@pytest.mark.parametrize("page", ["/admin/", "/admin/tasks/task/"])
@pytest.mark.django_db
def test_nothing_is_shown_without_login(client: Client, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 302
    assert answer["Location"].split("?")[0] in {"/login/", "/admin/login/"}


@pytest.mark.django_db
def test_a_login_without_the_role_sees_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("somebody"))
    assert client.get("/admin/tasks/task/").status_code == 403


def test_every_list_of_the_administration_opens(administrator: Client) -> None:
    index = administrator.get("/admin/").context["available_apps"]
    pages = [model["admin_url"] for app in index for model in app["models"]]
    assert "/admin/tasks/task/" in pages
    assert {page: administrator.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)

"""Every page of the URL configuration says what it needs, and refuses who lacks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from bptl.accounts import people
from bptl.accounts.audit import By
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.web import rights
from tests.integration.web.conftest import MakeTask, somebody

OPEN = {
    "login/": "how people get in",
    "logout/": "how people get out",
    "language/": "a stranger reads the login page too",
    "favicon.ico": "browsers ask for it by themselves",
    "admin/login/": "leads to the login page",
    "admin/logout/": "how people get out",
    "login/provider/": "how people get in by the identity provider",
    "login/provider/back/": "where the provider sends them back to",
    "login/provider/failed/": "what to do when that did not work",
    "logout/provider/": "how to get out there too",
    "welcome/<str:uidb64>/<str:token>/": "its link is the right",
    "api/<path:address>": "tells machines that there is nothing",
}
"""What is shown without login, beside /live, /ready and static files, which are answered before any view."""

BY = By("test")
SAMPLES: dict[str, Any] = {
    "pk": 1,
    "task_id": 1,
    "user_id": 1,
    "active": "off",
    "effect_id": 1,
    "servicecall_id": 1,
    "side": "in",
    "mapping_id": 1,
    "engine_id": 1,
    "service_id": 1,
    "application_id": 1,
    "grant_id": 1,
    "incident_id": 1,
    "callback_id": 1,
    "token_id": 1,
    "token": "x",
    "name": "demo.quick",
    "object_id": "1",
    "content_type_id": 1,
    "app_label": "tasks",
    "url": "nowhere",
    "address": "nowhere",
}


def _walk(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry, route)
        else:
            yield route, entry


PAGES: dict[str, URLPattern] = {}
for _route, _pattern in _walk(get_resolver()):
    PAGES.setdefault(_route, _pattern)  # The first one is the one that answers.


def _address(route: str) -> str:
    for converter in ("int", "str", "path", "slug"):
        for name, sample in SAMPLES.items():
            route = route.replace(f"<{converter}:{name}>", str(sample))
    route = route.replace("<path:object_id>", "1").replace("^(?P<app_label>auth|accounts|connections|", "")
    if "(?P<app_label>" in route:
        route = "admin/tasks/"
    if "(?P<url>" in route:
        route = "admin/nowhere"
    assert "<" not in route, f"add a sample for {route} to this test"
    return f"/{route}"


def test_only_what_is_named_here_is_open() -> None:
    found = {route for route, pattern in PAGES.items() if rights.declared(pattern.callback) == rights.OPEN}
    assert found == set(OPEN)


def test_every_view_says_what_it_needs() -> None:
    assert [route for route, pattern in PAGES.items() if rights.declared(pattern.callback) is None] == []


@pytest.mark.django_db
def test_no_page_is_shown_without_login(client: Client) -> None:
    shown = {}
    for route in set(PAGES) - set(OPEN):
        answer = client.get(_address(route))
        asked = answer.status_code == 302 and answer["Location"].startswith(("/login/?next=", "/admin/login/?next="))
        if not asked and answer.status_code not in {401, 405}:
            shown[route] = answer.status_code
    assert shown == {}


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.django_db
def test_a_page_refuses_who_lacks_its_role_and_says_which_it_needs(role: Role | None) -> None:
    client = somebody(role)
    client.raise_request_exception = False
    wrong = {}
    for route, pattern in PAGES.items():
        need = rights.declared(pattern.callback)
        if not isinstance(need, Role):
            continue
        says = f"This page needs the role <strong>{need}</strong>" if role else "You have no role yet"
        for answer in (client.get(_address(route)), client.post(_address(route))):
            refused = answer.status_code == 403 and says in answer.content.decode()
            if refused == bool(role and role.includes(need)):
                wrong[route] = answer.status_code
    assert wrong == {}


@pytest.mark.django_db
def test_who_has_no_role_hears_whom_to_ask() -> None:
    User.objects.create_superuser("baas", email="baas@example.org", first_name="Bea", last_name="de Baas")
    page = somebody(None).get("/").content.decode()
    assert "Bea de Baas" in page
    assert "mailto:baas@example.org" in page


@pytest.mark.django_db
def test_a_view_that_says_nothing_is_shown_to_nobody() -> None:
    def forgotten(request: HttpRequest) -> HttpResponse:
        return HttpResponse("secret")

    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("admin")
    middleware = rights.RightsMiddleware(forgotten)
    with pytest.raises(PermissionDenied):
        middleware.process_view(request, forgotten, (), {})


@pytest.mark.django_db
def test_each_role_may_what_the_lower_ones_may() -> None:
    assert {role: [str(other) for other in Role if role.includes(other)] for role in Role} == {
        Role.VIEWER: ["viewer"],
        Role.OPERATOR: ["viewer", "operator"],
        Role.ADMINISTRATOR: ["viewer", "operator", "administrator"],
    }


@pytest.mark.django_db
def test_the_admin_pages_follow_the_role_and_nothing_else() -> None:
    user = User.objects.create_user("jansen")
    client = Client()
    client.force_login(user)
    assert client.get("/admin/").status_code == 403
    people.set_role(user, Role.ADMINISTRATOR, by=BY)
    assert client.get("/admin/").status_code == 200
    User.objects.create_superuser("other")
    people.set_role(user, Role.VIEWER, by=BY)
    assert client.get("/admin/").status_code == 403


@pytest.mark.django_db
def test_the_last_administrator_stays_one() -> None:
    user = User.objects.create_superuser("admin")
    with pytest.raises(people.LastAdministrator):
        people.set_role(user, Role.OPERATOR, by=BY)
    with pytest.raises(people.LastAdministrator):
        people.set_active(user, False, by=BY)
    gone = User.objects.create_superuser("gone", is_active=False)
    with pytest.raises(people.LastAdministrator):
        people.set_role(user, None, by=BY)
    people.set_active(gone, True, by=BY)
    people.set_role(user, Role.VIEWER, by=BY)
    assert [one.username for one in people.administrators()] == ["gone"]


@pytest.mark.django_db
def test_values_of_variables_are_for_operators(reader: Client, operator: Client, make_task: MakeTask) -> None:
    task = make_task(
        variables={"bsn": {"type": "String", "value": "123456782", "valueInfo": {}}},
        result={"variables": {"naam": {"type": "String", "value": "Jansen", "valueInfo": {}}}},
    )
    seen, read = (client.get(f"/tasks/{task.pk}/").content.decode() for client in (reader, operator))
    assert all(text in seen for text in ("bsn", "String", "naam"))
    assert [text for text in ("123456782", "Jansen") if text in seen] == []
    assert all(text in read for text in ("123456782", "Jansen"))


def test_rights_are_checked_by_the_middleware_of_the_settings() -> None:
    assert "bptl.web.rights.RightsMiddleware" in settings.MIDDLEWARE

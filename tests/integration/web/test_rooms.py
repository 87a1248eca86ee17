"""What all pages share: login, protection, languages, errors; and the overview."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client, override_settings

from bptl.accounts import people
from bptl.accounts.audit import By
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.tasks.models import Process
from tests.integration.web.conftest import MakeTask


@pytest.mark.django_db
def test_a_person_logs_in_is_where_they_wanted_to_be_and_logs_out(client: Client) -> None:
    people.set_role(User.objects.create_user("jansen", password="stadhuis-2026"), Role.VIEWER, by=By("test"))
    refused = client.post("/login/?next=/tasks/", {"username": "jansen", "password": "wrong", "next": "/tasks/"})
    assert refused.status_code == 200
    assert 'role="alert"' in refused.content.decode()
    taken = client.post("/login/", {"username": "jansen", "password": "stadhuis-2026", "next": "/tasks/"})
    assert (taken.status_code, taken["Location"]) == (302, "/tasks/")
    assert client.get("/tasks/").status_code == 200
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/tasks/").status_code == 302


@pytest.mark.django_db
def test_a_refresh_after_the_session_ended_goes_to_the_login_as_a_whole_page(client: Client) -> None:
    answer = client.get("/tasks/?topic=a", headers={"HX-Request": "true"}, follow=True)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/login/?next=%2Ftasks%2F%3Ftopic%3Da"


@pytest.mark.parametrize("page", ["/", "/tasks/", "/login/", "/admin/", "/nowhere/"])
@pytest.mark.django_db
def test_every_page_runs_only_what_comes_from_here(client: Client, page: str) -> None:
    if page != "/login/":
        client.force_login(User.objects.create_superuser("admin"))
    answer = client.get(page)
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    scripts = re.findall(r"<script\b[^>]*>", answer.content.decode())
    assert [tag for tag in scripts if "src=" not in tag] == []
    assert re.findall(r"\s(on\w+|hx-on[^=\s]*)=", answer.content.decode()) == []


def test_the_language_is_dutch_by_default_and_changes_with_a_button(reader: Client) -> None:
    assert "Uitkomst" in reader.get("/tasks/", headers={"accept-language": "fr"}).content.decode()
    assert "Business key" in reader.get("/tasks/").content.decode()
    reader.post("/language/", {"language": "nl", "next": "/tasks/"})
    page = reader.get("/tasks/").content.decode()
    assert '<html lang="nl"' in page
    assert "Uitkomst" in page


def test_a_page_that_does_not_exist_says_so_in_the_layout(reader: Client) -> None:
    answer = reader.get("/nowhere/")
    assert answer.status_code == 404
    assert "This page does not exist" in answer.content.decode()
    assert "Main navigation" in answer.content.decode()


def test_a_form_without_its_token_is_refused_with_an_explanation() -> None:
    answer = Client(enforce_csrf_checks=True, HTTP_ACCEPT_LANGUAGE="en").post("/login/", {"username": "a"})
    assert answer.status_code == 403
    assert "The form was too old" in answer.content.decode()


def test_an_error_of_ours_is_a_page_that_tells_nothing(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("zeer-geheim")

    monkeypatch.setattr("bptl.tasks.queries.counts", broken)
    reader.raise_request_exception = False
    answer = reader.get("/")
    assert answer.status_code == 500
    assert "Something went wrong" in answer.content.decode()
    assert "zeer-geheim" not in answer.content.decode()


def test_numbers_of_the_overview_are_links_to_what_they_count(reader: Client, make_task: MakeTask) -> None:
    for _ in range(3):
        make_task("delivered", "failed")
    make_task("queued")
    page = reader.get("/").content.decode()
    tiles = {
        address.replace("&amp;", "&"): int(number)
        for address, number in re.findall(r'href="([^"]*)"><span class="bptl-tile__number">(\d+)<', page)
    }
    assert tiles["/tasks/?status=delivered&outcome=failed"] == 3
    assert tiles["/tasks/?status=queued"] == 1
    for address, number in tiles.items():
        assert reader.get(address).content.decode().count('id="task-') - 1 == number or number == 0, address


def test_what_are_too_many_to_count_is_estimated_and_says_so(
    reader: Client, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bptl.tasks.queries.MANY", 2)
    monkeypatch.setattr("bptl.tasks.queries.estimate", lambda rows: 4_949_999)
    for _ in range(3):
        make_task("delivered", "failed")
    page = reader.get("/").content.decode()
    assert "about 4,900,000</span>" in page
    assert "about 0" not in page


def test_the_overview_says_which_processes_are_missing(reader: Client, worker: Process) -> None:
    page = reader.get("/").content.decode()
    assert "node-1 · 42" in page
    assert "16 units can run at once" in page
    assert "No poller lives" in page
    assert "No worker lives" not in page


def test_the_scripts_and_styles_are_built() -> None:
    for name in ("pages.js", "pages.css", "diagram.js", "diagram.css"):
        assert finders.find(f"bptl/{name}"), f"{name} is missing: ./run assets"


def test_collected_files_carry_their_hash_and_all_their_references_resolve(tmp_path: object) -> None:
    storages = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
    with override_settings(STATIC_ROOT=str(tmp_path), STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)
        from django.templatetags.static import static

        assert re.fullmatch(r"/static/bptl/pages\.[0-9a-f]{12}\.css", static("bptl/pages.css"))

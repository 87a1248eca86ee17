"""The admin pages of mail templates: begin with a default, look before saving, be told the line."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from bptl.accounts.models import User
from bptl.connections.mail_models import MailTemplate

LIST = "/admin/connections/mailtemplate/"
PREVIEW = LIST + "preview/"
SOURCES = {"name": "advies", "subject": "Advies: {{ email.subject }}", "text": "Beste {{ receiver.name }}"}


@pytest.fixture
def administrator(db: None) -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(User.objects.create_superuser("admin", password="not-used-here"))
    return client


def test_the_list_offers_the_defaults_that_nobody_replaced(administrator: Client) -> None:
    MailTemplate.objects.create(name="advies", text="x", html="x")
    page = administrator.get(LIST).content.decode()
    assert "?name=accordering" in page
    assert "?name=advies" not in page


def test_a_new_template_begins_with_a_default(administrator: Client) -> None:
    page = administrator.get(reverse("admin:connections_mailtemplate_add"), {"name": "advies"}).content.decode()
    assert "vraagt u om advies" in page
    assert "<code>receiver.name</code>" in page


def test_a_preview_shows_what_is_typed_and_saves_nothing(administrator: Client) -> None:
    typed = {**SOURCES, "html": "<p>Zaak {{ zaakOmschrijving }}</p><script>alert(1)</script>"}
    page = administrator.post(PREVIEW, typed).content.decode()
    assert "Advies: Dakkapel Dorpsstraat 1" in page
    assert "Beste Jan Jansen" in page
    assert "&lt;p&gt;Zaak Dakkapel &amp;amp; dakraam&lt;/p&gt;" in page
    assert "<script>alert(1)" not in page
    assert " sandbox " in page
    assert not MailTemplate.objects.exists()


def test_a_preview_of_a_mistake_says_the_line(administrator: Client) -> None:
    page = administrator.post(PREVIEW, {**SOURCES, "html": "<p>\n{{ zaak }}</p>"}).content.decode()
    assert "HTML: Line 2: zaak is not known" in page


def test_a_mistake_is_refused_when_it_is_saved(administrator: Client) -> None:
    answer = administrator.post(LIST + "add/", {**SOURCES, "html": "{% load static %}"})
    assert answer.status_code == 200
    assert "Line 1: Invalid block tag" in answer.content.decode()
    assert not MailTemplate.objects.exists()


def test_what_is_right_is_saved(administrator: Client) -> None:
    assert administrator.post(LIST + "add/", {**SOURCES, "html": "<p>Dag</p>"}).status_code == 302
    assert MailTemplate.objects.get().html == "<p>Dag</p>"


@pytest.mark.django_db
def test_a_preview_is_not_for_who_may_not_see_templates(client: Client) -> None:
    client.force_login(User.objects.create_user("staff"))
    assert client.post(PREVIEW, SOURCES).status_code == 403

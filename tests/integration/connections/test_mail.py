"""Mail templates: what they may say, what is refused, and what really arrives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation
from pytest_django.fixtures import Settings

from bptl.cli.trial.work import NoServices
from bptl.connections import mail_templates
from bptl.connections.mail import TaskMail
from bptl.connections.mail_models import MailTemplate
from bptl.engines.nobody import Nobody
from bptl.tasks.execution.work import Cancellation, RunningWork
from bptl.work_units.contract import NoSuchTemplate, TaskFacts, unit_of
from bptl.work_units.mail import Letter, send, told
from tests.doubles.mailbox import Mailbox

LINK = "https://zaken.example.nl/?a=1&b=2"


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


def letter(**context: Any) -> dict[str, Any]:
    return {
        "sender": {"name": "Sanne <de Vries>", "email": "sanne@example.nl"},
        "receiver": {"name": "Jan", "email": "jan@example.nl"},
        "email": {"subject": "Dakkapel & dakraam", "content": "Eerste regel\nTweede <regel>"},
        "template": "advies",
        "context": context,
    }


def given(**context: Any) -> dict[str, Any]:
    return told(Letter.from_variables(letter(**context)))


def own(**sources: str) -> MailTemplate:
    return MailTemplate(**{"name": "eigen", "subject": "Onderwerp", "text": "Tekst", "html": "<p>Tekst</p>", **sources})


def faults(**sources: str) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as raised:
        own(**sources).full_clean(validate_unique=False)
    return raised.value.message_dict


@pytest.mark.parametrize("name", mail_templates.NAMES)
class TestDefaults:
    def test_a_default_is_a_template_that_administrators_could_save(self, name: str) -> None:
        assert mail_templates.default(name).faults() == {}

    def test_its_text_is_text_and_its_html_is_escaped(self, name: str) -> None:
        mail = mail_templates.default(name).render(given(doReviewUrl=LINK, zaakDetailUrl=LINK))
        assert mail.subject == "Dakkapel & dakraam"
        assert LINK in mail.text
        assert "&amp;" not in mail.text
        assert "Tweede <regel>" in mail.text
        assert f'href="{LINK.replace("&", "&amp;")}"' in mail.html
        assert "Tweede &lt;regel&gt;" in mail.html
        assert "Sanne &lt;de Vries&gt;" in mail.html

    def test_what_is_not_given_leaves_no_trace(self, name: str) -> None:
        mail = mail_templates.default(name).render(given())
        assert "href" not in mail.html
        assert "None" not in mail.text + mail.html
        assert not re.search(r"\n{3}|: *\n", mail.text)


class TestLanguage:
    @pytest.mark.parametrize(
        "source",
        [
            "{% load static %}",
            '{% include "web/login.html" %}',
            '{% extends "web/base.html" %}',
            "{% debug %}",
            '{% url "task" 1 %}',
            "{% autoescape off %}{{ vraag }}{% endautoescape %}",
            "{{ vraag|safe }}",
            "{{ vraag|pprint }}",
            "{% if vraag %}geen einde",
        ],
    )
    def test_what_reaches_into_bptl_or_turns_escaping_off_is_refused_with_its_line(self, source: str) -> None:
        assert [fault.partition(":")[0] for fault in faults(html=f"<p>Beste</p>\n{source}")["html"]] == ["Line 2"]

    @pytest.mark.parametrize(
        "source",
        [
            "{{ zaakidentificatie }}",
            "{% if vraag and zaakidentificatie %}x{% endif %}",
            "{% if vraag %}x{% else %}{{ zaakidentificatie }}{% endif %}",
            "{{ vraag|default:zaakidentificatie }}",
            "{{ receiver.telefoon }}",
            "{{ receiver }}",
        ],
    )
    def test_a_name_that_no_mail_knows_is_refused_with_its_line(self, source: str) -> None:
        (fault,) = faults(text=f"Beste\n\n{source}")["text"]
        assert fault.startswith("Line 3: ")
        assert "zaakIdentificatie" in fault

    def test_all_sources_are_judged_at_once(self) -> None:
        assert set(faults(subject="{{ a }}", text="{{ b }}", html="{{ c }}")) == {"subject", "text", "html"}

    def test_a_subject_is_one_line(self) -> None:
        assert faults(subject="{{ email.content }}") == {"subject": ["The subject must be one line."]}


@pytest.mark.django_db
class TestTaskMail:
    @pytest.fixture(autouse=True)
    def the_server_of_the_settings(self, mailbox: Mailbox, settings: Settings) -> None:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        settings.DEFAULT_FROM_EMAIL = "Gemeente Voorbeeld <noreply@example.nl>"

    @staticmethod
    def work() -> RunningWork:
        class Work(RunningWork):
            def once(self, key: str, effect: Any, **_: Any) -> Any:
                return effect(self)

            idempotency_key = "task:send-mail"

            def check(self) -> None:
                """Nothing is too late."""

        return Work(
            TaskFacts(1, "main", "mail", "x", "i", "p", "a", "", "", 1),
            unit="mail.send",
            lease_id=None,
            cancellation=Cancellation(),
            engine=Nobody(),
            services=NoServices(),
            mail=TaskMail,
            record=lambda call: None,
        )

    def test_a_default_arrives(self, mailbox: Mailbox) -> None:
        unit_of(send).run(self.work(), letter(deadline="2026-01-31", doReviewUrl=LINK))
        (received,) = mailbox.received
        assert received.message["From"] == "Gemeente Voorbeeld <noreply@example.nl>"
        assert received.message["Subject"] == "Dakkapel & dakraam"
        assert "uiterlijk op 31-01-2026" in received.text
        assert LINK in received.text

    def test_a_template_of_the_administrators_goes_before_a_default(self, mailbox: Mailbox) -> None:
        own(name="advies", subject="Eigen: {{ email.subject }}").save()
        unit_of(send).run(self.work(), letter())
        assert mailbox.received[0].message["Subject"] == "Eigen: Dakkapel & dakraam"

    def test_an_unknown_template_names_those_that_there_are(self, mailbox: Mailbox) -> None:
        own(name="uitnodiging").save()
        with pytest.raises(NoSuchTemplate, match="accordering, advies, generiek, nen2580, uitnodiging, verzoek_afge"):
            unit_of(send).run(self.work(), {**letter(), "template": "adviez"})
        assert mailbox.verbs == {}

"""A mail through the heart: however its lease ends, there is one mail, or a person is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from pytest_django.fixtures import Settings

from bptl.connections import directory
from bptl.connections.models import Mapping as TopicMapping
from bptl.engines.variables import encode_all
from bptl.tasks.endings import Ending
from bptl.tasks.execution import service_calls
from bptl.tasks.execution.outcomes import Doubt, HandedBack
from bptl.tasks.execution.run import assign, run
from bptl.tasks.execution.waiting import Awaiting
from bptl.tasks.execution.work import Cancellation
from bptl.tasks.lifecycle import Outcome
from bptl.tasks.models import Effect, ServiceCall
from tests.doubles.mailbox import CUT, LOST, Mailbox
from tests.integration.ledger import Run, next_run
from tests.integration.scene import Scene

LETTER: dict[str, Any] = {
    "sender": {"name": "Sanne", "email": "sanne@example.nl"},
    "receiver": {"name": "Jan", "email": "jan@example.nl"},
    "email": {"subject": "Dakkapel", "content": ""},
    "template": "generiek",
    "context": {},
}


@pytest.fixture
def mailing(committed_scene: Scene, mailbox: Mailbox, settings: Settings) -> Iterator[Scene]:
    """A mapping of ``mail.send``, and the mail server of the settings."""
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
    directory.forget()
    committed_scene.map("mail", "mail.send")
    yield committed_scene
    # Its thread has a connection of its own: the test's database could not be dropped.
    assert service_calls.stop()


def attempt(lease: Run) -> Ending | Doubt | Awaiting | None:
    """The unit runs under a lease, as in a worker; here nothing is down."""
    mappings = TopicMapping.objects.select_related("engine").in_bulk()
    ended = run(assign(lease.claim, mappings), Cancellation())
    assert not isinstance(ended, HandedBack)
    return ended


def first(scene: Scene, **changed: Any) -> Run:
    variables = {name: variable.to_json() for name, variable in encode_all({**LETTER, **changed}).items()}
    return Run(scene.claimed(scene.process(), topic="mail", variables=variables))


def the_next(scene: Scene, lease: Run) -> Run:
    """The process of ``lease`` was killed before it stored anything; what it sent has settled."""
    times = ("intended_at", "gives_up_at", "settles_at")
    Effect.objects.update(**{name: F(name) - timedelta(minutes=5) for name in times})
    return next_run(scene, lease)


def outcome(ending: Ending | Doubt | Awaiting | None) -> Outcome:
    assert isinstance(ending, Ending)
    return ending.outcome


def test_a_process_that_is_killed_after_the_mail_went_out_sends_no_second_one(mailing: Scene, mailbox: Mailbox) -> None:
    lease = first(mailing)
    assert outcome(attempt(lease)) is Outcome.COMPLETED
    assert outcome(attempt(the_next(mailing, lease))) is Outcome.COMPLETED
    assert list(mailbox.counts().values()) == [1]


@pytest.mark.parametrize("how", [CUT, LOST])
def test_a_mail_whose_answer_is_lost_is_a_person_s_and_stays_so(mailing: Scene, mailbox: Mailbox, how: str) -> None:
    mailbox.end(how)
    lease = first(mailing)
    assert isinstance(attempt(lease), Doubt)
    assert isinstance(attempt(the_next(mailing, lease)), Doubt)
    assert mailbox.verbs["DATA"] == 1


def test_a_mail_that_was_refused_for_now_goes_out_with_the_next_attempt(mailing: Scene, mailbox: Mailbox) -> None:
    mailbox.refuse("jan@example.nl", "451 later")
    lease = first(mailing)
    assert outcome(attempt(lease)) is Outcome.FAILED
    assert outcome(attempt(the_next(mailing, lease))) is Outcome.COMPLETED
    assert len(mailbox.to("jan@example.nl")) == 1


def test_an_invalid_address_is_an_incident_that_names_it(mailing: Scene, mailbox: Mailbox) -> None:
    ending = attempt(first(mailing, receiver={"name": "Jan", "email": "jan"}))
    assert isinstance(ending, Ending)
    assert ending.result["message"].startswith("input of mail.send: receiver.email: must be a mail address")
    assert ending.result["retries"] == 0
    assert mailbox.verbs == {}


def test_a_mail_is_on_record_without_a_word_of_what_it_says(mailing: Scene) -> None:
    attempt(first(mailing))
    assert service_calls.stop()
    (call,) = ServiceCall.objects.all()
    (effect,) = Effect.objects.all()
    assert (call.service, call.method, call.status) == ("mail", "SMTP", 250)
    kept = f"{call.url}{call.request_body}{call.answer_body}{call.error}{effect.arguments}{effect.result}"
    assert not any(word in kept for word in ("jan@", "Jan", "Dakkapel"))

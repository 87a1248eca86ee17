"""mail.send against a real mail server and a real service: what is refused, what arrives, what is sent once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bptl.clients import errors
from bptl.clients.access import Access
from bptl.clients.documenten import DocumentenClient
from bptl.clients.smtp import Mailbox as Person
from bptl.clients.smtp import SmtpServer
from bptl.work_units import mail
from bptl.work_units.contract import EffectChanged, InvalidInput, NoSuchTemplate, NotConnected, Uncertain, unit_of
from bptl.work_units.mail import send
from bptl.work_units.testing import FakeMail, FakeWork, run
from tests.doubles.mailbox import CUT, Mailbox
from tests.doubles.outside import Outside
from tests.doubles.zgw.catalogue import RSIN
from tests.doubles.zgw.double import ZgwDouble

LETTER: dict[str, Any] = {
    "sender": {"name": "Sanne de Vries", "email": "sanne@example.nl"},
    "receiver": {"name": "Jan Jansen", "email": "jan@example.nl", "assignee": "user:jan & co"},
    "email": {"subject": "Dakkapel", "content": ""},
    "template": "advies",
    "context": {"vraag": "Past het?", "doReviewUrl": "https://zaken.example.nl/x?a=1#deel", "onbekend": "weg"},
}


def work_with(mailbox: Mailbox, *, documenten: str | Access | None = None) -> FakeWork:
    services = {"drc": documenten} if documenten else {}
    server = SmtpServer("127.0.0.1", mailbox.port, Person("Gemeente", "noreply@example.nl"), timeout=5)
    return FakeWork(mail=FakeMail(templates=("advies",), server=server), services=services)


def letter(path: str = "", value: Any = None) -> dict[str, Any]:
    """The letter with one field changed."""
    changed: dict[str, Any] = json.loads(json.dumps(LETTER))
    *steps, last = path.split(".") if path else ["template"]
    holder = changed
    for step in steps:
        holder = holder[step]
    holder[last] = value if path else "advies"
    return changed


def test_it_goes_to_its_receiver_and_answers_go_to_its_sender(mailbox: Mailbox) -> None:
    run(send, letter(), work=work_with(mailbox))
    (received,) = mailbox.received
    assert received.recipients == ["jan@example.nl"]
    assert received.message["From"] == "Gemeente <noreply@example.nl>"
    assert received.message["Reply-To"] == "Sanne de Vries <sanne@example.nl>"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("receiver.email", "jan"),
        ("receiver.email", "jan@example"),
        ("receiver.email", "jan@example.nl, piet@example.nl"),
        ("receiver.email", "jan@example.nl\nBcc: piet@example.nl"),
        ("receiver.email", "jan..jansen@example.nl"),
        ("receiver.email", ""),
        ("sender.email", "Sanne <sanne@example.nl>"),
        ("sender.name", "Sanne\r\nBcc: piet@example.nl"),
        ("receiver.name", " "),
        ("email.subject", "Dakkapel\nBcc: piet@example.nl"),
        ("email.subject", ""),
        ("context.deadline", "31 januari"),
        ("context.doReviewUrl", "javascript:alert(1)"),
        ("context.zaakDetailUrl", "https://x/ y"),
        ("context", None),
        ("attachments", ["geen adres"]),
    ],
)
def test_what_is_invalid_is_refused_before_anything_is_sent(mailbox: Mailbox, path: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        run(send, letter(path, value), work=work_with(mailbox))
    assert [fault.path.partition("[")[0] for fault in raised.value.faults] == [path]
    assert mailbox.verbs == {}


def test_all_that_is_invalid_is_told_at_once(mailbox: Mailbox) -> None:
    values = {**letter("receiver.email", "jan"), "template": ""}
    with pytest.raises(InvalidInput) as raised:
        run(send, values, work=work_with(mailbox))
    assert [fault.path for fault in raised.value.faults] == ["receiver.email", "template"]


def test_a_domain_outside_ascii_is_written_as_the_name_server_knows_it(mailbox: Mailbox) -> None:
    run(send, letter("receiver.email", "jan@münchen.example"), work=work_with(mailbox))
    assert mailbox.received[0].recipients == ["jan@xn--mnchen-3ya.example"]


def test_a_template_that_nobody_made_is_named(mailbox: Mailbox) -> None:
    with pytest.raises(NoSuchTemplate, match="'adviez'; there are advies"):
        run(send, letter("template", "adviez"), work=work_with(mailbox))


@pytest.mark.parametrize(
    "deadline", ["2026-02-01", datetime.fromisoformat("2026-02-01T00:00:00+01:00"), datetime(2026, 2, 1, tzinfo=UTC)]
)
def test_a_template_is_told_what_it_knows_and_nothing_else(deadline: Any) -> None:
    values = letter()
    values["context"]["deadline"] = deadline
    told = mail.told(mail.Letter.from_variables(values))
    assert told["deadline"] == "01-02-2026"
    assert told["doReviewUrl"] == "https://zaken.example.nl/x?a=1&assignee=user%3Ajan%20%26%20co#deel"
    assert told["zaakIdentificatie"] == ""
    assert "onbekend" not in told


def test_a_mail_is_sent_once(mailbox: Mailbox) -> None:
    work = work_with(mailbox)
    for _ in range(2):
        run(send, letter(), work=work)
    assert len(mailbox.received) == 1


def test_a_mail_whose_answer_was_lost_waits_for_a_person(mailbox: Mailbox) -> None:
    mailbox.answers["DATA"] = CUT
    work = work_with(mailbox)
    with pytest.raises(Uncertain):
        run(send, letter(), work=work)
    mailbox.answers.clear()
    with pytest.raises(Uncertain):
        run(send, letter(), work=work)
    assert len(mailbox.received) == 1


def test_a_mail_that_was_refused_for_now_is_sent_later(mailbox: Mailbox) -> None:
    mailbox.answers["RCPT"] = "451 later"
    work = work_with(mailbox)
    with pytest.raises(errors.Busy):
        run(send, letter(), work=work)
    mailbox.answers.clear()
    run(send, letter(), work=work)
    assert len(mailbox.received) == 1


def test_another_letter_under_the_same_task_is_never_a_second_mail(mailbox: Mailbox) -> None:
    work = work_with(mailbox)
    run(send, letter(), work=work)
    with pytest.raises(EffectChanged) as raised:
        run(send, letter("receiver.email", "piet@example.nl"), work=work)
    assert "example.nl" not in str(raised.value)
    assert len(mailbox.received) == 1


def test_documents_of_the_documenten_api_are_attached(mailbox: Mailbox, zgw: ZgwDouble) -> None:
    documenten = FakeWork(services={"drc": zgw.access("drc")}).connect(DocumentenClient, "drc")
    document = {
        "bronorganisatie": RSIN,
        "creatiedatum": "2026-01-31",
        "titel": "Tekening",
        "auteur": "Sanne",
        "taal": "nld",
        "bestandsnaam": "tekening één.pdf",
        "bestandsomvang": 5,
        "formaat": "application/pdf",
        "inhoud": base64.b64encode(b"%PDF\0").decode(),
        "informatieobjecttype": zgw.catalogue.informatieobjecttype("Aanvraag"),
    }
    url = documenten.create_informatieobject(document)["url"]
    run(
        send,
        {**letter("attachments", [url]), "bptlAppId": "app"},
        work=work_with(mailbox, documenten=zgw.access("drc")),
    )
    (attached,) = mailbox.received[0].attachments
    assert (attached.name, attached.content_type, attached.content) == (
        "tekening één.pdf",
        "application/pdf",
        b"%PDF\0",
    )


class TestAttachments:
    @pytest.fixture
    def service(self) -> Iterator[Outside]:
        with Outside("/documenten/api/v1/") as running:
            yield running

    @staticmethod
    def document(service: Outside, name: str, content: bytes, **fields: Any) -> str:
        url = service.root + f"enkelvoudiginformatieobjecten/{name}"
        fields = {"bestandsomvang": len(content), "bestandsnaam": f"{name}.pdf", "formaat": "application/pdf", **fields}
        service.answer(f"enkelvoudiginformatieobjecten/{name}", {"url": url, "titel": name, **fields})
        octets = "application/octet-stream"
        service.answer(f"enkelvoudiginformatieobjecten/{name}/download", content, Content_Type=octets)
        return url

    def test_a_document_without_name_and_type_is_attached_as_what_it_is(
        self, mailbox: Mailbox, service: Outside
    ) -> None:
        url = self.document(service, "x", b"\0\1", bestandsnaam="", formaat="geen type")
        run(send, letter("attachments", [url]), work=work_with(mailbox, documenten=service.root))
        (attached,) = mailbox.received[0].attachments
        assert (attached.name, attached.content_type, attached.content) == ("x", "application/octet-stream", b"\0\1")

    def test_what_is_too_large_together_is_refused_before_it_is_read(self, mailbox: Mailbox, service: Outside) -> None:
        half = mail.MOST_ATTACHED // 2 + 1
        urls = [self.document(service, name, b"", bestandsomvang=half) for name in ("a", "b")]
        work = work_with(mailbox, documenten=service.root)
        with pytest.raises(InvalidInput, match="attachments: are"):
            run(send, letter("attachments", urls), work=work)
        assert not any("download" in asked.path for asked in service.asked)
        assert mailbox.verbs == {}

    def test_a_document_that_is_larger_than_it_says_is_refused(
        self, mailbox: Mailbox, service: Outside, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mail, "MOST_ATTACHED", 10)
        url = self.document(service, "a", b"x" * 11, bestandsomvang=1)
        work = work_with(mailbox, documenten=service.root)
        with pytest.raises(InvalidInput, match="11 bytes"):
            run(send, letter("attachments", [url]), work=work)

    def test_a_document_that_is_gone_stops_the_mail(self, mailbox: Mailbox, service: Outside) -> None:
        work = work_with(mailbox, documenten=service.root)
        with pytest.raises(errors.NotFound):
            run(send, letter("attachments", [service.root + "enkelvoudiginformatieobjecten/weg"]), work=work)
        assert mailbox.verbs == {}

    def test_a_document_of_an_unknown_service_stops_the_mail(self, mailbox: Mailbox) -> None:
        with pytest.raises(NotConnected):
            run(send, letter("attachments", ["https://elders.example/1"]), work=work_with(mailbox))
        assert mailbox.verbs == {}


def test_without_attachments_no_application_is_needed() -> None:
    assert not unit_of(send).needs_application

"""Mail over real sockets: what arrives, and what each end of the conversation says."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from bptl.clients import errors
from bptl.clients.access import DataClass
from bptl.clients.gate import Call
from bptl.clients.records import kept
from bptl.clients.smtp import Attachment, Mailbox, MailMessage, SmtpClient, SmtpServer
from tests.doubles import mailbox as double

SENDER = Mailbox("Gemeente", "noreply@example.nl")


class Gate:
    def __init__(self) -> None:
        self.calls: list[Call] = []

    def enter(self, service: str, method: str, url: str) -> None:
        """Lets everything pass."""

    def leave(self, call: Call) -> None:
        self.calls.append(call)


def letter(**changed: Any) -> MailMessage:
    return MailMessage(
        **{
            "recipient": Mailbox("Jan Jänsen", "jan@example.nl"),
            "reply_to": Mailbox("Sanne", "sanne@example.nl"),
            "subject": "Één vraag",
            "text": "Beste Jan\n.\nhttps://zaken.example.nl/?a=1&b=2\n",
            "html": "<p>Beste Jan</p>",
            **changed,
        }
    )


def send(
    mailbox: double.Mailbox,
    message: MailMessage | None = None,
    *,
    gate: Gate | None = None,
    check: Callable[[], None] = lambda: None,
    **server: Any,
) -> str:
    where = SmtpServer("127.0.0.1", mailbox.port, SENDER, timeout=5, **server)
    return SmtpClient(where, gate or Gate()).send(message or letter(), key="task-1:send-mail", check=check)


def test_a_mail_arrives_whole_at_its_one_recipient(mailbox: double.Mailbox) -> None:
    send(mailbox, letter(attachments=(Attachment("plan één.pdf", "application/pdf", b"%PDF\r\n.\n\0"),)))
    (mail,) = mailbox.received
    assert (mail.sender, mail.recipients) == ("noreply@example.nl", ["jan@example.nl"])
    assert mail.message["From"] == "Gemeente <noreply@example.nl>"
    assert mail.message["To"] == "Jan Jänsen <jan@example.nl>"
    assert mail.message["Reply-To"] == "Sanne <sanne@example.nl>"
    assert mail.message["Subject"] == "Één vraag"
    text, html = (mail.message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == "Beste Jan\n.\nhttps://zaken.example.nl/?a=1&b=2\n"
    assert html.get_content().strip() == "<p>Beste Jan</p>"
    (attachment,) = mail.message.iter_attachments()
    assert attachment.get_filename() == "plan één.pdf"
    assert attachment.get_content() == b"%PDF\r\n.\n\0"


def test_the_message_id_is_the_same_at_every_try(mailbox: double.Mailbox) -> None:
    ids = [send(mailbox), send(mailbox)]
    assert [mail.message["Message-ID"] for mail in mailbox.received] == ids
    assert len(set(ids)) == 1
    assert ids[0].endswith("@example.nl>")


def test_a_line_break_in_a_header_is_never_sent(mailbox: double.Mailbox) -> None:
    with pytest.raises(ValueError, match="linefeed"):
        send(mailbox, letter(subject="Vraag\r\nBcc: iemand@example.nl"))
    assert mailbox.verbs == {}


def test_the_gate_hears_of_a_mail_and_nothing_of_what_it_says_is_kept(mailbox: double.Mailbox) -> None:
    gate = Gate()
    send(mailbox, gate=gate)
    (call,) = gate.calls
    assert (call.service, call.method, call.status, call.data_class) == ("mail", "SMTP", 250, DataClass.PERSONAL)
    record = kept(call)
    assert record.request_body.endswith("bytes of message/rfc822)")
    assert "jan" not in f"{record.url}{record.error}{record.request_body}{record.answer_body}".lower()


@pytest.mark.parametrize(
    ("verb", "answer", "kind"),
    [
        ("MAIL", "550 not you", errors.Rejected),
        ("RCPT", "550 no such user", errors.Rejected),
        ("RCPT", "451 try later", errors.Busy),
        ("DATA", "554 looks like spam", errors.Rejected),
        ("DATA", "452 disk full", errors.Busy),
    ],
)
def test_a_refusal_says_why_and_did_not_happen(
    mailbox: double.Mailbox, verb: str, answer: str, kind: type[errors.ServiceError]
) -> None:
    mailbox.answers[verb] = answer
    gate = Gate()
    with pytest.raises(kind, match=answer) as raised:
        send(mailbox, gate=gate)
    assert raised.value.did_not_happen
    assert gate.calls[0].status == int(answer[:3])
    assert mailbox.received == []


def test_without_an_answer_to_the_content_it_may_have_happened(mailbox: double.Mailbox) -> None:
    mailbox.answers["DATA"] = double.CUT
    with pytest.raises(errors.NoAnswer) as raised:
        send(mailbox)
    assert not raised.value.did_not_happen
    assert len(mailbox.received) == 1


def test_a_server_that_is_not_there_was_given_nothing() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        server = SmtpServer("127.0.0.1", unheard.getsockname()[1], SENDER)
        with pytest.raises(errors.NotSent):
            SmtpClient(server, Gate()).send(letter(), key="1", check=lambda: None)


def test_a_server_that_says_nothing_was_given_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = SmtpServer("127.0.0.1", silent.getsockname()[1], SENDER, timeout=0.2)
        with pytest.raises(errors.NotSent):
            SmtpClient(server, Gate()).send(letter(), key="1", check=lambda: None)


def test_what_the_last_check_stops_is_not_handed_over(mailbox: double.Mailbox) -> None:
    class TooLate(Exception):
        pass

    def check() -> None:
        raise TooLate

    with pytest.raises(TooLate):
        send(mailbox, check=check)
    assert mailbox.verbs == {"MAIL": 1, "RCPT": 1}


def test_without_starttls_no_password_and_no_mail_is_given(mailbox: double.Mailbox) -> None:
    with pytest.raises(errors.NotSent, match="STARTTLS"):
        send(mailbox, security="starttls", username="bptl", password="geheim")
    assert mailbox.verbs == {}


def test_a_login_is_shown_and_a_wrong_one_is_told() -> None:
    with double.Mailbox(login=("bptl", "geheim")) as mailbox:
        send(mailbox, username="bptl", password="geheim")
        assert len(mailbox.received) == 1
        with pytest.raises(errors.Rejected, match="535") as raised:
            send(mailbox, username="bptl", password="verkeerd")
    assert "verkeerd" not in str(raised.value)

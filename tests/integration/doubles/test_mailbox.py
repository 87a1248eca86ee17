"""The mail server of tests and demo: what a sender hears, and what was kept all the same."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

import pytest

from stage.ports import HOST
from tests.doubles.mailbox import CUT, HELD, LOST, Mailbox
from tests.doubles.tls import certify


def message(*to: str, message_id: str = "<bptl-1@example.org>") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "bptl@example.org", ", ".join(to), "Uw aanvraag 🏠"
    mail["Message-ID"], mail["Reply-To"] = message_id, "loket@example.org"
    mail.set_content("Beste aanvrager,\n.\neen punt alleen is geen einde.\n")
    mail.add_alternative("<p>Beste aanvrager</p>\n", subtype="html")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="besluit.pdf")
    return mail


def send(mailbox: Mailbox, mail: EmailMessage) -> None:
    with smtplib.SMTP(HOST, mailbox.port, timeout=5) as client:
        client.send_message(mail)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    made = (tmp_path / "certificate.pem", tmp_path / "key.pem")
    certify(*made)
    return made


def test_a_message_is_kept_with_all_its_parts(mailbox: Mailbox) -> None:
    send(mailbox, message("a@example.org", "b@example.org"))
    [mail] = mailbox.received
    assert (mail.subject, mail.recipients) == ("Uw aanvraag 🏠", ["a@example.org", "b@example.org"])
    assert (mail.message_id, mail.message["Reply-To"]) == ("<bptl-1@example.org>", "loket@example.org")
    assert "een punt alleen is geen einde." in mail.text
    assert "<p>Beste aanvrager</p>" in mail.html
    [attachment] = mail.attachments
    assert (attachment.name, attachment.content_type, attachment.content) == (
        "besluit.pdf",
        "application/pdf",
        b"%PDF",
    )
    assert mailbox.to("b@example.org") == [mail]


@pytest.mark.parametrize("status", [450, 550])
def test_a_recipient_is_refused_and_the_others_get_their_mail(mailbox: Mailbox, status: int) -> None:
    mailbox.refuse("nobody@example.org", f"{status} not here")
    with smtplib.SMTP(HOST, mailbox.port, timeout=5) as client:
        refused = client.send_message(message("a@example.org", "nobody@example.org"))
    assert refused["nobody@example.org"][0] == status
    assert mailbox.received[0].recipients == ["a@example.org"]


def test_a_recipient_that_was_refused_for_a_while_gets_its_mail_later(mailbox: Mailbox) -> None:
    mailbox.refuse("a@example.org", "450 later")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(mailbox, message("a@example.org"))
    send(mailbox, message("a@example.org"))
    assert mailbox.count("<bptl-1@example.org>") == 1


def test_a_verb_is_answered_as_it_is_told_to_until_that_is_taken_away(mailbox: Mailbox) -> None:
    mailbox.answers["MAIL"] = "451 not now"
    for _ in range(2):
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(mailbox, message("a@example.org"))
    del mailbox.answers["MAIL"]
    send(mailbox, message("a@example.org"))
    assert mailbox.verbs == {"MAIL": 3, "RCPT": 1, "DATA": 1}


def test_a_cut_after_data_leaves_the_sender_in_doubt_and_the_message_kept(mailbox: Mailbox) -> None:
    mailbox.end(CUT)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(mailbox, message("a@example.org"))
    assert mailbox.count("<bptl-1@example.org>") == 1
    send(mailbox, message("a@example.org"))
    assert mailbox.counts() == {"<bptl-1@example.org>": 2}


def test_a_cut_before_it_is_kept_looks_the_same_to_the_sender(mailbox: Mailbox) -> None:
    mailbox.end(LOST)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(mailbox, message("a@example.org"))
    assert not mailbox.received


def test_a_message_can_be_kept_while_its_sender_waits_until_it_goes(mailbox: Mailbox) -> None:
    mailbox.end(HELD)
    with smtplib.SMTP(HOST, mailbox.port, timeout=1) as client, pytest.raises(smtplib.SMTPServerDisconnected):
        client.send_message(message("a@example.org"))
    assert mailbox.count("<bptl-1@example.org>") == 1
    send(mailbox, message("b@example.org"))
    assert len(mailbox.to("b@example.org")) == 1


@pytest.mark.parametrize("status", [451, 554])
def test_a_message_that_is_refused_is_not_kept(mailbox: Mailbox, status: int) -> None:
    mailbox.end(f"{status} no")
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        send(mailbox, message("a@example.org"))
    assert refusal.value.smtp_code == status
    assert not mailbox.received


def test_who_has_no_login_is_refused(certificate: tuple[Path, Path]) -> None:
    with Mailbox(login=("bptl", "geheim"), certificate=certificate) as mailbox:
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(mailbox, message("a@example.org"))
        with smtplib.SMTP(HOST, mailbox.port, timeout=5) as client:
            client.starttls(context=ssl.create_default_context(cafile=str(certificate[0])))
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("bptl", "verkeerd")
            client.login("bptl", "geheim")
            client.send_message(message("a@example.org"))
        assert len(mailbox.received) == 1


def test_a_connection_can_be_encrypted_by_starttls(certificate: tuple[Path, Path]) -> None:
    with Mailbox(certificate=certificate) as mailbox:
        with smtplib.SMTP(HOST, mailbox.port, timeout=5) as client:
            client.starttls(context=ssl.create_default_context(cafile=str(certificate[0])))
            client.send_message(message("a@example.org"))
        assert len(mailbox.received) == 1


def test_messages_become_files_for_whoever_wants_to_look_at_them(tmp_path: Path) -> None:
    with Mailbox(folder=tmp_path / "mail") as mailbox:
        send(mailbox, message("a@example.org"))
    assert b"Reply-To: loket@example.org" in (tmp_path / "mail" / "00001.eml").read_bytes()

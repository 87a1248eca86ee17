"""A mail server that keeps what it is given, and misbehaves on demand.

    with Mailbox() as mailbox:
        mailbox.refuse("nobody@example.org", 550)
        mailbox.fault("cut-after")            the next message is kept, and the sender never hears of it
        ... send to mailbox.host and mailbox.port ...
        assert mailbox.messages[0].subject == "Uw aanvraag"
        assert mailbox.count("<bptl-1@example.org>") == 1

In pytest the fixture ``mailbox`` gives one. As a program it writes each message as a file:
``python -m tests.doubles.mailbox --port 8025 --folder mail``.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
import threading
from collections import Counter
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as MAIL
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from stage.ports import HOST, free_port

Fault = Literal["cut-before", "cut-after", "451", "554"]
"""At the end of DATA: the connection is cut and the message lost or kept; or it is refused, for now or for good."""


@dataclass(frozen=True)
class Attachment:
    """One file of a message."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """One message. ``recipients`` are those of the envelope, bcc too; ``original`` is all of it."""

    sender: str
    recipients: tuple[str, ...]
    original: EmailMessage

    @property
    def message_id(self) -> str:
        """With its angle brackets."""
        return str(self.original["Message-ID"] or "")

    @property
    def subject(self) -> str:
        """Decoded."""
        return str(self.original["Subject"] or "")

    @property
    def reply_to(self) -> str:
        """As it is written."""
        return str(self.original["Reply-To"] or "")

    @property
    def text(self) -> str:
        """The plain text, empty without one."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML, empty without any."""
        return self._body("html")

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """In their order."""
        return tuple(
            Attachment(part.get_filename() or "", part.get_content_type(), content)
            for part in self.original.iter_attachments()
            if isinstance(content := part.get_payload(decode=True), bytes)
        )

    def _body(self, kind: Literal["plain", "html"]) -> str:
        part = self.original.get_body((kind,))
        return str(part.get_content()) if part is not None else ""


class Mailbox:
    """An SMTP server on 127.0.0.1; thread-safe.

    ``certificate`` (file, file of its key) lets it speak STARTTLS; with ``login`` (name, password), which needs one, it
    takes mail from nobody else. In ``folder`` each message becomes a file.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        login: tuple[str, str] | None = None,
        certificate: tuple[Path, Path] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.host = HOST
        self.port = port or free_port()
        self.connections = 0
        self._login = login
        self._folder = folder
        self._lock = threading.Lock()
        self._messages: list[Mail] = []
        self._refused: dict[str, list[int]] = {}
        self._faults: list[Fault] = []
        self._controller = Controller(
            _Handler(self),
            hostname=self.host,
            port=self.port,
            tls_context=_context(certificate),
            authenticator=self._authenticate if login else None,
            auth_required=login is not None,
        )

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    @property
    def messages(self) -> list[Mail]:
        """What was kept, oldest first."""
        with self._lock:
            return list(self._messages)

    def to(self, recipient: str) -> list[Mail]:
        """What was kept for somebody."""
        return [mail for mail in self.messages if recipient in mail.recipients]

    def count(self, message_id: str) -> int:
        """How often a message was kept, by its Message-ID."""
        return self.counts()[message_id]

    def counts(self) -> Counter[str]:
        """Message-ID → how often it was kept."""
        return Counter(mail.message_id for mail in self.messages)

    def refuse(self, recipient: str, status: int = 550, *, times: int = 1_000_000) -> None:
        """Refuse a recipient, for now (4xx) or for good (5xx)."""
        with self._lock:
            self._refused[recipient] = [status, times]

    def fault(self, kind: Fault, *, times: int = 1) -> None:
        """So end the next messages."""
        with self._lock:
            self._faults += [kind] * times

    def refusal(self, recipient: str) -> int | None:
        """The status with which a recipient is refused now."""
        with self._lock:
            status, left = self._refused.get(recipient, [0, 0])
            if left <= 0:
                return None
            self._refused[recipient] = [status, left - 1]
            return status

    def take(self, mail: Mail) -> Fault | None:
        """Keep a message unless it meets a fault that loses it; the fault."""
        with self._lock:
            fault = self._faults.pop(0) if self._faults else None
            if fault in {None, "cut-after"}:
                self._messages.append(mail)
                if self._folder is not None:
                    path = self._folder / f"{len(self._messages):04d}.eml"
                    path.write_bytes(mail.original.as_bytes())
        return fault

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given is not None and given == self._login, handled=False)


class _Handler:
    """What aiosmtpd calls."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_EHLO(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self._mailbox.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        status = self._mailbox.refusal(address)
        if status is not None:
            return f"{status} {address} is refused"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode()
        original = BytesParser(EmailMessage, policy=MAIL).parsebytes(raw)
        mail = Mail(str(envelope.mail_from), tuple(str(one) for one in envelope.rcpt_tos), original)
        match self._mailbox.take(mail):
            case "cut-before" | "cut-after":
                if isinstance(server.transport, asyncio.WriteTransport):
                    server.transport.abort()
                return "421 cut"
            case "451":
                return "451 try again later"
            case "554":
                return "554 transaction failed"
        return "250 OK"


def _context(certificate: tuple[Path, Path] | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="A mail server that keeps what it is given.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, help="where each message becomes a file")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Mailbox(port=options.port, folder=options.folder) as mailbox:
        print(f"smtp {mailbox.host}:{mailbox.port}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()

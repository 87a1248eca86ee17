"""A mail server that keeps what it is given, and can be told to misbehave (SMTP, RFC 5321).

    with Mailbox() as mailbox:
        mailbox.refuse("nobody@example.org", "550 no such mailbox")
        mailbox.answers["MAIL"] = "451 not now"          every MAIL, until it is taken away
        mailbox.end(CUT)                                 the next message is kept, and its sender never hears of it
        ... send to 127.0.0.1 and mailbox.port ...
        assert mailbox.received[0].subject == "Uw aanvraag"
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
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from stage.ports import HOST, free_port

CUT = "cut"
"""Of DATA: the message is kept, then the connection is cut."""

HELD = "held"
"""Of DATA: the message is kept, and its sender waits for the answer as long as it lives."""

LOST = "lost"
"""Of DATA: the message is lost, and the connection is cut."""

FINE = "250 OK"


@dataclass(frozen=True, slots=True)
class File:
    """One attachment."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """One mail as it came. ``recipients`` are those of the envelope."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    content: bytes = field(repr=False)

    @property
    def message_id(self) -> str:
        """With its angle brackets."""
        return str(self.message["Message-ID"] or "")

    @property
    def subject(self) -> str:
        """Decoded."""
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain text, empty without one."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML, empty without any."""
        return self._body("html")

    @property
    def attachments(self) -> list[File]:
        """In their order."""
        return [
            File(part.get_filename() or "", part.get_content_type(), content)
            for part in self.message.iter_attachments()
            if isinstance(content := part.get_payload(decode=True), bytes)
        ]

    def _body(self, kind: Literal["plain", "html"]) -> str:
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part is not None else ""


class Mailbox:
    """One server on 127.0.0.1, by default on a port of its own; thread-safe.

    ``answers`` says what a verb (MAIL, RCPT, DATA) is answered instead, such as ``{"RCPT": "550 no such user"}``; DATA
    may be CUT, HELD or LOST. ``login`` is the only username and password that it takes, if any. ``certificate`` (file,
    file of its key) lets it speak STARTTLS. In ``folder`` each message becomes a file.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        login: tuple[str, str] | None = None,
        certificate: tuple[Path, Path] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self.received: list[Received] = []
        self.verbs: Counter[str] = Counter()
        self.answers: dict[str, str] = {}
        self.login = login
        self._folder = folder
        self._lock = threading.Lock()
        self._refused: dict[str, list[str]] = {}
        self._ends: list[str] = []
        self._controller = _Controller(self, _context(certificate))

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    def to(self, recipient: str) -> list[Received]:
        """What was kept for somebody."""
        return [mail for mail in list(self.received) if recipient in mail.recipients]

    def count(self, message_id: str) -> int:
        """How often a message was kept, by its Message-ID."""
        return self.counts()[message_id]

    def counts(self) -> Counter[str]:
        """Message-ID → how often it was kept."""
        return Counter(mail.message_id for mail in list(self.received))

    def refuse(self, recipient: str, *answers: str) -> None:
        """Answer the next RCPTs of somebody so, one after the other."""
        with self._lock:
            self._refused.setdefault(recipient, []).extend(answers)

    def end(self, *answers: str) -> None:
        """End the next messages so, one after the other: CUT, LOST or an answer such as ``451 later``."""
        with self._lock:
            self._ends += answers

    def answer(self, verb: str, *, recipient: str = "") -> str:
        """What a verb is answered now; it counts."""
        with self._lock:
            self.verbs[verb] += 1
            waiting = self._refused.get(recipient, []) if verb == "RCPT" else self._ends if verb == "DATA" else []
            return waiting.pop(0) if waiting else self.answers.get(verb, FINE)

    def keep(self, mail: Received) -> None:
        """One more."""
        with self._lock:
            self.received.append(mail)
            if self._folder is not None:
                number = len(list(self._folder.iterdir())) + 1
                (self._folder / f"{number:05d}.eml").write_bytes(mail.content)


class _Handler:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self._mailbox.answer("MAIL")
        if self._mailbox.login is not None and not session.authenticated:
            return "530 log in first"
        envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self._mailbox.answer("RCPT", recipient=address)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self._mailbox.answer("DATA")
        if answer.startswith("2") or answer in {CUT, HELD}:
            content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
            message = BytesParser(EmailMessage, policy=default).parsebytes(content)
            recipients = [str(one) for one in envelope.rcpt_tos]
            self._mailbox.keep(Received(str(envelope.mail_from), recipients, message, content))
        if answer == HELD:
            # Who hangs up, or the end of this server, ends the wait: aiosmtpd cancels it.
            await asyncio.Event().wait()
        if answer in {CUT, LOST} and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
        return answer


class _Controller(Controller):
    def __init__(self, mailbox: Mailbox, context: ssl.SSLContext | None) -> None:
        super().__init__(_Handler(mailbox), hostname=HOST, port=mailbox.port)
        self._mailbox = mailbox
        self._context = context

    def factory(self) -> SMTP:
        login = self._mailbox.login

        def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
            right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == login
            return AuthResult(success=right, handled=False)

        if login is None:
            return SMTP(self.handler, hostname=HOST, tls_context=self._context)
        return SMTP(
            self.handler,
            hostname=HOST,
            tls_context=self._context,
            authenticator=authenticate,
            auth_require_tls=False,
        )


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
        print(f"smtp {HOST}:{mailbox.port}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()

"""Mail over SMTP (RFC 5321): one message for one recipient, whose end says whether it can have been taken.

Until the content is handed over nothing has happened. A server that answers the content has taken the mail (2xx) or has
not (4xx, 5xx); when it does not answer, nobody can be asked.
"""

from __future__ import annotations

import contextlib
import functools
import re
import smtplib
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal

from bptl.clients.access import DataClass
from bptl.clients.errors import Busy, NoAnswer, NotSent, Rejected, ServiceError
from bptl.clients.gate import Call, Gate
from bptl.clients.spans import calling

SERVICE = "mail"
METHOD = "SMTP"

MESSAGE_IDS = uuid.UUID("6f0c43c4-5f0e-5b6e-9a53-0a2c8f5c1f70")
"""Namespace (RFC 9562) of the ids of our messages."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Somebody who sends or receives mail; ``address`` is ASCII."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; ``media_type`` such as ``application/pdf``."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailMessage:
    """One mail, as text and as HTML. It goes to one recipient, and answers to it go to ``reply_to``."""

    recipient: Mailbox
    reply_to: Mailbox
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over, and from whom it comes. ``timeout`` is seconds, for each step of the conversation."""

    host: str
    port: int
    sender: Mailbox
    username: str = ""
    password: str = field(default="", repr=False)
    security: Literal["none", "starttls", "tls"] = "none"
    timeout: float = 10.0


class SmtpClient:
    """Hands mail to one server; cheap to make. Every method raises ServiceError, and what the gate raises."""

    def __init__(self, server: SmtpServer, gate: Gate) -> None:
        self._server = server
        self._gate = gate
        self._url = f"smtp://{server.host}:{server.port}"

    def send(self, message: MailMessage, *, key: str, check: Callable[[], None]) -> str:
        """Send a message and answer its Message-ID, which is the same for the same ``key``.

        ``check`` is called right before the content is handed over, and may raise. Raises ValueError for a header with
        a line break.
        """
        mime, message_id = self._mime(message, key)
        content = mime.as_bytes(policy=SMTP)
        self._gate.enter(SERVICE, METHOD, self._url)
        began_at, began = datetime.now(UTC), time.monotonic()
        status: int | None = None
        error = ""
        try:
            with calling(SERVICE, METHOD, self._url):
                status = self._deliver(content, message.recipient.address, check)
        except ServiceError as fault:
            status, error = fault.status, str(fault)
            raise
        except Exception as fault:
            error = f"not handed over: {fault}"
            raise
        finally:
            self._gate.leave(
                Call(
                    service=SERVICE,
                    data_class=DataClass.PERSONAL,
                    method=METHOD,
                    url=self._url,
                    began_at=began_at,
                    seconds=time.monotonic() - began,
                    status=status,
                    error=error,
                    request_type="message/rfc822",
                    request_body=content,
                )
            )
        return message_id

    def _mime(self, message: MailMessage, key: str) -> tuple[EmailMessage, str]:
        sender = self._server.sender
        message_id = f"<{uuid.uuid5(MESSAGE_IDS, key)}@{sender.address.rpartition('@')[2]}>"
        mime = EmailMessage(policy=SMTP)
        mime["From"] = _address(sender)
        mime["To"] = _address(message.recipient)
        mime["Reply-To"] = _address(message.reply_to)
        mime["Subject"] = message.subject
        mime["Date"] = format_datetime(datetime.now(UTC))
        mime["Message-ID"] = message_id
        # RFC 3834: so that an absence message does not answer a machine.
        mime["Auto-Submitted"] = "auto-generated"
        mime.set_content(message.text, cte="quoted-printable")
        mime.add_alternative(message.html, subtype="html", cte="quoted-printable")
        for attachment in message.attachments:
            kind, _, subtype = attachment.media_type.partition("/")
            mime.add_attachment(attachment.content, maintype=kind, subtype=subtype, filename=attachment.name)
        return mime, message_id

    def _deliver(self, content: bytes, recipient: str, check: Callable[[], None]) -> int:
        handed_over = False
        try:
            with self._conversation() as smtp:
                options = [f"size={len(content)}"] if smtp.has_extn("size") else []
                self._expect(smtp.mail(self._server.sender.address, options), "refuses our sender")
                self._expect(smtp.rcpt(recipient), f"refuses {recipient}")
                check()
                self._expect(smtp.docmd("DATA"), "wants no content", good=354)
                handed_over = True
                # A line that begins with a dot would end the content (RFC 5321, 4.5.2).
                smtp.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
                return self._expect(smtp.getreply(), "refuses the mail")
        except smtplib.SMTPResponseException as error:
            raise self._refusal(error.smtp_code, error.smtp_error, "refuses us") from error
        except (smtplib.SMTPException, OSError) as error:
            kind, what = (NoAnswer, "no answer from") if handed_over else (NotSent, "no mail was given to")
            text = f"{what} the mail server {self._url}: {type(error).__name__}: {error}"
            raise kind(text, service=SERVICE, method=METHOD, url=self._url) from error

    @contextlib.contextmanager
    def _conversation(self) -> Iterator[smtplib.SMTP]:
        server = self._server
        trust = ssl.create_default_context() if server.security != "none" else None
        smtp: smtplib.SMTP
        if server.security == "tls":
            smtp = smtplib.SMTP_SSL(
                server.host, server.port, local_hostname=_our_name(), timeout=server.timeout, context=trust
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, local_hostname=_our_name(), timeout=server.timeout)
        try:
            smtp.ehlo_or_helo_if_needed()
            if server.security == "starttls":
                smtp.starttls(context=trust)
                smtp.ehlo_or_helo_if_needed()
            if server.username:
                smtp.login(server.username, server.password)
            yield smtp
            # Whatever comes of the goodbye, the server has answered.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            smtp.close()

    def _expect(self, reply: tuple[int, bytes], what: str, *, good: int = 0) -> int:
        code, text = reply
        if code == good or (not good and 200 <= code < 300):
            return code
        raise self._refusal(code, text, what)

    def _refusal(self, code: int, said: bytes | str, what: str) -> ServiceError:
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        message = f"the mail server {self._url} {what}: {code} {' '.join(text.split())}"
        if 400 <= code < 500:
            return Busy(message, service=SERVICE, method=METHOD, url=self._url, status=code)
        if 500 <= code < 600:
            return Rejected(message, service=SERVICE, method=METHOD, url=self._url, status=code, detail=text)
        return NoAnswer(message, service=SERVICE, method=METHOD, url=self._url)


def _address(mailbox: Mailbox) -> Address:
    return Address(mailbox.name, addr_spec=mailbox.address)


@functools.cache
def _our_name() -> str:
    """The name by which we greet. Asked once: a slow name server would else delay every mail."""
    return socket.getfqdn()

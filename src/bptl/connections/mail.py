"""The mail of a running task: templates of the administrators or the defaults, and the server of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.template import TemplateSyntaxError

from bptl.clients.gate import Gate
from bptl.clients.smtp import Mailbox, MailMessage, SmtpClient, SmtpServer
from bptl.connections import mail_templates
from bptl.connections.mail_models import MailTemplate
from bptl.work_units.contract import NeverAgain, NoSuchTemplate, Rendered, Sending


class TaskMail:
    """The contract's Mail."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def render(self, template: str, context: Mapping[str, Any]) -> Rendered:
        """Fill a template; see the contract. Raises NeverAgain for one that cannot be filled."""
        try:
            return _found(template).render(context)
        except (TemplateSyntaxError, ValueError) as error:
            raise NeverAgain(f"mail template {template!r} cannot be filled: {error}") from error

    def send(self, message: MailMessage, sending: Sending) -> str:
        """Hand one message over; see the contract."""
        return SmtpClient(server(), self._gate).send(message, key=sending.idempotency_key, check=sending.check)


def server() -> SmtpServer:
    """The mail server of the settings (``EMAIL_*``, ``DEFAULT_FROM_EMAIL``)."""
    return SmtpServer(
        host=settings.EMAIL_HOST,
        port=settings.EMAIL_PORT,
        sender=Mailbox(*parseaddr(settings.DEFAULT_FROM_EMAIL)),
        username=settings.EMAIL_HOST_USER,
        password=settings.EMAIL_HOST_PASSWORD,
        security="starttls" if settings.EMAIL_USE_TLS else "tls" if settings.EMAIL_USE_SSL else "none",
        timeout=settings.EMAIL_TIMEOUT,
    )


def _found(name: str) -> mail_templates.Template:
    row = MailTemplate.objects.filter(name=name).first()
    if row is not None:
        return row.template
    if name in mail_templates.NAMES:
        return mail_templates.default(name)
    own = MailTemplate.objects.values_list("name", flat=True)
    raise NoSuchTemplate(name, known=sorted({*mail_templates.NAMES, *own}))

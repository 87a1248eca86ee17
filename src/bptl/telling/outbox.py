"""Sending what was planned: claimed by one sender, tried with growing waits, given up after a day.

A message is claimed by moving its next try, so that a sender that dies leaves one that is tried again. After a crash a
mail or a call of a webhook can thus come twice; it has the same Message-ID, or the same delivery id, then.
"""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import parseaddr

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.html import linebreaks, urlize

from bptl.clients import webhook
from bptl.clients.errors import NotSent, ServiceError
from bptl.clients.gate import OpenGate
from bptl.clients.smtp import Mailbox, MailMessage, SmtpClient
from bptl.connections.mail import server
from bptl.connections.secrets import Undecryptable
from bptl.lib import json
from bptl.lib.log import get_logger
from bptl.lib.redaction import redact
from bptl.tasks import sql
from bptl.telling import owners
from bptl.telling.models import Message

log = get_logger(__name__)

WAITS = (2, 5, 15, 30, 60)
"""Minutes from one try to the next; the last one repeats."""

GIVE_UP_AFTER = timedelta(hours=24)

_CLAIM = """
UPDATE telling_message SET tries = tries + 1,
    next_try_at = now() + greatest((%s::int[])[least(tries + 1, %s)] * interval '1 minute', %s)
WHERE id = (
    SELECT id FROM telling_message
    WHERE next_try_at <= statement_timestamp() AND channel <> ALL(%s::text[]) AND recipient <> ALL(%s::text[])
    ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, tries
"""


class NoSecret(Exception):
    """The secret that signs is gone: the address, or its mapping, was changed after the message was planned."""


def send(*, seconds: float) -> int:
    """Send what is due, for at most ``seconds`` and a last message; answers how many were taken.

    An address that does not answer, and a mail server that is not reached, are left alone for the rest of the round.
    """
    until = time.monotonic() + seconds
    silent_channels: set[str] = set()
    silent: set[str] = set()
    sent = 0
    while time.monotonic() < until:
        claimed = sql.query(_CLAIM, [list(WAITS), len(WAITS), longest_try(), list(silent_channels), list(silent)])
        if not claimed:
            break
        message = Message.objects.select_related("mapping").get(id=claimed[0].id)
        error = attempt(message)
        if error is None:
            sent += 1
        elif isinstance(error, NotSent) and message.channel == Message.Channel.MAIL:
            silent_channels.add(message.channel)
        else:
            silent.add(message.recipient)
    return sent


def longest_try() -> timedelta:
    """How long a try may take; nobody else takes its message before. Talking to a mail server has nine steps at most,
    each with its own time-out."""
    return timedelta(seconds=10 * settings.EMAIL_TIMEOUT)


def attempt(message: Message) -> Exception | None:
    """One try of a claimed message, recorded; answers what went wrong, if anything."""
    try:
        if message.channel == Message.Channel.MAIL:
            _mail(message)
        else:
            _call(message)
    except (ServiceError, NoSecret, Undecryptable, ValueError) as error:
        _failed(message, redact(str(error)))
        return error
    _mine(message).update(sent_at=Now(), next_try_at=None, error="")
    log.info("message.sent", why=message.why, channel=message.channel, incident=message.incident_id)
    return None


def _failed(message: Message, error: str) -> None:
    log.warning("message.not_sent", channel=message.channel, tries=message.tries, error=error)
    _mine(message).update(error=error)
    given_up = _mine(message).filter(planned_at__lt=Now() - GIVE_UP_AFTER)
    if given_up.update(given_up_at=Now(), next_try_at=None):
        log.error("message.given_up", channel=message.channel, tries=message.tries, error=error)


def _mine(message: Message) -> QuerySet[Message]:
    return Message.objects.filter(id=message.pk, tries=message.tries, next_try_at__isnull=False)


def _mail(message: Message) -> None:
    mail = MailMessage(
        recipient=Mailbox("", message.recipient),
        reply_to=Mailbox(*parseaddr(settings.DEFAULT_FROM_EMAIL)),
        subject=message.subject,
        text=message.text,
        html=f"<html><body>{linebreaks(urlize(message.text, autoescape=True), autoescape=False)}</body></html>",
    )
    SmtpClient(server(), OpenGate()).send(mail, key=f"incident/{message.pk}", check=lambda: None)


def _call(message: Message) -> None:
    secret = owners.secret(message)
    if not secret:
        raise NoSecret("the address or its mapping was changed since: nothing signs this message any more")
    hook = webhook.Webhook(message.recipient, secret, tuple(settings.BPTL_WEBHOOK_NETWORKS))
    webhook.post(hook, json.storable(message.payload).encode(), delivery=str(message.pk), timestamp=int(time.time()))


def failing() -> QuerySet[Message]:
    """Messages that were tried, were not taken, and are tried again; the oldest first."""
    return Message.objects.filter(next_try_at__isnull=False).exclude(error="").order_by("planned_at")

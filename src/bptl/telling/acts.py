"""What people do: mute an incident, say who owns a mapping, try whether messages arrive. Each is in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from bptl.accounts import audit
from bptl.connections.models import Mapping
from bptl.telling import outbox, owners, plan, words
from bptl.telling.models import Incident, Message

SHORTEST_SECRET = 16
LONGEST_MUTE = timedelta(days=90)


class AlreadyOver(Exception):
    """The incident has ended: there is nothing to mute."""


@transaction.atomic
def mute(incident_id: int, *, until: datetime, by: audit.By, reason: str) -> None:
    """Tell nothing of an open incident, nor of one of the same thing that begins meanwhile, until then.

    Raises AlreadyOver, ValidationError for a time that is past or too far, and Incident.DoesNotExist.
    """
    incident = Incident.objects.select_for_update().get(id=incident_id)
    if incident.ended_at is not None:
        raise AlreadyOver
    if not timezone.now() < until <= timezone.now() + LONGEST_MUTE:
        raise ValidationError({"until": _("Choose a time from now, at most 90 days away.")})
    incident.muted_until, incident.muted_by, incident.muted_because = until, by.actor, reason
    incident.save(update_fields=["muted_until", "muted_by", "muted_because"])
    audit.record("incident.muted", by=by, about=incident, reason=reason, detail={"until": until.isoformat()})


@transaction.atomic
def unmute(incident_id: int, *, by: audit.By, reason: str = "") -> None:
    """Tell of it again, from the next look on. Raises Incident.DoesNotExist."""
    incident = Incident.objects.select_for_update().get(id=incident_id)
    incident.muted_until, incident.muted_by, incident.muted_because = None, "", ""
    if incident.ended_at is None:
        incident.tell_at = timezone.now()
    incident.save(update_fields=["muted_until", "muted_by", "muted_because", "tell_at"])
    audit.record("incident.unmuted", by=by, about=incident, reason=reason)


@transaction.atomic
def set_owner(
    mapping: Mapping, *, name: str, mail: Sequence[str], webhook: str, secret: str | None, by: audit.By, reason: str
) -> None:
    """Say who is told of a mapping; ``secret`` None keeps the one that it has. Raises ValidationError by field."""
    mapping.owner_name, mapping.owner_mail, mapping.owner_webhook = name, list(mail), webhook
    if not webhook:
        mapping.owner_secret = ""
    elif secret is not None:
        if len(secret) < SHORTEST_SECRET:
            raise ValidationError({"owner_secret": _("Use 16 characters or more, made by chance.")})
        mapping.owner_secret = secret
    if webhook and not mapping.encrypted_owner_secret:
        raise ValidationError({"owner_secret": _("A webhook needs a secret that signs what is sent to it.")})
    mapping.full_clean()
    # What is polled has not changed: its lines stay as they are.
    mapping.save(update_fields=["owner_name", "owner_mail", "owner_webhook", "encrypted_owner_secret"])
    told = {"name": name, "mail": mapping.owner_mail, "webhook": bool(webhook), "new_secret": secret is not None}
    audit.record("mapping.owner_set", by=by, about=mapping, reason=reason, detail=told)


def test(mapping: Mapping | None, *, by: audit.By) -> list[Message]:
    """Send a test at once to the owner of a mapping, or (None) to the installation's addresses; it is tried once.

    Answers the messages as they ended: sent, or given up with their error. Empty when nobody would be told.
    """
    told = words.of_test(by.actor)
    tried = []
    for target in owners.targets(mapping):
        # Not for the round: its next try is after this one.
        later = timezone.now() + timedelta(minutes=10)
        message = plan.message(target, Message.Why.TEST, told, tries=1, next_try_at=later)
        message.save()
        if outbox.attempt(message) is not None:
            Message.objects.filter(id=message.pk, next_try_at__isnull=False).update(given_up_at=Now(), next_try_at=None)
        message.refresh_from_db()
        tried.append(message)
    audit.record("incident.test_sent", by=by, about=mapping, detail={"to": [message.recipient for message in tried]})
    return tried

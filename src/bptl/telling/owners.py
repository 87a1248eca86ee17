"""Whom an incident is told: the owner of its mapping, else the installation's own addresses.

Of a service that is down all owners are told whose mappings use it.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from bptl.connections.models import Mapping
from bptl.telling.models import Incident, Message

MAIL, WEBHOOK = Message.Channel.MAIL, Message.Channel.WEBHOOK


@dataclass(frozen=True, slots=True)
class Target:
    """One address. ``mapping_id`` is the mapping whose owner it is; None: the installation's."""

    channel: Message.Channel
    address: str
    mapping_id: int | None = None


def of_installation() -> list[Target]:
    """The fall-back, from the settings; empty when there is none."""
    targets = [Target(MAIL, address) for address in settings.BPTL_INCIDENT_MAIL]
    if settings.BPTL_INCIDENT_WEBHOOK:
        targets.append(Target(WEBHOOK, settings.BPTL_INCIDENT_WEBHOOK))
    return targets


def targets(mapping: Mapping | None) -> list[Target]:
    """Everybody who is told of what happens to a mapping; None is what belongs to none."""
    if mapping is None or not mapping.has_owner:
        return of_installation()
    own = [Target(MAIL, address, mapping.pk) for address in mapping.owner_mail]
    if mapping.owner_webhook:
        own.append(Target(WEBHOOK, mapping.owner_webhook, mapping.pk))
    return own


def of_incident(incident: Incident) -> list[Target]:
    """Everybody whom an incident concerns, each address once."""
    if incident.service is None:
        return targets(incident.mapping)
    users = Mapping.objects.filter(services__service=incident.service).distinct().order_by("id")
    found = [target for mapping in users for target in targets(mapping)] or of_installation()
    return list({(target.channel, target.address): target for target in reversed(found)}.values())[::-1]


def secret(message: Message) -> str:
    """What signs a call of a webhook now; empty when its mapping or its secret is gone.

    Raises ``connections.secrets.Undecryptable``.
    """
    if message.mapping is not None:
        return message.mapping.owner_secret
    return settings.BPTL_INCIDENT_WEBHOOK_SECRET if message.recipient == settings.BPTL_INCIDENT_WEBHOOK else ""

"""What people do to mappings: add, change, pause, resume, remove. Each is one transaction with its row in the audit
log.

It stands here because a mapping is known to ``connections`` and the audit log to ``accounts``, which do not know each
other. Pollers hear of every change by themselves: PostgreSQL tells them.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from bptl.accounts import audit
from bptl.accounts.audit import By
from bptl.connections import bindings, mappings
from bptl.connections.models import Mapping
from bptl.connections.service_models import Service

_NO_PAUSE: MappingOf[str, Any] = {
    "active": True,
    "paused_at": None,
    "paused_by": "",
    "pause_reason": "",
    "resume_at": None,
}


def save(mapping: Mapping, bound: MappingOf[str, Service], *, by: By, reason: str = "") -> None:
    """Add or change a mapping, with exactly these services by alias; the log keeps what each value was and became.

    Raises ValidationError, and then nothing is saved, and Mapping.DoesNotExist for one that was removed meanwhile.
    """
    with transaction.atomic():
        before = None if mapping._state.adding else _values(_locked(mapping.pk))
        mappings.save(mapping, bound)
        saved = _locked(mapping.pk)
        if before is None:
            audit.record("mapping.added", by=by, about=saved, reason=reason)
            return
        after = _values(saved)
        changed = {name: f"{before[name]} → {after[name]}" for name in after if before[name] != after[name]}
        if changed:
            audit.record("mapping.changed", by=by, about=saved, reason=reason, detail=changed)


def pause(mapping_id: int, *, by: By, reason: str, until: datetime | None = None) -> Mapping:
    """Fetch nothing for a mapping, until a moment or until somebody resumes it. What was fetched is finished.

    One that is paused already gets the new reason and end. Raises Mapping.DoesNotExist, ValidationError when ``until``
    is over.
    """
    if until is not None and until <= timezone.now():
        raise ValidationError({"until": _("This moment is over: choose a later one.")})
    with transaction.atomic():
        Mapping.objects.filter(pk=mapping_id).update(
            active=False,
            paused_at=Now(),
            paused_by=by.actor[:150],
            pause_reason=reason[:500],
            resume_at=until,
            updated_at=Now(),
        )
        mapping = _locked(mapping_id)
        detail = {"until": until.isoformat()} if until else {}
        audit.record("mapping.paused", by=by, about=mapping, reason=reason, detail=detail)
    return mapping


def resume(mapping_id: int, *, by: By, reason: str = "") -> Mapping:
    """Fetch for a mapping again; one that is not paused stays as it is. Raises Mapping.DoesNotExist."""
    with transaction.atomic():
        changed = Mapping.objects.filter(pk=mapping_id, active=False).update(**_NO_PAUSE, updated_at=Now())
        mapping = _locked(mapping_id)
        if changed:
            audit.record("mapping.resumed", by=by, about=mapping, reason=reason)
    return mapping


def remove(mapping_id: int, *, by: By, reason: str = "") -> Mapping:
    """Forget a mapping; answers what it was. Tasks on record stay, and those that wait for a place are given back to
    their engine. Raises Mapping.DoesNotExist.
    """
    with transaction.atomic():
        mapping = _locked(mapping_id)
        audit.record("mapping.removed", by=by, about=mapping, reason=reason)
        Mapping.objects.filter(pk=mapping_id).delete()
    return mapping


def resume_due() -> int:
    """Tidy the rows of pauses that have ended: they are fetched for already (``AT_WORK``). Answers how many."""
    with transaction.atomic():
        due = Mapping.objects.filter(active=False, resume_at__lte=Now()).select_related("engine")
        rows = list(due.select_for_update(of=("self",), skip_locked=True))
        for row in rows:
            # Not updated_at: to the poller nothing changes, and a changed row would make it poll anew.
            Mapping.objects.filter(pk=row.pk).update(**_NO_PAUSE)
            detail = {"paused by": row.paused_by, "because": row.pause_reason, "until": row.resume_at.isoformat()}  # type: ignore[union-attr] # the filter wants one
            audit.record("mapping.resumed", by=By(audit.ITSELF), about=row, detail=detail)
    return len(rows)


def _locked(mapping_id: int) -> Mapping:
    rows = Mapping.objects.select_related("engine").prefetch_related("services__service")
    return rows.select_for_update(of=("self",)).get(pk=mapping_id)


def _values(mapping: Mapping) -> dict[str, str]:
    """What people can change, by the name of its field."""
    named = {field.name: field for field in mapping._meta.concrete_fields if field.editable and not field.primary_key}
    values = {name: str(field.value_from_object(mapping)) for name, field in named.items()}
    services = ", ".join(f"{alias}={service}" for alias, service in sorted(bindings.of(mapping).items()))
    return {**values, "engine": mapping.engine_name, "services": services or "-"}

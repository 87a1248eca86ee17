"""What people do to circuit breakers: open one for a maintenance window, close one. Each is one transaction with its
row in the audit log, whoever asks: a page or a command.

It stands here because a breaker is known to ``connections`` and the audit log to ``accounts``, which do not know each
other.
"""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bptl.accounts import audit
from bptl.accounts.audit import By
from bptl.connections import breakers
from bptl.connections.breakers import Subject
from bptl.connections.models import Opening


@transaction.atomic
def open_window(subject: Subject, *, by: By, reason: str, until: datetime) -> Opening:
    """Fetch nothing that needs a service, or nothing from an engine, until a moment; it is probed before it closes.

    What is fetched already is handed back, and spends no retry. Raises ValidationError when ``until`` is over, or there
    is no reason.
    """
    if until <= timezone.now():
        raise ValidationError({"until": _("This moment is over: choose a later one.")})
    if not reason.strip():
        raise ValidationError({"reason": _("Say why: it is kept in the audit log.")})
    made = breakers.open_by_hand(subject, by=by.actor, reason=reason, until=until)
    audit.record("breaker.opened", by=by, about=subject, reason=reason, detail={"until": until.isoformat()})
    return made


@transaction.atomic
def close_now(subject: Subject, *, by: By, reason: str) -> Opening | None:
    """Fetch again at once, without a probe; answers the opening that ended, None when it was closed already.

    Should the other side still be down, the first task that meets it opens it again. Raises ValidationError without a
    reason.
    """
    if not reason.strip():
        raise ValidationError({"reason": _("Say why: it is kept in the audit log.")})
    ended = breakers.close(subject, by=by.actor, reason=reason)
    if ended is not None:
        detail = {"opened by": ended.opened_by, "because": ended.reason}
        audit.record("breaker.closed", by=by, about=subject, reason=reason, detail=detail)
    return ended

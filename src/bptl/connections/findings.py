"""What a check of a connection found, each in a sentence that says how we know it and, when it is bad, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.utils.translation import gettext as _

from bptl.connections import certificates
from bptl.connections.tls import Tls

SOON = timedelta(days=30)


class Mark(StrEnum):
    """How a finding weighs."""

    GOOD = "ok"
    DOUBT = "doubt"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    mark: Mark
    text: str


def of_certificates(row: Tls) -> Iterator[Finding]:
    """What is to be said of our certificate and of the authorities that ``row`` trusts.

    Raises secrets.Undecryptable.
    """
    now = datetime.now(UTC)
    held = [(_("our client certificate"), one) for one in _facts(row.certificate)[:1]]
    held += [(_("the own certificate authority"), one) for one in _facts(row.authorities)]
    for what, one in held:
        told = {"what": what, "subject": one.subject, "day": one.not_after.date().isoformat()}
        if one.not_after <= now:
            text = _("%(what)s (%(subject)s) ended on %(day)s: enter a new one") % told
            yield Finding(Mark.BAD, text)
        elif one.not_after <= now + SOON:
            yield Finding(Mark.DOUBT, _("%(what)s (%(subject)s) ends on %(day)s: enter a new one before") % told)
        else:
            yield Finding(Mark.GOOD, _("%(what)s (%(subject)s) is good until %(day)s") % told)


def _facts(pem: str) -> list[certificates.Facts]:
    return certificates.facts(pem) if pem else []

"""How a circuit breaker stands, in a word with its colour and a sentence."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bptl.connections.models import Opening
from bptl.web.words import Word

CLOSED = Word(gettext_lazy("closed"), "success", gettext_lazy("Nothing says that it is down: it is fetched for."))


def word(opening: Opening) -> Word:
    """Of a breaker that is open."""
    if opening.by_hand:
        return Word(_("maintenance"), "warning", sentence(opening))
    return Word(_("down"), "danger", sentence(opening))


def not_fetched(opening: Opening) -> Word:
    """Of a topic, or a mapping, that is not fetched because of it."""
    return Word(_("not fetched: down"), "warning", sentence(opening))


def sentence(opening: Opening) -> str:
    """Why nothing is fetched."""
    told = {"name": opening.breaker.name, "since": _clock(opening.opened_at), "by": opening.opened_by}
    if opening.until is not None:
        text = _("Not fetched: %(name)s is in maintenance since %(since)s until %(until)s, says %(by)s.")
        return text % {**told, "until": _clock(opening.until)}
    return (
        _("Not fetched: %(name)s is down since %(since)s. It is probed, and fetched for again when it answers.") % told
    )


def _clock(at: datetime) -> str:
    """The time of day, with the date when that is another day."""
    local = timezone.localtime(at)
    return date_format(local, "H:i" if local.date() == timezone.localdate() else "j M H:i")

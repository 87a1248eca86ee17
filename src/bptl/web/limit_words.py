"""Limits in words, with what of them is used now."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bptl.tasks.limits import Limit
from bptl.web.words import Word


def said(limits: Sequence[Limit]) -> list[str]:
    """A sentence for each number and each rate."""
    return [sentence for limit in limits for sentence in _sentences(limit)]


def full(limit: Limit) -> Word:
    """Of a topic, or a mapping, that waits for a limit without room."""
    if limit.full:
        label = _("full: %(running)d of %(most)d") % {"running": limit.running, "most": limit.most_at_once}
    else:
        label = _("full: %(most)d a minute") % {"most": limit.most_a_minute}
    meaning = _("As many run as its limit, or that of a service, allows; the others wait at the engine.")
    return Word(label, "neutral", meaning)


def _sentences(limit: Limit) -> Sequence[str]:
    whose = _("Service %(service)s:") % {"service": limit.service} + " " if limit.service else ""
    sentences = []
    if limit.most_at_once is not None:
        text = _("at most %(most)d at once, now running %(running)d of %(most)d")
        sentences.append(whose + text % {"most": limit.most_at_once, "running": limit.running})
    if limit.most_a_minute is not None:
        text = ngettext(
            "at most %(most)d begins in a minute", "at most %(most)d begin in a minute", limit.most_a_minute
        )
        told = text % {"most": limit.most_a_minute}
        if limit.next_in is not None:
            told += ", " + _("the next one in %(seconds)d s") % {"seconds": round(limit.next_in) or 1}
        sentences.append(whose + told)
    return sentences

"""The topic radar: what waits at the engines, who is to fetch it, what to do about what nobody fetches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from bptl.accounts.roles import Role
from bptl.connections import diagnosis
from bptl.connections.models import Engine
from bptl.connections.secrets import Undecryptable
from bptl.engines.base import NotAuthenticated, NotAuthorized
from bptl.lib.oauth2 import TokenError
from bptl.tasks import queries, radar
from bptl.tasks.lifecycle import Status
from bptl.tasks.radar import MappingState, Verdict
from bptl.web import breaker_words, limit_words
from bptl.web.rights import needs
from bptl.web.words import STATUSES, Word

PATIENCE = 4.0
"""Seconds for which this page waits for engines."""

VERDICTS: Mapping[Verdict, Word] = {
    Verdict.UNMAPPED: Word(
        gettext_lazy("waiting without a mapping"),
        "danger",
        gettext_lazy("Nobody fetches these tasks: make a mapping for the topic, or correct the topic in the model."),
    ),
    Verdict.BROKEN: Word(
        gettext_lazy("broken mapping"),
        "danger",
        gettext_lazy("Nothing is fetched for this topic until its mapping is mended."),
    ),
    Verdict.PAUSED: Word(
        gettext_lazy("inactive with tasks waiting"),
        "warning",
        gettext_lazy("The mapping is switched off while tasks wait: switch it on when that is no longer meant."),
    ),
    Verdict.LATE: Word(
        gettext_lazy("waiting long"),
        "warning",
        gettext_lazy(
            "An active mapping does not fetch them: its filters may leave them out, no poller lives, or all places "
            "are taken."
        ),
    ),
    Verdict.UNUSED: Word(
        gettext_lazy("mapping without a task"),
        "neutral",
        gettext_lazy("No task of this topic is known, not even an old one: perhaps no model uses it."),
    ),
    Verdict.WELL: Word(gettext_lazy("all well"), "success"),
}
"""Of the others the breaker, or the limit, says the word."""

MAPPING_STATES: Mapping[MappingState, Word] = {
    MappingState.ACTIVE: Word(gettext_lazy("active"), "success"),
    MappingState.PAUSED: Word(gettext_lazy("inactive"), "warning"),
    MappingState.BROKEN: Word(gettext_lazy("broken"), "danger"),
    MappingState.NONE: Word(gettext_lazy("none"), "neutral"),
}


@dataclass(frozen=True, slots=True)
class Held:
    """How many tasks of a topic are here in one status; ``address`` is their list."""

    label: str | Promise
    amount: queries.Amount
    address: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the radar in words."""

    row: radar.Row
    verdict: Word
    mapping: Word
    held: Sequence[Held]
    address: str
    """All tasks of this topic that are known here."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An engine of the radar; ``trouble`` says why there is nothing of it, or not everything."""

    engine: Engine
    trouble: str
    lines: Sequence[Line]


@needs(Role.VIEWER)
@require_GET
@vary_on_headers("HX-Request")
def topics(request: HttpRequest) -> HttpResponse:
    """The page, or its refreshed part."""
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request")
    groups = radar.look(within=PATIENCE)
    context = {
        "shown": [Shown(group.engine, trouble(group), [line(row) for row in group.rows]) for group in groups],
        "found": len(radar.findings(groups)),
    }
    return render(request, "web/topics_part.html" if partial else "web/topics.html", context)


def line(row: radar.Row) -> Line:
    """A row with its words and the lists that its numbers count."""
    held = [
        Held(STATUSES[status].label, amount, _tasks(row, status))
        for status, amount in row.held.items()
        if amount.number
    ]
    return Line(row, _verdict(row), MAPPING_STATES[row.state], held, _tasks(row))


def _verdict(row: radar.Row) -> Word:
    if row.opening is not None:
        return breaker_words.not_fetched(row.opening)
    if row.verdict is Verdict.FULL and row.full is not None:
        return limit_words.full(row.full)
    return VERDICTS[row.verdict]


def _tasks(row: radar.Row, status: Status | None = None) -> str:
    wanted = {"engine": row.engine.name, "topic": row.topic} | ({"status": status.value} if status else {})
    return f"{reverse('tasks')}?{urlencode(wanted)}"


def trouble(group: radar.Group) -> str:
    """What keeps us from seeing the topics of an engine, with what to do; empty when nothing does."""
    engine, heard = group.engine, group.heard
    if not engine.active:
        return _("This engine is inactive: it is not polled, and not asked what waits there.")
    if heard is None:
        return _("The engine has not answered yet; this page asks it again.")
    if heard.error is not None:
        return _why_not(engine, heard.error)
    if heard.may_fetch is False:
        return _(
            "Of some processes, or of all, %(user)s may not read and update the instances: their tasks are neither "
            "shown here nor fetched. Give READ and UPDATE on Process Instance there."
        ) % {"user": engine.username or _("our user")}
    return ""


def _why_not(engine: Engine, error: Exception) -> str:
    told = {"address": engine.address}
    match error:
        case Undecryptable():
            return str(error)
        case NotAuthenticated():
            return _("%(address)s refuses our login (401): correct the credentials of this engine.") % told
        case NotAuthorized():
            rights = ", ".join(error.missing) or error.message
            return _("%(address)s refuses to tell (403). Our user lacks: %(rights)s") % {**told, "rights": rights}
    if isinstance(error.__cause__, TokenError):
        told = {"address": engine.token_address}
    reason = diagnosis.reason(error, told["address"]) or str(error)
    return _("%(address)s gives no usable answer: %(reason)s") % {**told, "reason": reason}

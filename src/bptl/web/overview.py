"""The first page: how many tasks are where, which engines and processes there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.views.decorators.http import require_GET

from bptl.accounts.roles import Role
from bptl.connections.models import Engine
from bptl.tasks import queries
from bptl.tasks.lifecycle import Outcome, Status, outcomes_of
from bptl.web.rights import needs
from bptl.web.words import OUTCOMES, STATUSES

NONE = queries.Amount(0)


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that is a link to the list that it counts."""

    label: str | Promise
    meaning: str | Promise
    tone: str
    amount: queries.Amount
    address: str


@needs(Role.VIEWER)
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """The page, or its refreshed part."""
    context = {
        "tiles": _tiles(queries.counts()),
        "engines": Engine.objects.all(),
        "fleet": queries.fleet(),
    }
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request")
    return render(request, "web/overview_part.html" if partial else "web/overview.html", context)


def _tiles(counts: dict[tuple[str, str], queries.Amount]) -> Sequence[Tile]:
    trouble = [_tile(counts, Status.DELIVERED, Outcome.FAILED), _tile(counts, Status.UNCERTAIN)]
    under_way = [_tile(counts, status) for status in (Status.QUEUED, Status.RUNNING, Status.WAITING, Status.PERFORMED)]
    ended = [_tile(counts, Status.DELIVERED, outcome) for outcome in (Outcome.COMPLETED, Outcome.THROWN)]
    return [*trouble, *under_way, *ended, _tile(counts, Status.RETURNED), _tile(counts, Status.LOST)]


def _tile(counts: dict[tuple[str, str], queries.Amount], status: Status, outcome: Outcome | None = None) -> Tile:
    word = OUTCOMES[outcome] if outcome else STATUSES[status]
    outcomes = [outcome] if outcome else outcomes_of(status)
    amount = sum((counts.get((status, each), NONE) for each in outcomes), NONE)
    wanted = {"status": status.value} | ({"outcome": outcome.value} if outcome else {})
    tone = word.tone if amount.number or word.tone == "success" else "neutral"
    return Tile(word.label, word.meaning, tone, amount, f"{reverse('tasks')}?{urlencode(wanted)}")

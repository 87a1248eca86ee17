"""The first page: what happens now and happened in the last day, what is wrong, and whether everything lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from bptl.accounts.roles import Role
from bptl.tasks import callbacks, incidents, quarantine, queries, radar, trends
from bptl.tasks.lifecycle import Outcome, Status, outcomes_of
from bptl.tasks.models import Task
from bptl.web import charts, condition
from bptl.web.rights import needs
from bptl.web.topics import line, trouble
from bptl.web.words import OUTCOMES, STATUSES

NONE = queries.Amount(0)
DAY = timedelta(days=1)
PATIENCE = 0.15
"""Seconds for which this page waits for engines and the broker; what they have not said by then comes with a refresh.
"""

MOST_FINDINGS = 5


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that is a link to the list that it counts; ``oldest`` is the task that has been there longest."""

    label: str | Promise
    meaning: str | Promise
    tone: str
    amount: queries.Amount
    address: str
    oldest: Task | None = None


@needs(Role.VIEWER)
@require_GET
@vary_on_headers("HX-Request")
def overview(request: HttpRequest) -> HttpResponse:
    """The page, or its refreshed part."""
    groups = radar.look(within=PATIENCE)
    found = radar.findings(groups)
    spans = trends.last_day(timezone.now())
    context = {
        "tiles": _tiles(queries.counts(), queries.oldest([Status.QUEUED, Status.RUNNING, Status.WAITING])),
        "incidents": [(each, address_of_group(each.group.key)) for each in incidents.recent(DAY)],
        "quarantined": quarantine.exists(),
        "findings": [line(row) for row in found[:MOST_FINDINGS]],
        "more_findings": max(0, len(found) - MOST_FINDINGS),
        "deaf": [(group.engine, trouble(group)) for group in groups if group.engine.active and _deaf(group)],
        "throughput": charts.throughput(spans),
        "latency": charts.latency(spans),
        "hours": [span for span in reversed(trends.by_hour(spans)) if span.total],
        "counted": any(span.counted for span in spans),
        "callbacks": callbacks.attention(),
        "condition": condition.now(groups, within=PATIENCE),
    }
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request")
    return render(request, "web/overview_part.html" if partial else "web/overview.html", context)


def address_of_group(key: str) -> str:
    """The list of what lies failed of one cause."""
    return f"{reverse('tasks')}?{urlencode({'error': key})}"


def _deaf(group: radar.Group) -> bool:
    return group.heard is not None and (group.heard.error is not None or group.heard.may_fetch is False)


def _tiles(counts: dict[tuple[str, str], queries.Amount], oldest: dict[Status, Task]) -> Sequence[Tile]:
    trouble = [_tile(counts, Status.DELIVERED, Outcome.FAILED), _tile(counts, Status.UNCERTAIN)]
    under_way = [
        _tile(counts, status, oldest=oldest.get(status))
        for status in (Status.QUEUED, Status.RUNNING, Status.WAITING, Status.PERFORMED)
    ]
    ended = [_tile(counts, Status.DELIVERED, outcome) for outcome in (Outcome.COMPLETED, Outcome.THROWN)]
    return [*trouble, *under_way, *ended, _tile(counts, Status.RETURNED), _tile(counts, Status.LOST)]


def _tile(
    counts: dict[tuple[str, str], queries.Amount],
    status: Status,
    outcome: Outcome | None = None,
    *,
    oldest: Task | None = None,
) -> Tile:
    word = OUTCOMES[outcome] if outcome else STATUSES[status]
    outcomes = [outcome] if outcome else outcomes_of(status)
    amount = sum((counts.get((status, each), NONE) for each in outcomes), NONE)
    wanted = {"status": status.value} | ({"outcome": outcome.value} if outcome else {})
    tone = word.tone if amount.number or word.tone == "success" else "neutral"
    return Tile(word.label, word.meaning, tone, amount, f"{reverse('tasks')}?{urlencode(wanted)}", oldest)

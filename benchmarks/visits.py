"""The profile ``pages``: how long each page takes beside a million finished tasks.

The list of pages is made from the URL configuration, each with the numbers of real rows, and of the list of tasks many
combinations of filters. A page that can be visited and is not, because nobody says with which value, is a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import growth
from benchmarks.figures import table
from benchmarks.filling import COMMON_UNIT, Filled
from benchmarks.pages import NotShown, Took, Visitor, addresses
from benchmarks.runs import PAGES
from bptl.cli.start import start_django
from stage.processes import Stage

REQUESTS = 20
MOST_MS = 300.0
"""p95 of a page."""

NAMES = {"name": COMMON_UNIT, "active": "off", "uidb64": "MQ", "token": "none", "side": "in"}
"""Values of what is no number of a row."""

AWAY = frozenset({"task-model", "task-file", "oidc-ask", "oidc-callback", "instances"})
"""Pages of what is not there, an engine or an identity provider: they say so with 502, 503 or 404."""

UNCHOSEN = frozenset({"instances-delete"})
"""Pages that want a choice which their address does not make: they say so with 400."""

FILES = frozenset({"tasks-csv", "tasks-json", "audit-csv"})
"""Answers that are made while they are sent: what counts is when they begin."""

ACTIONS = frozenset({"task-retry", "task-retry-with-variables", "task-complete"})
"""Pages that are for a failed task."""


@dataclass(slots=True)
class Visited:
    """What was seen. ``left``: the name of a page → why it was not timed; ``faults`` must be empty."""

    tasks: int
    pages: dict[str, Took] = field(default_factory=dict)
    lists: list[Took] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What is slower than it may be, or was not visited."""
        slow = [took for took in (*self.pages.values(), *self.lists) if took.p95 > MOST_MS]
        return [*self.missing, *(f"{took.address}: p95 {took.p95:.0f} ms" for took in slow)]


def run(options: argparse.Namespace, logs: Path, say: Callable[[str], None]) -> int:
    """The whole profile; 1 when a page is slower than ``MOST_MS``, or was not visited."""
    directory = options.keep or options.reuse
    with Stage() as stage:
        bptl = growth.started(stage, logs, directory=directory, say=say).bptl
        filled = growth.reused(directory) if options.reuse else growth.filled_by_copy(bptl, options.finished, say)
        if options.keep:
            growth.keep(filled, directory)
            return 0
        visitor = Visitor(bptl)
        # What the URL configuration holds is asked of the same settings and rows as the web process has.
        os.environ.update(bptl.environment)
        start_django()
        _one_of_each(filled)
        visited = Visited(filled.tasks)
        say("visiting every page")
        for name, address in _pages(filled, visited.missing):
            _visit(visitor, name, address, visited)
        say("visiting every list")
        visited.lists = [visitor.time(address, requests=REQUESTS) for address in addresses(filled)]
    _show(visited)
    if options.json:
        options.json.write_text(json.dumps(asdict(visited), indent=2))
    for reason in (wrong := visited.faults()):
        print(f"fault: {reason}")
    slowest = max((*visited.pages.values(), *visited.lists), key=lambda took: took.p95)
    print(f"{PAGES}: tasks={filled.tasks} pages={len(visited.pages)} lists={len(visited.lists)} p95={slowest.p95:.0f}")
    return 1 if wrong else 0


def _one_of_each(filled: Filled) -> None:
    """One row of what no table is filled with: a service that is down, a right to it, a token, an incident, a refused
    callback."""
    # Django knows its models only now.
    from bptl.accounts.models import Token, User
    from bptl.connections import breakers
    from bptl.connections.service_models import Application, Service, ServiceGrant
    from bptl.tasks.models import Callback
    from bptl.telling.models import Incident, Kind

    address = "http://127.0.0.1:1/zaken/api/v1/"
    kind = {"kind": "zrc", "address": address, "authentication": "no_auth"}
    service, _ = Service.objects.get_or_create(name="zaken", defaults=kind)
    breakers.open_automatically(service, reason="bench")
    for application in Application.objects.all():
        ServiceGrant.objects.get_or_create(application=application, service=service, defaults={"as_service": True})
    owner = User.objects.order_by("pk")[0]
    Token.objects.get_or_create(name="bench", defaults={"user": owner, "scopes": ["work-unit:call"], "digest": "-"})
    callback = {"url": f"{address}hook", "place": "http://127.0.0.1:1", "error": "bench", "ended_at": datetime.now(UTC)}
    Callback.objects.get_or_create(
        task_id=filled.task_id,
        outcome_id=uuid.UUID(int=0),
        defaults={**callback, "state": Callback.State.REFUSED},
    )
    if not Incident.objects.exists():
        Incident.objects.create(kind=Kind.FAILED, key="bench", topic="zaak-aanmaken", tell_at=datetime.now(UTC))


def _visit(visitor: Visitor, name: str, address: str, visited: Visited) -> None:
    status = visitor.status(address)
    if status == 405:
        visited.left[name] = "only sent to"
    elif status in {301, 302}:
        visited.left[name] = "leads elsewhere"
    elif status in {200, 409} or (name in AWAY and status in {404, 502, 503}) or (name in UNCHOSEN and status == 400):
        beginning = name in FILES
        try:
            visited.pages[name] = visitor.time(address, requests=REQUESTS, expected=status, beginning=beginning)
        except NotShown as error:
            visited.missing.append(str(error))
    else:
        visited.missing.append(f"{name}: {address} was answered with {status}")


def _pages(filled: Filled, missing: list[str]) -> Iterator[tuple[str, str]]:
    """Name and address of each page for people; ``missing`` is told what has no value."""
    from django.urls import URLPattern, reverse

    from bptl.web.urls import urlpatterns

    for pattern in urlpatterns:
        name = pattern.name if isinstance(pattern, URLPattern) else None
        if name is None:
            missing.append(f"{pattern} has no name")
            continue
        values = {key: _value(name, key, filled) for key in pattern.pattern.converters}
        if unknown := [key for key, value in values.items() if value is None]:
            missing.append(f"{name}: no value for {', '.join(unknown)}")
            continue
        yield name, reverse(name, kwargs=values)


def _value(page: str, key: str, filled: Filled) -> Any:
    """What stands for a part of an address: of ``thing_id`` the number of the newest thing, if need be of the task."""
    from django.apps import apps

    if key in NAMES:
        return NAMES[key]
    if key == "task_id":
        return filled.failed_id if page in ACTIONS else filled.task_id
    wanted = key.removesuffix("_id").replace("_", "")
    for model in apps.get_models():
        if model._meta.model_name in {wanted, f"service{wanted}"} and key.endswith("_id"):
            rows: Any = model._default_manager.order_by("-pk")
            if any(part.name == "task" for part in model._meta.get_fields()):
                rows = rows.filter(task_id=filled.task_id)
            return rows.values_list("pk", flat=True).first()
    return None


def _show(visited: Visited) -> None:
    head = ("page", "p50 ms", "p95 ms", "longest", "status")
    rows = [_row(name, took) for name, took in sorted(visited.pages.items())]
    print("\n" + table(head, rows) + "\n")
    slowest: Sequence[Took] = sorted(visited.lists, key=lambda took: -took.p95)
    print(table(("list", *head[1:]), [_row(took.address, took) for took in slowest]) + "\n")
    for name, why in sorted(visited.left.items()):
        print(f"not timed: {name}: {why}")


def _row(name: str, took: Took) -> tuple[str, ...]:
    return name, *(f"{figure:.0f}" for figure in (took.p50, took.p95, took.longest)), str(took.status)

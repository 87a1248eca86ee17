"""Every page of the URL configuration with an address that leads to something, made from real rows of a town."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern

from bptl.accounts.roles import Role
from bptl.web import rights, urls
from tests.acceptance.everything import NAMES, Everything

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")

Recipe = Callable[[Everything], object]

_FAILED = "SELECT max(id) FROM tasks_task WHERE status = 'delivered' AND outcome = 'failed'"
_GRANTED = "SELECT application_id FROM connections_servicegrant ORDER BY id LIMIT 1"
_WAITING = "SELECT max(id) FROM tasks_task WHERE status = 'waiting'"
_UNCERTAIN = "SELECT max(task_id) FROM tasks_effect WHERE \"end\" = ''"

RECIPES: Mapping[tuple[str, str] | str, Recipe] = {
    # Of one page, by its name and the parameter.
    ("task-give-up", "task_id"): lambda town: town.one(_UNCERTAIN),
    ("effect-settle", "task_id"): lambda town: town.one(_UNCERTAIN),
    ("effect-settle", "effect_id"): lambda town: town.one("SELECT max(id) FROM tasks_effect WHERE \"end\" = ''"),
    ("task-hand-back", "task_id"): lambda town: town.one("SELECT id FROM tasks_task WHERE status = 'running'"),
    ("task-answer", "task_id"): lambda town: town.one(_WAITING),
    ("task-fail", "task_id"): lambda town: town.one(_WAITING),
    ("task-call", "task_id"): lambda town: town.one("SELECT task_id FROM tasks_servicecall ORDER BY id LIMIT 1"),
    # Of every page with the parameter. A parameter thing_id without a recipe is the first row of the model Thing.
    "task_id": lambda town: town.one(_FAILED),
    "user_id": lambda town: town.one("SELECT id FROM accounts_user WHERE username = %s", NAMES[Role.VIEWER]),
    "mapping_id": lambda town: town.one("SELECT id FROM connections_mapping WHERE topic = 'aanvraag.beoordelen'"),
    "incident_id": lambda town: town.one("SELECT id FROM telling_incident WHERE kind = 'failed'"),
    "grant_id": lambda town: town.one("SELECT id FROM connections_servicegrant ORDER BY id LIMIT 1"),
    ("grant-change", "application_id"): lambda town: town.one(_GRANTED),
    ("grant-remove", "application_id"): lambda town: town.one(_GRANTED),
    "callback_id": lambda town: town.one("SELECT max(id) FROM tasks_callback WHERE state = 'refused'"),
    "side": lambda town: "in",
    "name": lambda town: "demo.decide",
    "active": lambda town: "off",
    "uidb64": lambda town: town.welcome.split("/")[2],
    "token": lambda town: town.welcome.split("/")[3],
}
"""How the parameters of addresses are found. Add a line for what a new page needs."""

ANSWERS: Mapping[str, tuple[int, str]] = {
    "task-deliver-again": (
        409,
        "only a result that the engine refused is delivered again, and the sandbox refuses none",
    ),
    "engine-remove": (409, "it has tasks"),
    "service-remove": (409, "an application may use it"),
    "instances-delete": (400, "no instance is chosen"),
    "task-file": (404, "its address names the variable in a question, and no task here has a file"),
    "oidc-ask": (404, "no identity provider is set"),
    "oidc-callback": (404, "no identity provider is set"),
}
"""Pages that rightly answer something else than 200 to who may see them, and why."""


@dataclass(frozen=True)
class Page:
    """One page: its name, its address, and what it needs (``rights.declared``)."""

    name: str
    address: str
    need: Role | str | None

    def status_for(self, role: Role) -> int:
        """What somebody with this role is answered."""
        if isinstance(self.need, Role) and not role.includes(self.need):
            return 403
        return ANSWERS.get(self.name, (200, ""))[0]


def of(town: Everything) -> list[Page]:
    """All of them. Raises AssertionError that says what to add for a page whose parameters nobody knows."""
    faults: list[str] = []
    pages = [_page(pattern, town, faults) for pattern in _patterns(urls.urlpatterns)]
    assert not faults, "\n".join(faults)
    assert len({page.name for page in pages}) == len(pages), "two pages share a name"
    return pages


def _patterns(entries: list[Any]) -> Iterator[URLPattern]:
    for entry in entries:
        if isinstance(entry, URLResolver):
            yield from _patterns(entry.url_patterns)
        else:
            yield entry


def _page(pattern: URLPattern, town: Everything, faults: list[str]) -> Page:
    assert isinstance(pattern.pattern, RoutePattern)
    route, name = str(pattern.pattern), pattern.name or ""
    if not name:
        faults.append(f"the page {route} has no name: give it one in bptl.web.urls")
    values = {parameter: _value(name, parameter, town, faults) for parameter in _PARAMETER.findall(route)}
    address = _PARAMETER.sub(lambda found: str(values[found[1]]), route)
    return Page(name, f"/{address}", rights.declared(pattern.callback))


def _value(name: str, parameter: str, town: Everything, faults: list[str]) -> object:
    recipe = RECIPES.get((name, parameter)) or RECIPES.get(parameter)
    if recipe is not None:
        value = recipe(town)
        if value is None:
            faults.append(
                f"page {name}: the recipe of {parameter} finds no row; let tests/acceptance/everything.py make one"
            )
        return value
    model = next((one for one in apps.get_models() if f"{one._meta.model_name}_id" == parameter), None)
    if model is None:
        faults.append(
            f"page {name}: add a recipe for its parameter {parameter} to RECIPES in tests/acceptance/pages.py"
        )
        return None
    value = town.first(model._meta.db_table)
    if value is None:
        faults.append(
            f"page {name}: there is no {model._meta.verbose_name}; let tests/acceptance/everything.py make one"
        )
    return value

"""Which function answers which call, and what every call of an API needs before it gets there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from re import Pattern

from tests.doubles.zgw.applications import Application
from tests.doubles.zgw.messages import Answer, Json, Request
from tests.doubles.zgw.world import World


@dataclass(frozen=True)
class Asked:
    """One call that may be made: what was asked, by whom, of which world."""

    world: World
    request: Request
    application: Application
    looked_at: set[str] = field(default_factory=set)
    """Names of query parameters: one that nobody looked at is one that the double does not know."""

    @property
    def body(self) -> Json:
        """What was sent."""
        body: Json = self.request.body
        return body

    def first(self, name: str) -> str | None:
        """A query parameter."""
        self.looked_at.add(name)
        values = self.request.query.get(name)
        return values[0] if values else None

    def every(self, name: str) -> list[str]:
        """All values of a query parameter."""
        self.looked_at.add(name)
        return self.request.query.get(name, [])


Handler = Callable[..., Answer]


@dataclass(frozen=True)
class Route:
    """``crs`` is what a call needs to know of coordinates: nothing, ``accept``, or ``both`` when it sends some too."""

    method: str
    template: str
    pattern: Pattern[str]
    handler: Handler
    scope: str = ""
    crs: str = ""
    produces: str = "application/json"


@dataclass
class Api:
    """One API. ``scheme`` is how callers say who they are: ``jwt`` or ``token``."""

    name: str
    version: str
    kind: str
    scheme: str = "jwt"
    routes: list[Route] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """Where it begins."""
        return f"/{self.name}/api/{self.version}"

    def on(
        self, method: str, template: str, *, scope: str = "", crs: str = "", produces: str = "application/json"
    ) -> Callable[[Handler], Handler]:
        """Let a function answer a call: it gets what was asked and the parts of the path by name."""
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

        def register(handler: Handler) -> Handler:
            self.routes.append(Route(method, template, pattern, handler, scope, crs, produces))
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str], list[str]]:
        """The route of a path below ``prefix``, the parts of the path, and all methods that it has."""
        methods: list[str] = []
        for route in self.routes:
            found = route.pattern.fullmatch(path)
            if found is None:
                continue
            if route.method == method:
                return route, found.groupdict(), [method]
            methods.append(route.method)
        return None, {}, methods

"""How records are shown: without what nobody is shown, and with what is computed from others."""

from __future__ import annotations

from collections.abc import Callable

from tests.doubles.zgw.messages import Json
from tests.doubles.zgw.world import World

View = Callable[[World, Json], Json]

_VIEWS: dict[str, View] = {}


def view_of(name: str) -> Callable[[View], View]:
    """Let a function show the records of a collection."""

    def register(view: View) -> View:
        _VIEWS[name] = view
        return view

    return register


def plain(record: Json) -> Json:
    """Without what nobody is shown."""
    return {name: value for name, value in record.items() if not name.startswith("_")}


def shown(world: World, record: Json) -> Json:
    """A record as its API shows it."""
    view = _VIEWS.get(world.collection(record))
    return view(world, record) if view else plain(record)

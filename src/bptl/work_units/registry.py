"""Which work units exist: found through the entry-point group ``bptl.work_units``, looked up by name or old name.

RegistryError
├── UnknownUnit     nobody declares this name; ``matches`` holds close ones
└── DoubledName     two units want one name, as their own or as an old one
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, NamedTuple

from bptl.lib.log import get_logger
from bptl.work_units.contract import UNIT_ATTRIBUTE, WorkUnit, unit_of

GROUP = "bptl.work_units"

log = get_logger(__name__)


class RegistryError(Exception):
    """A unit that cannot be found or added."""


class UnknownUnit(RegistryError):
    """No unit has this name; ``matches`` are names that look like it."""

    def __init__(self, name: str, *, matches: Iterable[str] = ()) -> None:
        self.name = name
        self.matches = tuple(matches)
        hint = f"; did you mean {' or '.join(self.matches)}?" if self.matches else ""
        super().__init__(f"there is no work unit {name!r}{hint}")


class DoubledName(RegistryError):
    """Two units want the same name; ``first`` keeps it. Both are ``module.function``."""

    def __init__(self, name: str, *, first: str, second: str) -> None:
        self.name = name
        self.first = first
        self.second = second
        super().__init__(f"the work unit name {name!r} is declared by {first} and again by {second}")


class Fault(NamedTuple):
    """An entry point (or one module of its package) that could not be used, and why."""

    entry_point: str
    error: str


class Registry:
    """Work units by name. Iteration is sorted by name; ``faults`` tells what could not be loaded."""

    def __init__(self, units: Iterable[WorkUnit | Callable[..., Any]] = ()) -> None:
        self._units: dict[str, WorkUnit] = {}
        self._names: dict[str, str] = {}
        self.faults: list[Fault] = []
        for unit in units:
            self.add(unit)

    @classmethod
    def from_entry_points(cls, points: Iterable[EntryPoint]) -> Registry:
        """Everything that loads; what does not becomes a fault and stops nothing.

        Our own entry points come first, so that no other package can take one of our names.
        """
        registry = cls()
        for point in sorted(points, key=lambda point: (not point.value.startswith("bptl."), point.name, point.value)):
            try:
                loaded = point.load()
                units = list(registry._found_in(loaded, entry_point=point.name))
            except Exception as error:  # noqa: BLE001 - anybody's code; it becomes a fault
                registry._note(point.name, error)
                continue
            for unit in units:
                try:
                    registry.add(unit)
                except DoubledName as error:
                    registry._note(point.name, error)
        return registry

    def add(self, unit: WorkUnit | Callable[..., Any]) -> WorkUnit:
        """Add a unit or a decorated function; adding the same one again changes nothing.

        Raises DoubledName (and adds nothing) when its name or an old name is taken, TypeError for an undecorated
        function.
        """
        unit = unit if isinstance(unit, WorkUnit) else unit_of(unit)
        known = self._units.get(unit.name)
        if known is not None and known.function is unit.function:
            return known
        names = (unit.name, *unit.replaces)
        for position, name in enumerate(names):
            if name in self._names:
                raise DoubledName(name, first=_where(self._units[self._names[name]]), second=_where(unit))
            if name in names[:position]:
                raise DoubledName(name, first=_where(unit), second=_where(unit))
        self._units[unit.name] = unit
        self._names.update(dict.fromkeys(names, unit.name))
        return unit

    def get(self, name: str) -> WorkUnit:
        """The unit with this name or old dotted name; raises UnknownUnit with close matches."""
        try:
            return self._units[self._names[name]]
        except KeyError:
            matches = difflib.get_close_matches(name, sorted(self._names), n=3)
            raise UnknownUnit(name, matches=matches) from None

    def names(self) -> tuple[str, ...]:
        """The names of all units, sorted; old names are not among them."""
        return tuple(sorted(self._units))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[WorkUnit]:
        return (self._units[name] for name in self.names())

    def __len__(self) -> int:
        return len(self._units)

    def _found_in(self, loaded: Any, *, entry_point: str) -> Iterator[WorkUnit]:
        if not isinstance(loaded, ModuleType):
            yield loaded if isinstance(loaded, WorkUnit) else unit_of(loaded)
            return
        yield from _declared_in(loaded)
        for module in pkgutil.walk_packages(getattr(loaded, "__path__", []), prefix=loaded.__name__ + "."):
            try:
                yield from _declared_in(importlib.import_module(module.name))
            except Exception as error:  # noqa: BLE001 - anybody's code; it becomes a fault
                self._note(f"{entry_point} ({module.name})", error)

    def _note(self, entry_point: str, error: Exception) -> None:
        text = str(error) if isinstance(error, RegistryError) else f"{type(error).__name__}: {error}"
        self.faults.append(Fault(entry_point, text))
        log.error("work_units.load_failed", entry_point=entry_point, error=text)


@cache
def load() -> Registry:
    """The registry of this process, built once from the entry points of all installed packages."""
    return Registry.from_entry_points(entry_points(group=GROUP))


def _declared_in(module: ModuleType) -> Iterator[WorkUnit]:
    for value in list(vars(module).values()):
        unit = getattr(value, UNIT_ATTRIBUTE, None)
        if isinstance(unit, WorkUnit):
            yield unit


def _where(unit: WorkUnit) -> str:
    return f"{unit.function.__module__}.{getattr(unit.function, '__qualname__', unit.name)}"

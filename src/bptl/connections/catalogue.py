"""The catalogue of work units with the mappings that use them, and all of it as element templates for modelers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bptl.connections.models import AT_WORK, Mapping
from bptl.connections.service_models import Application
from bptl.work_units import registry
from bptl.work_units.contract import WorkUnit
from bptl.work_units.description import inputs_of, outputs_of
from bptl.work_units.element_templates import element_template, template_id

PageOf = Callable[[WorkUnit], str]
"""The absolute address of a unit's page."""


class Listed(NamedTuple):
    """A unit, and how many mappings use it."""

    unit: WorkUnit
    mappings: int


class Broken(NamedTuple):
    """A mapping whose unit is not registered, and registered names that look like it."""

    mapping: Mapping
    matches: Sequence[str]


class Catalogue(NamedTuple):
    """What a search found. ``broken`` and ``faults`` (packages that did not load) are those of the installation."""

    units: Sequence[Listed]
    broken: Sequence[Broken]
    faults: Sequence[registry.Fault]


def search(text: str) -> Catalogue:
    """The units in whose name, old names, purpose (English or Dutch), variables or services every word occurs."""
    units = registry.load()
    mappings = list(Mapping.objects.select_related("engine"))
    used = Counter(units.get(mapping.unit).name for mapping in mappings if mapping.unit in units)
    words = text.casefold().split()
    found = [unit for unit in units if all(word in _said_of(unit) for word in words)]
    broken = [Broken(mapping, matches(mapping.unit)) for mapping in mappings if mapping.unit not in units]
    return Catalogue([Listed(unit, used[unit.name]) for unit in found], broken, units.faults)


def matches(name: str) -> Sequence[str]:
    """Names of units that look like ``name``, which nobody has; the name that is used now for an old one."""
    units = registry.load()
    try:
        units.get(name)
    except registry.UnknownUnit as error:
        return list(dict.fromkeys(units.get(match).name for match in error.matches))
    return []


def using(name: str) -> Sequence[Mapping]:
    """The mappings that name this unit, by its name or an old one, or that name what is not registered."""
    units = registry.load()
    names = (units.get(name).name, *units.get(name).replaces) if name in units else (name,)
    return list(Mapping.objects.filter(unit__in=names).select_related("engine"))


def needing(kind: str) -> Sequence[tuple[WorkUnit, Sequence[str]]]:
    """The units that need a service of this type, each with the aliases for it."""
    found = [(unit, [alias for alias, need in unit.needs.items() if need.kind == kind]) for unit in registry.load()]
    return [(unit, aliases) for unit, aliases in found if aliases]


def for_application(application: Application) -> Sequence[Mapping]:
    """The mappings whose unit is done for applications, and may be run for this one."""
    units = registry.load()
    allowed = [unit for unit in units if unit.needs_application and application.may_run(unit.name)]
    names = [name for unit in allowed for name in (unit.name, *unit.replaces)]
    return list(Mapping.objects.filter(unit__in=names).select_related("engine"))


def templates(page_of: PageOf, *, language: str) -> Sequence[dict[str, Any]]:
    """An element template of each unit under its own name, and of each other topic that a mapping gives it."""
    units = registry.load()
    made = {template_id(unit, unit.name): (unit, unit.name) for unit in units}
    for mapping in Mapping.objects.filter(AT_WORK, engine__active=True):
        if mapping.unit in units:
            unit = units.get(mapping.unit)
            made[template_id(unit, mapping.topic)] = (unit, mapping.topic)
    return [element_template(unit, topic=topic, page=page_of(unit), language=language) for unit, topic in made.values()]


def _said_of(unit: WorkUnit) -> str:
    variables = [variable.name for variable in (*inputs_of(unit), *outputs_of(unit))]
    needs = [f"{alias} {need.kind or ''} {need.purpose}" for alias, need in unit.needs.items()]
    said = (unit.name, *unit.replaces, unit.documentation, unit.documentation_nl, *variables, *needs, *unit.throws)
    return "\n".join(said).casefold()

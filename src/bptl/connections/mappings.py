"""Mappings at work: which unit each one means, what is wrong with it, and how they are grouped into fetches.

A mapping whose unit is not registered, or whose unit lacks a service that it needs, is *broken*: it is shown with its
problem and left out of every fetch, so that it never breaks a page or a poll.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.db import transaction

from bptl.connections import bindings, plans
from bptl.connections.breakers import Open
from bptl.connections.models import AT_WORK, WITHOUT_ENGINE, Engine, Mapping, MappingService
from bptl.connections.service_models import Service
from bptl.engines.base import TopicRequest
from bptl.work_units import registry
from bptl.work_units.contract import WorkUnit
from bptl.work_units.errors import CALLBACK


def unit(mapping: Mapping) -> WorkUnit | None:
    """The registered work unit that ``mapping`` names by its name or an old one; None when there is none."""
    try:
        return registry.load().get(mapping.unit)
    except registry.UnknownUnit:
        return None


def problems(mapping: Mapping) -> list[str]:
    """What is wrong with ``mapping``, one sentence each; empty when it can be used."""
    found = obstacles(mapping)
    if mapping.retry_plan:
        try:
            plans.parse(mapping.retry_plan)
        except plans.InvalidPlan as error:
            found.append(str(error))
    return found


def obstacles(mapping: Mapping, bound: MappingOf[str, Service] | None = None) -> list[str]:
    """Why nothing may be fetched for ``mapping``: no such unit, or a service that it needs is not what it needs.

    ``bound`` are services by alias that are still to be saved; None: those of the row.
    """
    try:
        work_unit = registry.load().get(mapping.unit)
    except registry.UnknownUnit as error:
        return [str(error)]
    if bound is None:
        bound = {} if mapping._state.adding else bindings.of(mapping)
    return bindings.problems(work_unit, bound)


def check(mapping: Mapping, bound: MappingOf[str, Service]) -> None:
    """Whether an active mapping may be saved with these services; an inactive one may lack what it needs.

    Raises ValidationError with every reason. An unknown unit is no reason: a broken mapping can still be changed.
    """
    if not mapping.active or unit(mapping) is None:
        return
    if found := obstacles(mapping, bound):
        raise ValidationError(found)


def save(mapping: Mapping, bound: MappingOf[str, Service]) -> None:
    """Save a mapping with exactly these services. Raises ValidationError, and then nothing is saved."""
    mapping.full_clean()
    check(mapping, bound)
    with transaction.atomic():
        mapping.save()
        for alias, service in bound.items():
            MappingService.objects.update_or_create(mapping=mapping, alias=alias, defaults={"service": service})
        mapping.services.exclude(alias__in=bound).delete()


def active_mappings(engine: Engine) -> list[Mapping]:
    """The mappings of ``engine`` that a fetch may use, by id: not paused and not broken; none when it is inactive."""
    if not engine.active:
        return []
    chosen = Mapping.objects.filter(AT_WORK, engine=engine).select_related("engine").order_by("id")
    return [mapping for mapping in chosen.prefetch_related("services__service") if not obstacles(mapping)]


class State(StrEnum):
    """Whether anything is fetched for a mapping, and if not why."""

    ACTIVE = "active"
    PAUSED = "paused"
    BROKEN = "broken"
    ENGINE_OFF = "engine-off"
    """It is active; its engine is not polled."""


def state(mapping: Mapping, found: Sequence[str] | None = None) -> State:
    """Where a mapping stands; ``found`` are its ``problems``, if they are known. A paused one may be broken besides."""
    if mapping.paused:
        return State.PAUSED
    if problems(mapping) if found is None else found:
        return State.BROKEN
    return State.ENGINE_OFF if mapping.engine and not mapping.engine.active else State.ACTIVE


@dataclass(frozen=True, slots=True)
class Listed:
    """A mapping with its services by alias, its state and what is wrong with it."""

    mapping: Mapping
    services: MappingOf[str, Service]
    state: State
    problems: Sequence[str]


def listed(text: str = "", *, engine: str = "", state_is: str = "") -> list[Listed]:
    """The mappings by engine and topic in whose topic, unit, engine or services every word of ``text`` occurs.

    ``engine`` is a name, or WITHOUT_ENGINE; empty filters leave out.
    """
    rows = Mapping.objects.select_related("engine").prefetch_related("services__service")
    if engine:
        rows = rows.filter(engine=None) if engine == WITHOUT_ENGINE else rows.filter(engine__name=engine)
    words = text.casefold().split()
    found = [_listed(mapping) for mapping in rows]
    return [one for one in found if state_is in {"", one.state} and all(word in _said_of(one) for word in words)]


def get(mapping_id: int) -> Listed:
    """One of them. Raises Mapping.DoesNotExist."""
    rows = Mapping.objects.select_related("engine").prefetch_related("services__service")
    return _listed(rows.get(pk=mapping_id))


def _listed(mapping: Mapping) -> Listed:
    wrong = problems(mapping)
    return Listed(mapping, bindings.of(mapping), state(mapping, wrong), wrong)


def _said_of(one: Listed) -> str:
    services = [f"{alias} {service.name}" for alias, service in one.services.items()]
    work_unit = unit(one.mapping)
    names = (work_unit.name, *work_unit.replaces) if work_unit else ()
    return "\n".join((one.mapping.topic, one.mapping.unit, one.mapping.engine_name, *names, *services)).casefold()


Limits = frozenset[str]
"""Which limits something is under, as ``mapping 3`` and ``service 7``."""

_Alike = tuple[bool, bool, Limits]


def limits_of(mapping: Mapping) -> Limits:
    """Its own limit and those of its services; without a query where these were prefetched."""
    own = {f"mapping {mapping.pk}"} if mapping.most_at_once is not None else set()
    return frozenset(own | {f"service {one.pk}" for one in bindings.of(mapping).values() if one.limited})


@dataclass(frozen=True, slots=True)
class FilterGroup:
    """Mappings of one engine that go into one fetch: each topic once, one order for all."""

    engine: Engine
    mappings: tuple[Mapping, ...]

    @property
    def use_engine_priority(self) -> bool:
        """Whether the engine's priority decides the order."""
        return self.mappings[0].use_engine_priority

    @property
    def oldest_first(self) -> bool:
        """Whether the oldest task comes first."""
        return self.mappings[0].oldest_first

    def without(self, stopped: Open) -> FilterGroup | None:
        """The group without mappings whose engine or services are down; None when nothing is left."""
        if not stopped:
            return self
        left = tuple(mapping for mapping in self.mappings if stopped.stops(mapping) is None)
        return FilterGroup(self.engine, left) if left else None

    @property
    def limits(self) -> Limits:
        """Which limits its tasks are under, all under the same; empty: none."""
        return limits_of(self.mappings[0])

    @property
    def key(self) -> str:
        """12 hex digits that change when a mapping of the group, its limits, or the engine itself, is changed."""
        parts = [
            (self.engine.pk, self.engine.updated_at),
            *((mapping.pk, mapping.updated_at) for mapping in self.mappings),
        ]
        text = ",".join(f"{pk}@{updated_at.isoformat()}" for pk, updated_at in parts) + f"{sorted(self.limits)}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def filter_groups(engine: Engine) -> list[FilterGroup]:
    """The fewest fetches that use every active mapping of ``engine``, in an order that depends on the rows alone.

    The engine keeps only the last of two entries of one topic in a request (silently), and a request has one order;
    so mappings of one topic, and mappings of different order, go into different groups. So do mappings of different
    limits: a request says only for all of its topics together how many tasks it takes.
    """
    layers: dict[tuple[_Alike, int], list[Mapping]] = {}
    seen: dict[tuple[_Alike, str], int] = {}
    for mapping in active_mappings(engine):
        alike = (mapping.use_engine_priority, mapping.oldest_first, limits_of(mapping))
        layer = seen.get((alike, mapping.topic), 0)
        seen[alike, mapping.topic] = layer + 1
        layers.setdefault((alike, layer), []).append(mapping)
    return [FilterGroup(engine, tuple(group)) for group in sorted(layers.values(), key=lambda group: group[0].pk)]


def topic_request(mapping: Mapping, unit: WorkUnit, *, besides: Sequence[str] = ()) -> TopicRequest:
    """What a fetch asks for ``mapping``: its filters, and only the variables that ``unit`` declares, with the address
    of a callback, and ``besides``.

    A mapping that names no tenants gets those of its engine.
    """
    tenant_ids = mapping.tenant_ids or (
        [] if mapping.without_tenant or mapping.engine is None else mapping.engine.tenant_ids
    )
    return TopicRequest(
        topic=mapping.topic,
        lock_duration=mapping.lock_duration,
        variables=tuple(dict.fromkeys((*unit.variable_names, CALLBACK, *besides))),
        local_variables=mapping.local_variables,
        business_key=mapping.business_key or None,
        process_definition_keys=tuple(mapping.definition_keys),
        process_definition_version_tag=mapping.version_tag or None,
        tenant_ids=tuple(tenant_ids),
        without_tenant=mapping.without_tenant,
    )

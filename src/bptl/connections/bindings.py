"""Which service a mapping gives to its unit under which alias, and whether that is what the unit needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping as MappingOf

from django.utils.translation import gettext as _

from bptl.clients import access
from bptl.connections.models import Mapping
from bptl.connections.service_models import Service
from bptl.work_units.contract import WorkUnit


def of(mapping: Mapping) -> dict[str, Service]:
    """The services of a mapping by alias; without a query where they were prefetched (``services__service``)."""
    return {binding.alias: binding.service for binding in mapping.services.all()}


def owns(service: Service, url: str) -> bool:
    """Whether an absolute address lies within a service."""
    return access.within(url, service.address)


def problems(unit: WorkUnit, bound: MappingOf[str, Service]) -> list[str]:
    """Why ``unit`` cannot work with the services ``bound`` by alias, one sentence each; empty when it can."""
    return [sentence for sentences in problems_by_alias(unit, bound).values() for sentence in sentences]


def problems_by_alias(unit: WorkUnit, bound: MappingOf[str, Service]) -> dict[str, list[str]]:
    """The same by the alias that each is about."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for alias, need in unit.needs.items():
        service = bound.get(alias)
        if service is None:
            if not need.optional:
                text = _("service %(alias)s is missing: %(purpose)s") % {"alias": alias, "purpose": need.purpose}
                found[alias].append(text)
            continue
        if need.kind is not None and service.kind != need.kind:
            found[alias].append(
                _("service %(alias)s must be of type %(wanted)s, and %(service)s is of type %(kind)s")
                % {"alias": alias, "wanted": need.kind, "service": service.name, "kind": service.kind}
            )
        if not service.active and not need.optional:
            found[alias].append(
                _("service %(alias)s is %(service)s, which is not active") % {"alias": alias, "service": service}
            )
    for alias in bound:
        if alias not in unit.needs:
            known = ", ".join(unit.needs) or _("none")
            found[alias].append(
                _("the unit knows no service %(alias)s (it knows: %(known)s)") % {"alias": alias, "known": known}
            )
    return found

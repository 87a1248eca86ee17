"""What one task may reach: the services of its mapping, with the credentials of its application.

Nobody is ever served with somebody else's credentials: an application that is unknown, or lacks a grant, is refused.
"""

from __future__ import annotations

from typing import Any

from bptl.clients.access import Access, Kind
from bptl.connections import bindings, directory, sessions
from bptl.connections.directory import Known
from bptl.connections.models import Mapping
from bptl.connections.secrets import Undecryptable
from bptl.connections.service_models import Service, ServiceGrant
from bptl.work_units.contract import APPLICATION, NotConnected, NotGranted, WorkUnit

WHERE = "under Applications on the pages of BPTL, or with: bptl applications"


class TaskServices:
    """The services of one task. ``known`` is its application; None: a task that is done for none."""

    def __init__(self, mapping: Mapping, unit: WorkUnit, known: Known | None) -> None:
        self._mapping = mapping
        self._unit = unit
        self._known = known

    def access(self, alias: str, *, kinds: frozenset[Kind], url: str | None) -> Access:
        """See Work.connect; raises NotConnected."""
        service = self._service(alias, kinds, url)
        grant = self._grant(alias, service)
        try:
            return sessions.access(service, grant)
        except Undecryptable as error:
            raise NotConnected(alias, f"{service.name}: {error}") from error

    def _service(self, alias: str, kinds: frozenset[Kind], url: str | None) -> Service:
        bound = bindings.of(self._mapping).get(alias)
        if url is not None and (bound is None or not bindings.owns(bound, url)):
            bound = self._owner(alias, kinds, url)
        if bound is None:
            raise NotConnected(
                alias,
                f"mapping {self._mapping} names no service for it; add one to the mapping, as in: "
                f"bptl mappings set {self._mapping.pk} --service {alias}=NAME",
            )
        if not bound.active:
            raise NotConnected(alias, f"service {bound.name} is not active; activate it, or choose another one")
        if kinds and bound.kind not in kinds:
            wanted = " or ".join(sorted(kinds))
            raise NotConnected(alias, f"service {bound.name} is of type {bound.kind}, and {wanted} is needed")
        return bound

    def _owner(self, alias: str, kinds: frozenset[Kind], url: str) -> Service:
        """The registered service that an address in data belongs to: the one that says most of it."""
        if self._known is None:
            raise NotConnected(
                alias,
                f"{url} does not belong to the mapping's service, and a task without {APPLICATION} reaches no other",
            )
        owners = [
            service
            for service in directory.services()
            if bindings.owns(service, url) and (not kinds or service.kind in kinds)
        ]
        if not owners:
            of_type = f" of type {' or '.join(sorted(kinds))}" if kinds else ""
            raise NotConnected(
                alias,
                f"no active service{of_type} is registered to which {url} belongs; add one, with: bptl services add",
            )
        return max(owners, key=lambda service: len(service.address))

    def _grant(self, alias: str, service: Service) -> ServiceGrant | None:
        if self._known is None:
            if not service.has_credentials:
                raise NotConnected(
                    alias,
                    f"service {service.name} has no credentials of its own, and the task names no application "
                    f"({APPLICATION}) whose it could use",
                )
            return None
        application = self._known.application
        grant = self._known.grants.get(service.pk)
        if grant is None:
            raise NotConnected(
                alias,
                f"application {application.label} ({application.app_id}) has no right to service {service.name}; "
                f"grant it, with its credentials, {WHERE} grant",
            )
        if grant.as_service and not service.has_credentials:
            raise NotConnected(
                alias,
                f"application {application.label} uses the credentials of service {service.name}, which has none; "
                "enter them at the service or at the application",
            )
        if not grant.as_service and service.asks_for_client_id and not grant.client_id:
            raise NotConnected(
                alias,
                f"application {application.label} has no client id for service {service.name}; enter it {WHERE} grant",
            )
        return grant


def of(mapping: Mapping, unit: WorkUnit, *, application: Any) -> TaskServices:
    """The services that ``mapping`` gives to a task of ``application``, the value of its process variable.

    Raises NotGranted for an application that is unknown or for which ``unit`` may not be run. A unit without needs
    reaches nothing, and costs nothing.
    """
    if not unit.needs or application in (None, ""):
        # A unit that needs an application says so itself, together with whatever else is missing.
        return TaskServices(mapping, unit, None)
    if not isinstance(application, str):
        raise NotGranted(repr(application), "an application is named by a text")
    known = directory.application(application)
    if known is None:
        raise NotGranted(application, f"no application has this id; add it {WHERE} add")
    label = known.application.label
    if not known.application.active:
        raise NotGranted(application, f"application {label} is not active; activate it {WHERE} set")
    if not known.application.may_run(unit.name):
        raise NotGranted(
            application,
            f"application {label} may not run unit {unit.name}; grant it the unit or its theme {WHERE} set",
        )
    return TaskServices(mapping, unit, known)

"""What one task may reach: the services of its mapping, with the credentials of its application."""

from __future__ import annotations

from typing import Any

from bptl.clients.access import Access, Kind
from bptl.connections.models import Mapping
from bptl.work_units.contract import NotConnected, WorkUnit


class TaskServices:
    """The services of one task."""

    def access(self, alias: str, *, kinds: frozenset[Kind], url: str | None) -> Access:
        """See Work.connect; raises NotConnected."""
        raise NotConnected(alias, "the mapping names no service for it")


def of(mapping: Mapping, unit: WorkUnit, *, application: Any) -> TaskServices:
    """The services that ``mapping`` gives to a task of ``application``."""
    return TaskServices()

"""Mappings by id, for a floor that needs the same few for every group of tasks that it claims."""

from __future__ import annotations

import time
from collections.abc import Mapping as MappingOf
from collections.abc import Set

from bptl.connections.models import Mapping

FRESH = 2.0
"""Seconds for which rows are believed: what an administrator changes counts for claims after at most this."""


class Mappings:
    """For one thread."""

    def __init__(self) -> None:
        self._rows: dict[int, Mapping] = {}
        self._read_at: dict[int, float] = {}

    def of(self, ids: Set[int]) -> MappingOf[int, Mapping]:
        """The mappings with these ids, each with its engine and services; those that were deleted are missing."""
        oldest = time.monotonic() - FRESH
        stale = {id_ for id_ in ids if self._read_at.get(id_, 0.0) < oldest or id_ not in self._rows}
        if stale:
            now = time.monotonic()  # before the question: what changes meanwhile is asked for soon enough
            rows = Mapping.objects.select_related("engine").prefetch_related("services__service")
            found = rows.in_bulk(stale)
            for id_ in stale:
                self._rows.pop(id_, None)
                self._read_at.pop(id_, None)
            self._rows |= found
            self._read_at |= dict.fromkeys(found, now)
        return self._rows

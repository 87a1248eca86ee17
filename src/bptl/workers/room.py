"""The room that limits leave for the tasks of one polling line, and what is done with tasks that lie without any."""

from __future__ import annotations

from bptl.connections.mappings import FilterGroup
from bptl.tasks import leases, limits
from bptl.tasks.lifecycle import LeaseEnd
from bptl.workers.clients import Clients

WITHOUT = "its limit had no room for it for too long"


def look(group: FilterGroup, clients: Clients, *, shares: int) -> limits.Room:
    """The room of a limited group. While nothing of it may begin, what lies queued too long goes back to its engine.

    ``shares`` is how many groups have a limit in common with it.
    """
    mapping_ids = [mapping.pk for mapping in group.mappings]
    room = limits.room(mapping_ids, shares=shares)
    if room.blocked:
        for held in leases.left_over(mapping_ids):
            if leases.end([held.lease_id], how=LeaseEnd.GIVEN_BACK, reason=WITHOUT, unbegun=True):
                leases.give_back(held.external_id, worker_id=held.worker_id, engine=clients(held.engine_id))
    return room

"""Giving tasks back to their engine: one that nobody here runs, and all that a stopping process holds."""

from __future__ import annotations

import uuid
from datetime import timedelta

from bptl.tasks import leases
from bptl.tasks.execution.claim import Claim
from bptl.tasks.leases import Held
from bptl.tasks.lifecycle import LeaseEnd
from bptl.workers.clients import Clients


def give_back(held: Claim | Held, clients: Clients, *, reason: str, after: timedelta = leases.GIVE_BACK) -> None:
    """End a lease and let the engine offer its task again, ``after`` a while. Nothing where it has ended already."""
    if leases.end([held.lease_id], how=LeaseEnd.GIVEN_BACK, reason=reason, offered_after=after):
        engine = clients(held.engine_id)
        leases.give_back(held.external_id, worker_id=held.worker_id, engine=engine, after=after)


def give_back_all(process_id: uuid.UUID, clients: Clients, *, reason: str) -> None:
    """End every lease that a stopping process still holds and let the engine offer the tasks again.

    A stored outcome is kept: the next lease delivers it.
    """
    for held in leases.held_by(process_id):
        give_back(held, clients, reason=reason)

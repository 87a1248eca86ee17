"""What this process is: its member of the fleet, and its places or its poller. Set once, when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from bptl.workers.floor import Floor
from bptl.workers.member import Member
from bptl.workers.poller import Poller


class WrongQueue(Exception):
    """A job reached a process that cannot do it: it was sent to the wrong queue."""


@dataclass(slots=True)
class Local:
    """The parts of this process."""

    member: Member | None = None
    floor: Floor | None = None
    poller: Poller | None = None


here = Local()


def member() -> Member:
    """This process in the fleet."""
    if here.member is None:
        raise WrongQueue("this process is not a member of the fleet; start it with bptl poll or bptl work")
    return here.member


def floor() -> Floor:
    """The places of this process."""
    if here.floor is None:
        raise WrongQueue("this process runs no units; only bptl work listens to the queue celery")
    return here.floor


def poller() -> Poller:
    """The poller of this process."""
    if here.poller is None:
        raise WrongQueue("this process does not poll; only bptl poll listens to the queue long-polling")
    return here.poller

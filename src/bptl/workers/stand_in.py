"""The sweep of a fleet whose workers may judge nobody: the long-polling workers stand in for them, and tell people.

The sweep is a job of the workers. When the only one is killed, its successor must live for 15 s before it may end what
the dead one held; a long-polling worker beside it has lived long enough. And that no worker lives, no worker can tell.
"""

from __future__ import annotations

from bptl.tasks.upkeep import processes
from bptl.tasks.upkeep.sweep import sweep
from bptl.tasks.wake import wake
from bptl.telling import rounds
from bptl.workers.clients import Clients
from bptl.workers.loops import Loop
from bptl.workers.member import Member

LOOK_EVERY = 4.0
"""Seconds, a little longer than between the sweeps that beat asks for."""

TELL_EVERY = 15.0
"""Seconds, as in the schedule of beat."""


class StandIn:
    """Sweeps, and tells people, in threads of its own, only while no worker may judge."""

    def __init__(self, member: Member, clients: Clients) -> None:
        self._member = member
        self._clients = clients
        self._loop = Loop("stand-in sweep", self._step)
        self._telling = Loop("stand-in telling", self._tell)

    def start(self) -> None:
        """Begin."""
        self._loop.start()
        self._telling.start()

    def stop(self) -> None:
        """End after the sweep under way; a message under way is tried again by who comes next."""
        self._loop.stop(timeout=5)
        self._telling.stop(timeout=1)

    def _step(self) -> float:
        if not processes.a_worker_may_judge():
            swept = sweep(self._member.id, self._clients)
            if swept.due:
                wake(swept.due)
        return LOOK_EVERY

    def _tell(self) -> float:
        if not processes.a_worker_may_judge():
            rounds.run()
        return TELL_EVERY

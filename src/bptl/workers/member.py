"""This process as a member of the fleet: its row, its heartbeat, and a new beginning should it be buried alive."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

from bptl.lib.log import get_logger
from bptl.tasks.models import ProcessKind
from bptl.tasks.upkeep import processes
from bptl.workers import alive
from bptl.workers.loops import Loop

log = get_logger(__name__)


class Member:
    """Registers the process and keeps its heartbeat. ``on_death`` gets the id under which it was declared dead.

    A process that slept past its death (paused, no network) finds its leases ended: it drops its work and goes on
    under a new id.
    """

    def __init__(
        self, kind: ProcessKind, *, places: int = 0, on_death: Callable[[uuid.UUID], None] | None = None
    ) -> None:
        self._kind = kind
        self._places = places
        self._on_death = on_death
        self._lock = threading.Lock()
        self._id = processes.register(kind, places=places)
        self._loop = Loop("heartbeat", self._beat)

    @property
    def id(self) -> uuid.UUID:
        """The process id of now; it changes when the process was buried alive."""
        with self._lock:
            return self._id

    def start(self) -> None:
        """Begin to beat."""
        self._loop.start()

    def drain(self) -> None:
        """Tell the fleet that no new work is taken here."""
        processes.drain(self.id)

    def write_off_place(self) -> None:
        """One place less: its unit does not come back."""
        self._places -= 1
        processes.set_places(self.id, max(0, self._places))

    def leave(self) -> None:
        """Stop beating and sign off."""
        self._loop.stop(timeout=5)
        processes.sign_off(self.id)

    def _beat(self) -> float:
        started = time.monotonic()
        alive.show()
        if not processes.beat(self.id):
            buried = self.id
            log.error("process.buried_alive", process=str(buried))
            with self._lock:
                self._id = processes.register(self._kind, places=self._places)
            if self._on_death is not None:
                self._on_death(buried)
        return max(0.1, processes.HEARTBEAT.total_seconds() - (time.monotonic() - started))

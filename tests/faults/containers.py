"""What containers do for their processes: whoever takes more memory than its limit is killed, and started again.

The limit is kept from outside, so that tests need neither root nor cgroups. To the process it is the same: SIGKILL,
with no word to anybody.
"""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.faults.world import World

LOOK_EVERY = 0.05


class Containers:
    """Some processes of a world, each with a limit of memory (bytes). ``killed`` counts who passed it, by name."""

    def __init__(self, world: World, names: Sequence[str], *, memory: int) -> None:
        self.killed: Counter[str] = Counter()
        self._world = world
        self._names = names
        self._memory = memory
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="containers")

    @contextmanager
    def running(self) -> Iterator[Containers]:
        """Watch over them meanwhile."""
        self._thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._ends.wait(LOOK_EVERY):
            for name in self._names:
                part = self._world.topology.part(name)
                if not part.running:
                    self._world.begin(name)
                elif _resident(part.pid) > self._memory:
                    self.killed[name] += 1
                    self._world.kill(name)


def _resident(pid: int) -> int:
    """The bytes that a process has in memory; 0 for one that has ended."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return int(said or 0) * 1024

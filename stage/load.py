"""Cases that are started at a steady rate, for the soak and for measuring."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from stage.engine_rest import EngineRefused


class Load:
    """Calls ``start`` with 0, 1, 2 … ``per_second`` times a second, in a thread of its own.

    What the engine does not take is left out: whether such a case was started is for the engine to say.
    """

    def __init__(self, start: Callable[[int], object], *, per_second: float) -> None:
        self._start = start
        self._per_second = per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        for number in itertools.count():
            due = max(due + 1 / self._per_second, time.monotonic() - 1)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            try:
                self._start(number)
            except (EngineRefused, OSError):
                continue

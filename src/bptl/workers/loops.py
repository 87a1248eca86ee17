"""A loop never stops silently (design, rule 11): whatever goes wrong is logged, waited out with jitter, tried again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connections

from bptl.lib.log import get_logger

log = get_logger(__name__)

LONGEST_BACKOFF = 10.0

QUIET_AFTER = 10.0
"""Seconds without anything to do after which a loop looks less often."""


class Pace:
    """How long a loop rests between two looks: shorter for a while after something has happened.

    An idle fleet costs what its looks cost; what is new, others tell it.
    """

    def __init__(self) -> None:
        self._quiet_at = 0.0
        self.happened()

    def happened(self) -> bool:
        """There was something to do: more may come soon. Whether it was quiet before."""
        now = time.monotonic()
        was_quiet, self._quiet_at = now >= self._quiet_at, now + QUIET_AFTER
        return was_quiet

    def rest(self, *, busy: float, quiet: float) -> float:
        """Seconds until the next look."""
        return busy if time.monotonic() < self._quiet_at else quiet


class Loop:
    """Runs ``step`` in a thread of its own until it is stopped.

    ``step`` answers how many seconds to wait before the next one; ``wake`` ends the wait. ``last_ok`` is the monotonic
    time (seconds) of the last step that did not fail.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self.last_ok = time.monotonic()
        self._step = step
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Take the next step now."""
        self._wake.set()

    def stop(self, *, timeout: float | None = None) -> bool:
        """Ask it to stop after the present step and wait at most ``timeout`` seconds; True when it has stopped."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                wait = self._step()
            except Exception:
                # The loop's border: it must outlive everything, and says what happened.
                failures += 1
                wait = backoff(failures)
                log.exception("loop.failed", loop=self.name, failures=failures, wait=round(wait, 2))
                close_old_connections()
            else:
                failures = 0
                self.last_ok = time.monotonic()
            self._wake.wait(wait)
            self._wake.clear()
        connections.close_all()  # this thread's: it comes to its end


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling from 0.25 to 10, with full jitter in the upper half."""
    ceiling: float = min(LONGEST_BACKOFF, 0.25 * 2 ** min(failures, 10))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - not for secrets

"""A loop never stops silently (design, rule 11): whatever goes wrong is logged, waited out with jitter, tried again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connections

from bptl.lib.log import get_logger
from bptl.tasks import metrics

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


class Turning:
    """The sign of life of a loop. Times are monotonic seconds: when its last step went well, since when one is due."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._last_ok = self._due = time.monotonic()

    def begin(self) -> None:
        """A step begins, perhaps earlier than it had to."""
        self._due = min(self._due, time.monotonic())

    def went_well(self, *, rest: float) -> None:
        """It went well, and the next is due in ``rest`` seconds."""
        self._last_ok = time.monotonic()
        self._due = self._last_ok + rest

    @property
    def silent(self) -> float:
        """Seconds since the last step that went well."""
        return time.monotonic() - self._last_ok

    @property
    def overdue(self) -> float:
        """Seconds for which a step has been due that has not gone well."""
        return max(0.0, time.monotonic() - self._due)


_turning: set[Turning] = set()
_changing = threading.Lock()


def turning() -> list[Turning]:
    """The loops that turn in this process, or should."""
    with _changing:
        return list(_turning)


def show(turns: Turning) -> None:
    """A loop begins to turn."""
    with _changing:
        _turning.add(turns)


def hide(turns: Turning) -> None:
    """It was told to stop, and has."""
    with _changing:
        _turning.discard(turns)


class Loop:
    """Runs ``step`` in a thread of its own until it is stopped.

    ``step`` answers how many seconds to wait before the next one; ``wake`` ends the wait.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self._turning = Turning(name)
        self._step = step
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        show(self._turning)
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
            self._turning.begin()
            try:
                wait = self._step()
            except Exception:
                # The loop's border: it must outlive everything, and says what happened.
                failures += 1
                wait = backoff(failures)
                metrics.LOOP_FAILURES.add(self.name)
                log.exception("loop.failed", loop=self.name, failures=failures, wait=round(wait, 2))
                close_old_connections()
            else:
                failures = 0
                self._turning.went_well(rest=wait)
            self._wake.wait(wait)
            self._wake.clear()
        hide(self._turning)
        connections.close_all()  # this thread's: it comes to its end


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling from 0.25 to 10, with full jitter in the upper half."""
    ceiling: float = min(LONGEST_BACKOFF, 0.25 * 2 ** min(failures, 10))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - not for secrets

"""Misbehaviour on demand: what a service in trouble does, by path, for so many times."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["500-before", "500-after", "cut-before", "cut-after", "503", "429", "slow", "slow-after"]
"""*Before*: it is answered so, and not carried out. *After*: it was carried out, and the answer hides it. ``slow`` and
``slow-after`` wait before or after it is carried out; then all is as usual.
"""


@dataclass
class Fault:
    """``path`` is a pattern (fnmatch) of the whole path; no ``method`` means any. ``seconds`` is the longest that a
    slow call waits, ``until`` what ends its waiting sooner; ``retry_after`` is said with 503 and 429. ``met`` counts
    the calls that met it, ``waited`` those that wait or have waited: with ``slow-after`` each was carried out.
    """

    path: str
    kind: Kind
    method: str = ""
    times: int = 1
    seconds: float = 30.0
    until: threading.Event | None = None
    retry_after: int | None = None
    met: int = 0
    waited: int = 0


class Faults:
    """Those that are still to come; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._ended = threading.Event()

    def add(self, fault: Fault) -> Fault:
        """The call's next ``times`` meet it."""
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """From now on all is well."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this call meets."""
        with self._lock:
            for fault in self._waiting:
                if fault.method in {"", method} and fnmatchcase(path, fault.path):
                    fault.met += 1
                    if fault.met >= fault.times:
                        self._waiting.remove(fault)
                    return fault
        return None

    def wait(self, fault: Fault) -> None:
        """What is slow, until its time is over or the double ends."""
        with self._lock:
            fault.waited += 1
        (fault.until or self._ended).wait(fault.seconds)

    def end(self) -> None:
        """Let nobody wait any longer."""
        for fault in self._waiting:
            if fault.until is not None:
                fault.until.set()
        self._ended.set()

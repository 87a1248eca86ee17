"""A process is told to stop, by a signal; what follows from it is done by a thread.

Python runs the handler of a signal between two steps of the main thread, whatever that is in the middle of. What the
handler then waits for, such as the lock of a ``threading.Event`` or a connection to the database, the main thread may
be holding, and keeps for ever. So a handler here leaves a word, which never waits, and returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from django.db import connections


class Stopping:
    """Whether this process was told to stop, and who is to know of it."""

    def __init__(self) -> None:
        self._told = False
        # Its put may come in the middle of another one, as no lock's acquire may.
        self._words: SimpleQueue[None] = SimpleQueue()
        self._heard = threading.Event()
        self._obeyed = threading.Event()

    def tell(self, *_: object) -> None:
        """Stop. May be a signal's handler, and may be called again."""
        self._told = True
        self._words.put(None)

    @property
    def told(self) -> bool:
        """Whether it was told to."""
        return self._told

    def obey(self, act: Callable[[], None]) -> None:
        """Have a thread call ``act`` when the first word comes; at once when it has come already."""

        def run() -> None:
            self._words.get()
            self._heard.set()
            try:
                act()
            finally:
                self._obeyed.set()
                connections.close_all()  # this thread's: it comes to its end

        threading.Thread(target=run, name="stopping", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait until the word has come that ``obey`` waits for, at most ``seconds``; whether it has."""
        return self._heard.wait(seconds)

    def join(self, seconds: float) -> bool:
        """Wait until ``act`` has returned, at most ``seconds``; whether it has."""
        return self._obeyed.wait(seconds)

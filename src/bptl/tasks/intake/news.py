"""Tells waiting calls that something happened to their tasks: PostgreSQL says so, nobody asks over and over.

A trigger of the table tasks_task notifies CHANNEL when a task without engine leaves its worker. One thread a process
listens while somebody waits and a while longer; whoever waits is woken and reads the row.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from bptl.tasks.listening import listen

CHANNEL = "bptl_call_news"
"""Named in the migration that makes the trigger too."""

IDLE_SECONDS = 60.0
"""How long the listener stays when nobody waits."""

DEAF_SECONDS = 2.0
"""How long to wait while nothing can be heard (no database, or a pooler that does not pass notifications on)."""

SURE_SECONDS = 15.0
"""The longest wait without a look: what is heard is news, what is in the row is true."""


class News:
    """Who waits for which task. One object a process; ``idle`` (seconds) is how long it listens for nobody."""

    class Happened:
        """Something happened to one task, perhaps."""

        def __init__(self, news: News) -> None:
            self._news = news
            self._event = threading.Event()

        def wait(self, seconds: float) -> None:
            """Wait for news, at most ``seconds``; may come back without any."""
            longest = SURE_SECONDS if self._news.listening else DEAF_SECONDS
            self._event.wait(min(seconds, longest))
            self._event.clear()

        def tell(self) -> None:
            """Wake who waits."""
            self._event.set()

    def __init__(self, *, idle: float = IDLE_SECONDS) -> None:
        self.listening = False
        self._idle = idle
        self._lock = threading.Lock()
        self._waiting: dict[int, set[News.Happened]] = defaultdict(set)
        self._thread: threading.Thread | None = None

    @contextmanager
    def of(self, task_id: int) -> Iterator[News.Happened]:
        """News of one task, from now on: read the row inside."""
        happened = News.Happened(self)
        with self._lock:
            self._waiting[task_id].add(happened)
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="news of calls", daemon=True)
                self._thread.start()
        try:
            yield happened
        finally:
            with self._lock:
                self._waiting[task_id].discard(happened)
                if not self._waiting[task_id]:
                    del self._waiting[task_id]

    def _listen(self) -> None:
        listen(CHANNEL, heard=self._tell, can_hear=self._hear, ends=self._ends, look_every=self._idle)

    def _hear(self, can: bool) -> None:
        self.listening = can
        if can:
            self._tell_all()  # What happened before this was not heard.

    def _ends(self) -> bool:
        """Whether the listener may go: nobody waits; the next who does starts another."""
        with self._lock:
            if self._waiting:
                return False
            self._thread = None
            self.listening = False
            return True

    def _tell(self, payload: str) -> None:
        with self._lock:
            waiting = list(self._waiting.get(int(payload), ())) if payload.isdigit() else []
        for happened in waiting:
            happened.tell()

    def _tell_all(self) -> None:
        with self._lock:
            waiting = [happened for group in self._waiting.values() for happened in group]
        for happened in waiting:
            happened.tell()

"""The poll job of a long-polling worker: keeps a line for every filter group that this process leads."""

from __future__ import annotations

import math
import threading
import time
from datetime import timedelta

from django.db import DatabaseError, close_old_connections

from bptl.connections import breakers
from bptl.connections.mappings import FilterGroup, filter_groups
from bptl.connections.models import Engine
from bptl.lib.log import get_logger
from bptl.tasks import limits
from bptl.tasks.intake.fetches import abandon_all
from bptl.workers import leadership
from bptl.workers.clients import Clients
from bptl.workers.leadership import Line
from bptl.workers.line import PollingLine
from bptl.workers.loops import Loop
from bptl.workers.member import Member

log = get_logger(__name__)

LOOK_EVERY = 1.5
LOOK_EVERY_TOLD = 15.0
"""Seconds between looks for changed mappings, which are polled at once, beside the poll that is under way: where nobody
tells that they changed, and where the database tells it."""

ORPHANED_AFTER = 15.0

LATE = 15.0
"""Seconds that an answer may come after the end of its poll."""


class Poller:
    """One per process. ``run`` is the poll job; a second call while it runs answers at once.

    ``longest_wait`` is the length of a poll, ``grace`` how long a stop waits for the polls under way.
    """

    def __init__(self, member: Member, clients: Clients, *, longest_wait: timedelta, grace: timedelta) -> None:
        self._member = member
        self._clients = clients
        self._longest_wait = longest_wait
        self._grace = grace
        self._stop_by = float("inf")
        self._running = threading.Lock()
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._told = False
        self._groups: dict[Line, FilterGroup] = {}
        self._under_limits = False
        self._read = -math.inf
        self._lines: dict[Line, PollingLine] = {}
        self._retired: list[PollingLine] = []
        self._led: set[Line] = set()
        self._renewed = 0.0
        self._job_ended = 0.0
        self._guard = Loop("line guard", self._watch)

    def start(self) -> None:
        """Begin to watch over lines whose job has ended."""
        self._guard.start()

    def run(self, *, duration: timedelta) -> bool:
        """Poll for at most ``duration``. False when this process polls already or is stopping.

        The lines outlive the job by 15 s: the next one takes them over, so that no poll is missed in between.
        """
        if self._stopping.is_set() or not self._running.acquire(blocking=False):
            return False
        try:
            end = time.monotonic() + duration.total_seconds()
            while not self._stopping.is_set() and time.monotonic() < end:
                try:
                    self._look()
                except DatabaseError as error:
                    log.warning("poller.without_database", error=str(error))
                    close_old_connections()
                self._news.wait(min(leadership.RENEW_EVERY, LOOK_EVERY))
                self._news.clear()
            return True
        finally:
            self._job_ended = time.monotonic()
            self._running.release()

    def look(self) -> None:
        """Something has changed, or is offered again: look now."""
        self._read = -math.inf
        self._news.set()
        for line in list(self._lines.values()):
            line.look()

    def look_for_room(self) -> None:
        """A limited task has ended: lines that are full look now, the others need not know."""
        for line in list(self._lines.values()):
            line.look_for_room()

    def hears(self, proven: bool) -> None:
        """Whether changes are told here for sure: then fewer looks do."""
        self._told = proven

    def stop(self) -> None:
        """Open no more lines, and end those that are open after the polls under way, or once ``grace`` is over."""
        self._stop_by = min(self._stop_by, time.monotonic() + self._grace.total_seconds())
        self._stopping.set()
        self._news.set()
        self._guard.wake()

    def join(self) -> None:
        """Wait until every line has ended; a poll that outlasts the grace period is abandoned.

        Its answer is not recorded any more, and the sweep of another process frees what it locks (design, rule 10).
        """
        self._guard.stop(timeout=5)
        with self._running:
            self._end_lines()

    def _watch(self) -> float:
        if self._lines and self._running.acquire(blocking=False):
            try:
                if self._stopping.is_set() or time.monotonic() - self._job_ended > ORPHANED_AFTER:
                    self._end_lines()
            finally:
                self._running.release()
        return LOOK_EVERY

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._read >= (LOOK_EVERY_TOLD if self._told else LOOK_EVERY):
            self._read = now  # before the question: what is told meanwhile is looked at next
            try:
                self._groups, self._under_limits = _groups(), bool(limits.limited_mappings())
            except DatabaseError:
                self._read = -math.inf
                raise
        groups = self._groups
        if now - self._renewed >= leadership.RENEW_EVERY or set(groups) - set(self._lines) - self._led:
            self._led = leadership.hold(self._member.id, list(groups))
            self._renewed = now
        for key, line in list(self._lines.items()):
            if key not in self._led or key not in groups or groups[key].key != line.group.key:
                line.stop()
                self._retired.append(self._lines.pop(key))
        self._retired = [line for line in self._retired if not line.stop()]
        polled = max(1, len(groups) - sum(line.full for line in self._lines.values()))
        limits_of = {key: group.limits for key, group in groups.items()}
        for key in self._led & set(groups):
            if key not in self._lines:
                self._lines[key] = PollingLine(
                    self._member,
                    self._clients,
                    groups[key],
                    ordinal=key[1],
                    longest_wait=self._longest_wait,
                    shares=polled,
                )
                self._lines[key].start()
                log.info("line.opened", engine=groups[key].engine.name, group=key[1])
            self._lines[key].shares = polled
            self._lines[key].under_limits = self._under_limits
            if limits_of[key]:
                self._lines[key].rivals = sum(not limits_of[key].isdisjoint(other) for other in limits_of.values())

    def _end_lines(self) -> None:
        lines = [*self._lines.values(), *self._retired]
        for line in lines:
            line.stop()
        try:
            # Before the polls under way have ended: another process need not wait for them.
            leadership.release(self._member.id)
        except DatabaseError as error:
            log.warning("leadership.not_released", error=str(error))
            close_old_connections()
        patience = time.monotonic() + self._longest_wait.total_seconds() + LATE
        # A stop may be told while this waits.
        while (still := [line for line in lines if not line.stop()]) and time.monotonic() < min(
            patience, self._stop_by
        ):
            still[0].stop(timeout=0.1)
        if still and self._stopping.is_set():
            self._abandon()
        self._lines, self._retired, self._led = {}, [], set()

    def _abandon(self) -> None:
        try:
            log.warning("polls.abandoned", polls=abandon_all(self._member.id))
        except DatabaseError as error:
            # The sweep does it when it finds that this process has ended.
            log.warning("polls.not_abandoned", error=str(error))
            close_old_connections()


def _groups() -> dict[Line, FilterGroup]:
    """What is polled now. A group keeps its number while some of its mappings need what is down: those are left out."""
    stopped = breakers.open_now()
    return {
        (engine.pk, ordinal): group
        for engine in Engine.objects.filter(active=True).order_by("id")
        for ordinal, whole in enumerate(filter_groups(engine))
        if (group := whole.without(stopped)) is not None
    }

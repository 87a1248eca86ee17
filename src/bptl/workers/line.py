"""One polling line: a thread that polls one filter group of one engine, as long as this process leads it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, close_old_connections

from bptl.connections.mappings import FilterGroup, topic_request, unit
from bptl.connections.models import Engine, Mapping
from bptl.engines import base
from bptl.engines.base import (
    EngineError,
    EngineUnavailable,
    ExternalTask,
    FetchRequest,
    NotAuthenticated,
    TopicRequest,
)
from bptl.lib.log import get_logger
from bptl.tasks import leases, metrics, traces
from bptl.tasks.execution import outages
from bptl.tasks.intake.due import due, forget
from bptl.tasks.intake.fetches import FETCH_LIMIT, Announced, abandon, announce, never_sent
from bptl.tasks.intake.record import record
from bptl.workers import room
from bptl.workers.clients import Clients
from bptl.workers.loops import Loop, Pace, backoff
from bptl.workers.member import Member
from bptl.workers.recorder import Answered, Recorder

log = get_logger(__name__)

WRONG_LOGIN = 15.0

UNPOLLED = 5
"""Polls in a row without an answer, in some six seconds, after which the engine may be down for the whole fleet."""

NO_ROOM = (0.01, 0.02, 0.04, 0.1)
"""Seconds until the next look for free places, as long as there are none: fast units have some soon, slow ones not."""

MORE_ROOM = 0.015
"""Seconds until the next poll where the engine has more than we have room for: a fetch for few costs as much as one for
many, and places fall free meanwhile."""

FETCH_CHARACTERS = 2_000_000
"""What one answer may come to, as far as earlier ones tell: while it is read and recorded it is in memory several times
over. A task that is larger comes alone."""

DUE_LOOK = 1.0
DUE_LOOK_QUIET = 5.0
"""Seconds between looks for tasks that fall due, and how far ahead each looks: while tasks come, and when none came for
a while (what a person offers again is told)."""

FULL_LOOK = 5.0
"""Seconds between looks of a line whose topics have no room under a limit: it is told when there is some."""

DUE_PAUSE = 0.1
"""Seconds between two fetches of what is due, at least."""


@dataclass(frozen=True, slots=True)
class Polled:
    """What became of a poll: seconds to wait before the next; ``all_came``: the engine had no more to offer."""

    pause: float
    all_came: bool = False


class PollingLine:
    """Announces and fetches in turn, and records meanwhile.

    ``ordinal`` numbers the group, ``shares`` divide the places, and ``rivals`` (lines that have a limit in common) what
    a limit has room for. It is ``full`` while there is none. ``under_limits``: any mapping at all is limited.
    """

    def __init__(
        self,
        member: Member,
        clients: Clients,
        group: FilterGroup,
        *,
        ordinal: int,
        longest_wait: timedelta,
        shares: int,
    ) -> None:
        self.group = group
        self.shares = shares
        self.rivals = 1
        self.under_limits = bool(group.limits)
        self.full = False
        self._ordinal = ordinal
        self._member = member
        self._clients = clients
        self._longest_wait = longest_wait
        self._failures = 0
        self._without_room = 0
        self._task_characters = 0.0
        self._mappings = {mapping.topic: mapping for mapping in group.mappings}
        self._recorder = Recorder(self._engine.name, self._record)
        self._pace = Pace()
        self._loop = Loop(f"poll {self._engine.name}", self._step)
        self._due_loop = Loop(f"due at {self._engine.name}", self._fetch_due)

    @property
    def _engine(self) -> Engine:
        return self.group.engine

    def start(self) -> None:
        """Begin to poll."""
        self._recorder.start()
        self._loop.start()
        self._due_loop.start()

    def look(self) -> None:
        """Something may be offered that no engine tells of, or a limit has changed."""
        self._due_loop.wake()
        self.look_for_room()

    def look_for_room(self) -> None:
        """A task has ended that may have been in the way."""
        if self.full:
            self._loop.wake()
            self._due_loop.wake()

    def stop(self, *, timeout: float = 0.0) -> bool:
        """Stop after the polls under way; True when they have stopped."""
        deadline = time.monotonic() + timeout
        # Both are told before either is waited for.
        self._due_loop.stop(timeout=0.0)
        stopped = self._loop.stop(timeout=timeout)
        stopped = self._due_loop.stop(timeout=max(0.0, deadline - time.monotonic())) and stopped
        # What the last poll brought is handed over by now.
        return stopped and self._recorder.stop(timeout=max(0.0, deadline - time.monotonic()))

    def _step(self) -> float:
        try:
            return self._poll(self._requests(), self._longest_wait, then=self._recorder.put).pause
        finally:
            # Who told it to stop may have gone: a poll that outlasts the grace period ends alone.
            while self._loop.stopping and not self._recorder.stop(timeout=1.0):
                pass

    def _fetch_due(self) -> float:
        """One more poll, without waiting, when a task falls due for which no engine wakes a parked poll.

        It never spins: what a poll with room to spare does not bring is forgotten, and each step waits a little.
        """
        requests = self._requests()
        topics = [topic.topic for topic in requests]
        ahead = self._pace.rest(busy=DUE_LOOK, quiet=DUE_LOOK_QUIET)
        found = due(self._engine.pk, topics, within=timedelta(seconds=ahead))
        if found.as_of is None:
            return max(DUE_PAUSE, min(ahead, found.next_in or ahead))
        self._pace.happened()
        polled = self._poll(requests, timedelta(), then=self._record, most=found.tasks)
        if polled.all_came:
            forget(self._engine.pk, topics, until=found.as_of)
        return max(DUE_PAUSE, polled.pause)

    def _requests(self) -> list[TopicRequest]:
        return [topic for mapping in self.group.mappings if (topic := self._topic(mapping)) is not None]

    def _poll(
        self,
        topics: Sequence[TopicRequest],
        longest_wait: timedelta,
        *,
        then: Callable[[Answered], None],
        most: int = FETCH_LIMIT,
    ) -> Polled:
        if not topics:
            return Polled(pause=1.0)
        engine = self._clients(self._engine.pk)
        shortest = min(topic.lock_duration for topic in topics)
        # A lock is reckoned from before its request: a poll that may wait longer than a third would eat it up.
        wait = min(longest_wait, shortest / 3)
        most = min(most, self._fetch_limit)
        if self.group.limits:
            # Marked first: whoever says meanwhile that there is room finds a line that looks again.
            self.full = True
            left = room.look(self.group, self._clients, shares=self.rivals)
            most = min(most, left.tasks - self._recorder.unrecorded)
            if most <= 0:
                return Polled(FULL_LOOK if left.next_in is None else min(FULL_LOOK, max(NO_ROOM[0], left.next_in)))
            self.full = False
        announced = announce(
            self._engine.pk,
            ordinal=self._ordinal,
            process_id=self._member.id,
            topics=[topic.topic for topic in topics],
            wait=wait,
            shortest_lock=shortest,
            shares=self.shares,
            most=most,
            unrecorded=self._recorder.unrecorded,
            under_limits=self.under_limits,
        )
        if announced is None:
            pause = NO_ROOM[min(self._without_room, len(NO_ROOM) - 1)]
            self._without_room += 1
            return Polled(pause)
        self._without_room = 0
        request = FetchRequest(
            worker_id=announced.worker_id,
            max_tasks=announced.max_tasks,
            topics=topics,
            wait=announced.wait,
            use_priority=self.group.use_engine_priority,
            oldest_first=self.group.oldest_first,
        )
        return self._fetch(announced, request, engine, shortest, then)

    def _topic(self, mapping: Mapping) -> TopicRequest | None:
        work_unit = unit(mapping)
        return topic_request(mapping, work_unit, besides=traces.names()) if work_unit is not None else None

    def _fetch(
        self,
        announced: Announced,
        request: FetchRequest,
        engine: base.Engine,
        shortest: timedelta,
        then: Callable[[Answered], None],
    ) -> Polled:
        asked, began = time.monotonic(), time.time()
        try:
            tasks = engine.fetch(request)
        except EngineUnavailable as error:
            metrics.POLLS.add(self._engine.name, "failed")
            # Only the engine's own word (it has a kind) says that nothing was locked: behind a proxy that lost patience
            # the poll may still be parked.
            if error.sent and not error.kind:
                _insist(lambda: abandon(announced), until=asked + shortest.total_seconds())
            else:
                never_sent(announced)
            return Polled(self._failed(error, error.retry_after))
        except EngineError as error:
            metrics.POLLS.add(self._engine.name, "failed")
            never_sent(announced)
            return Polled(self._failed(error, None))
        except Exception:
            # A fault of ours: whatever was locked for this worker id must be found and freed.
            _insist(lambda: abandon(announced), until=asked + shortest.total_seconds())
            raise
        metrics.POLLS.add(self._engine.name, "tasks" if tasks else "empty")
        if tasks:
            metrics.FETCH_SECONDS.observe([((self._engine.name,), time.monotonic() - asked)])
        if self._failures:
            log.info("engine.poll_recovered", engine=self._engine.name, failures=self._failures)
            self._failures = 0
        then(Answered(announced, tasks, engine, until=asked + shortest.total_seconds() / 2, began=began))
        all_came = len(tasks) < announced.max_tasks
        full = announced.max_tasks >= self._fetch_limit
        return Polled(pause=0.0 if all_came or full else MORE_ROOM, all_came=all_came)

    @property
    def _fetch_limit(self) -> int:
        return max(1, min(FETCH_LIMIT, int(FETCH_CHARACTERS / max(self._task_characters, 1.0))))

    def _record(self, answered: Answered) -> None:
        with traces.received(self._engine.name, answered.tasks, began=answered.began) as tasks:
            self._record_all(answered, tasks)

    def _record_all(self, answered: Answered, tasks: Sequence[ExternalTask]) -> None:
        """The tasks are locked for us: recorded as soon as the database takes them, else watched until free."""
        announced, engine, until = answered.fetch, answered.engine, answered.until
        while True:
            try:
                recorded = record(announced, tasks, mappings=self._mappings, engine=engine)
                break
            except DatabaseError:
                log.exception("fetch.not_recorded", fetch=announced.number, tasks=len(tasks))
                close_old_connections()
                if time.monotonic() >= until:
                    _insist(lambda: abandon(announced), until=until + 60)
                    raise
                time.sleep(0.5)
        for external_id in recorded.refused:
            leases.give_back(external_id, worker_id=announced.worker_id, engine=engine)
        for external_id, reason in recorded.unstorable.items():
            message = f"BPTL cannot store this task: {reason}"
            engine.fail(
                external_id,
                worker_id=announced.worker_id,
                message=message,
                details=message,
                retries=0,
                retry_timeout=timedelta(),
            )
        if recorded.leased:
            # Large ones count at once, and are forgotten as small ones come.
            size = recorded.characters / len(tasks)
            self._task_characters = max(size, 0.9 * self._task_characters)
            name, leased = self._engine.name, recorded.leased
            metrics.FETCHED.count((name, task.topic) for task in tasks if task.id in leased)
            if self._pace.happened():
                self._due_loop.wake()
            log.info("tasks.fetched", engine=self._engine.name, tasks=len(recorded.leased), fetch=announced.number)

    def _failed(self, error: EngineError, wish: timedelta | None) -> float:
        self._failures += 1
        if isinstance(error, EngineUnavailable) and self._failures >= UNPOLLED:
            outages.unpolled(self._engine, error, polls=self._failures)
        wait = max(backoff(self._failures), wish.total_seconds() if wish else 0.0)
        if isinstance(error, NotAuthenticated):
            # Engines lock a user out after some wrong logins: knock seldom.
            wait = max(wait, WRONG_LOGIN)
        log.warning(
            "engine.poll_failed",
            engine=self._engine.name,
            error=str(error),
            failures=self._failures,
            wait=round(wait, 2),
        )
        return wait


def _insist(step: Callable[[], None], *, until: float) -> None:
    """Repeat a step while the database is away."""
    while True:
        try:
            step()
        except DatabaseError:
            close_old_connections()
            if time.monotonic() >= until:
                raise
            time.sleep(0.5)
        else:
            return

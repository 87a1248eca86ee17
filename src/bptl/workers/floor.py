"""The places of a worker: claims as many tasks as are free, runs each in a thread of its own, hands outcomes over.

A slow task holds its own place and nobody else's. A run that passes its longest time is cancelled; 30 s later its
place is written off, and the process restarts when the other places have come to rest (Python cannot end a thread).
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, DatabaseError, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from bptl.lib.log import context as log_context
from bptl.lib.log import get_logger
from bptl.tasks import leases, limits, metrics
from bptl.tasks.execution.claim import Claim, Limited, claim
from bptl.tasks.execution.outcomes import HAND_BACK, HandedBack
from bptl.tasks.execution.run import Assignment, Unassignable, assign, ran_too_long, run, wrote_off
from bptl.tasks.execution.spans import span_of, tell
from bptl.tasks.execution.work import Cancellation
from bptl.tasks.leases import Held
from bptl.tasks.lifecycle import Status
from bptl.workers.callbacks import Callbacks
from bptl.workers.clients import Clients
from bptl.workers.crew import Crew
from bptl.workers.give_back import give_back, give_back_all
from bptl.workers.keeper import Keeper, Kept
from bptl.workers.loops import Loop, Pace
from bptl.workers.mappings import Mappings
from bptl.workers.member import Member
from bptl.workers.reporter import Finished, Reporter

log = get_logger(__name__)

CLAIM_LIMIT = 64
IDLE_LOOK = 1.0
QUIET_LOOK = 5.0
"""Seconds between looks into the queue when nobody says that there is work: at first, and where PostgreSQL's word was
heard before and nothing came for a while."""

LIMITS_LOOK = 2.0
LIMITS_LOOK_TOLD = 15.0
"""Seconds for which it is believed which mappings are limited: where nobody tells, and where PostgreSQL does."""

STRAYS_EVERY = 10.0
"""Seconds between looks for claims that nobody here runs."""

WRITE_OFF_AFTER = 30.0
"""Seconds from the cancellation of a run that took too long until its place is given up."""


@dataclass(slots=True)
class Run:
    """One running unit. Times are monotonic seconds."""

    assignment: Assignment
    deadline: float
    cancellation: Cancellation = field(default_factory=Cancellation)
    overdue: bool = False
    written_off: bool = False


class Floor:
    """``places`` units at once. ``stopping`` is set when no new work is taken any more."""

    def __init__(
        self, member: Member, clients: Clients, *, places: int, on_worn_out: Callable[[], None] = lambda: None
    ) -> None:
        self.places = places
        self.clients = clients
        self._member = member
        self._on_worn_out = on_worn_out
        self._worn_out = False
        self._written_off = 0
        self._lock = threading.Lock()
        self._runs: dict[uuid.UUID, Run] = {}
        self.stopping = threading.Event()
        self._woken = False
        self._unended = 0
        self._strays_at = 0.0
        self._at_rest: dict[int, BaseDatabaseWrapper] = {}
        self._crew = Crew("place", places, self._run)
        self._pace = Pace()
        self._limited = Limited()
        self._limits_read = -math.inf
        self._hears = False
        self._loop = Loop("floor", self._step)
        self.keeper = Keeper(member, clients, on_lost=self.cancel)
        self.callbacks = Callbacks()
        self.reporter = Reporter(
            member,
            clients,
            on_settled=self.keeper.release,
            on_callback=self.callbacks.wake,
            units_run=lambda: self._unended > 0,
        )
        self._mappings = Mappings()

    def start(self) -> None:
        """Open the places."""
        self._crew.start()
        self.keeper.start()
        self.reporter.start()
        self.callbacks.start()
        self._loop.start()

    def wake(self) -> None:
        """There may be work."""
        self._woken = True
        self._loop.wake()

    def hears(self, proven: bool) -> None:
        """Whether whoever makes work is heard here for sure: then fewer looks do."""
        if proven != self._hears:
            self._limits_read = -math.inf
        self._hears = proven

    def look_at_limits(self) -> None:
        """A limit may have changed, and with it what may begin."""
        self._limits_read = -math.inf
        self.wake()

    @property
    def stuck(self) -> bool:
        """Whether a unit still runs that was told to stop."""
        with self._lock:
            return bool(self._runs)

    @property
    def written_off(self) -> int:
        """How many places were given up."""
        return self._written_off

    @property
    def running(self) -> int:
        """How many units run now, given-up ones not counted."""
        with self._lock:
            return sum(not run.written_off for run in self._runs.values())

    def stop_claiming(self) -> None:
        """Take no new work."""
        self.stopping.set()

    def drain(self, *, grace: float) -> bool:
        """Finish what runs in ``grace`` seconds, give back the rest, deliver what is stored. True when all ended."""
        deadline = time.monotonic() + grace
        reporting = min(10.0, grace / 4)
        self.stop_claiming()
        while self.running and time.monotonic() < deadline - reporting:
            time.sleep(0.05)
        self._loop.stop(timeout=1)
        with self._lock:
            left = [run for run in self._runs.values() if not run.written_off]
        for unfinished in left:
            unfinished.cancellation.cancel("the worker stops")
            self._give_back(unfinished.assignment.claim, "the worker stopped before the unit had ended")
        self.reporter.stop(timeout=max(0.5, deadline - time.monotonic()))
        self.callbacks.stop(timeout=max(0.5, deadline - time.monotonic()))
        self.keeper.stop()
        give_back_all(self._member.id, self.clients, reason="the worker stopped")
        self._crew.stop()
        for connection in self._at_rest.values():
            connection.inc_thread_sharing()
            connection.close()
        return not left

    def cancel(self, lease_id: uuid.UUID, reason: str) -> None:
        """The lease of a run has ended: tell its unit to stop; whatever it answers is not reported."""
        with self._lock:
            run = self._runs.get(lease_id)
        if run is not None:
            log.warning("run.cancelled", task_id=run.assignment.claim.task_id, reason=reason)
            run.cancellation.cancel(reason)

    def cancel_all(self, reason: str) -> None:
        """All leases of this process have ended."""
        with self._lock:
            lease_ids = list(self._runs)
        for lease_id in lease_ids:
            self.cancel(lease_id, reason)

    def _step(self) -> float:
        self._watch_overdue()
        self._give_back_strays()
        if self.stopping.is_set():
            return IDLE_LOOK
        free = self.places - self.running
        woken, self._woken = self._woken, False
        asked = time.monotonic()
        claims = claim(self._member.id, places=min(free, CLAIM_LIMIT), limited=self._known_limits())
        if claims:
            self._begin(claims, asked)
        elif woken:
            # No unit is to run: perhaps a fresh lease brought a stored outcome back. While all places are taken, every
            # word about new work would ask for it.
            self.reporter.wake() if free else self.reporter.expect()
        if len(claims) == CLAIM_LIMIT:
            return 0.0
        if claims or self.running or not self._hears:
            self._pace.happened()
        rest = self._pace.rest(busy=IDLE_LOOK, quiet=QUIET_LOOK)
        return rest if self._limited.next_in is None else min(rest, self._limited.next_in)

    def _known_limits(self) -> Limited:
        now = time.monotonic()
        if now - self._limits_read >= (LIMITS_LOOK_TOLD if self._hears else LIMITS_LOOK):
            self._limits_read = now  # before the question: what is told meanwhile is asked for at the next step
            try:
                self._limited.mapping_ids = limits.limited_mappings()
            except DatabaseError:
                self._limits_read = -math.inf
                raise
        return self._limited

    def _begin(self, claims: list[Claim], asked: float) -> None:
        mappings = self._mappings.of({claim.mapping_id for claim in claims if claim.mapping_id is not None})
        now = time.monotonic()
        begun: list[Claim] = []
        for claimed in claims:
            try:
                assignment = assign(claimed, mappings)
            except Unassignable as error:
                self._give_back(claimed, error.reason)
                continue
            started = Run(assignment, deadline=now + assignment.longest_run.total_seconds())
            with self._lock:
                self._runs[claimed.lease_id] = started
                self._unended += 1
            self.keeper.hold(_kept(claimed, asked))
            self._crew.put(started)
            begun.append(claimed)
        metrics.STARTED.count((metrics.engine(one.engine_id), one.topic) for one in begun)
        metrics.QUEUE_SECONDS.observe(
            ((metrics.engine(one.engine_id), one.topic), one.queued_ms / 1000) for one in begun
        )

    def _run(self, started: Run) -> None:
        claimed = started.assignment.claim
        me = threading.get_ident()
        self._at_rest.pop(me, None)
        # Units use the database for their effects: a connection that was cut is opened anew before the next one.
        close_old_connections()
        began = time.monotonic()
        try:
            try:
                with log_context(started.assignment.context), span_of(started.assignment) as span:
                    ending = run(started.assignment, started.cancellation, trace=span.traceparent)
                    tell(span, ending)
            finally:
                with self._lock:
                    self._unended -= 1
            if ending is None and started.overdue:
                ending = ran_too_long(started.assignment)
            if ending is None or started.written_off:
                return
            if isinstance(ending, HandedBack):
                self._give_back(claimed, ending.reason, after=HAND_BACK)
            else:
                took = time.monotonic() - began
                self.reporter.put(Finished(claimed, ending, seconds=took, trace=span.traceparent))
        except Exception:
            # run() never raises for the unit; a fault of ours must not keep the place. The lease stays until it ends.
            log.exception("run.failed", task_id=claimed.task_id)
            self._give_back(claimed, "BPTL failed while it ran the unit")
        finally:
            self._at_rest[me] = connections[DEFAULT_DB_ALIAS]
            with self._lock:
                self._runs.pop(claimed.lease_id, None)
            self._loop.wake()

    def _watch_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [run for run in self._runs.values() if run.deadline <= now and not run.written_off]
        for overdue in late:
            claimed = overdue.assignment.claim
            if not overdue.overdue:
                overdue.overdue = True
                log.warning("run.overdue", task_id=claimed.task_id, unit=overdue.assignment.unit.name)
                overdue.cancellation.cancel("it ran too long")
            elif now >= overdue.deadline + WRITE_OFF_AFTER:
                self._write_off(overdue)

    def _write_off(self, overdue: Run) -> None:
        claimed = overdue.assignment.claim
        overdue.written_off = True
        self.places -= 1
        self._written_off += 1
        self._member.write_off_place()
        log.error("place.written_off", task_id=claimed.task_id, unit=overdue.assignment.unit.name)
        longest = overdue.assignment.longest_run.total_seconds() + WRITE_OFF_AFTER
        self.reporter.put(Finished(claimed, wrote_off(overdue.assignment), seconds=longest))
        # A process that was told to end must not begin anew instead.
        if not self._worn_out and not self.stopping.is_set():
            self._worn_out = True
            self.stop_claiming()
            self._on_worn_out()

    def _give_back_strays(self) -> None:
        """A claim that was committed, but whose answer was cut off or could not be begun, is run by nobody."""
        if time.monotonic() < self._strays_at:
            return
        # What is known is read before the rows, and runs before the reporter: whatever ends meanwhile is known.
        with self._lock:
            known = set(self._runs)
        known |= self.reporter.unstored
        for held in leases.held_by(self._member.id):
            if held.status == Status.RUNNING and held.lease_id not in known:
                self._give_back(held, "its worker never began the unit")
        self._strays_at = time.monotonic() + STRAYS_EVERY

    def _give_back(self, held: Claim | Held, reason: str, *, after: timedelta = leases.GIVE_BACK) -> None:
        give_back(held, self.clients, reason=reason, after=after)
        self.keeper.release(held.lease_id)


def _kept(claimed: Claim, asked: float) -> Kept:
    # What is left of the lock was reckoned while the claim was under way: never earlier than when it was asked.
    return Kept(
        claimed.lease_id,
        claimed.engine_id,
        claimed.external_id,
        claimed.worker_id,
        lock=claimed.lock_ms / 1000,
        deadline=asked + claimed.locked_ms / 1000,
        known_at=time.monotonic(),
    )

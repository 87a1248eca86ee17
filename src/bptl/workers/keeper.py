"""Keeps the locks of this process alive: each is extended at a third of its length, from fetch to delivery (rule 4).

Deadlines run on the monotonic clock from before each request, so they hold while the database is away; the rows learn
of extensions as soon as it is back.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, close_old_connections

from bptl.engines.base import Engine, EngineError
from bptl.lib.log import get_logger
from bptl.tasks import leases, metrics
from bptl.tasks.lifecycle import LeaseEnd
from bptl.workers.clients import Clients
from bptl.workers.loops import Loop, Pace
from bptl.workers.member import Member

log = get_logger(__name__)

TICK = 1.0
QUIET_TICK = 3.0
"""Seconds between looks into the rows: while locks are held, and when none were held for a while. The shortest lock
that a mapping may have, 10 s, is due for its first extension after 3.3 s."""

CALLS_AT_ONCE = 4
"""Extensions under way at one engine; every engine has its own, so that a silent one delays no other."""


@dataclass(slots=True)
class Kept:
    """One lock. Times are monotonic seconds: until when it surely lasts, when it was last known to be set."""

    lease_id: uuid.UUID
    engine_id: int | None
    external_id: str
    worker_id: str
    lock: float
    deadline: float
    known_at: float
    retry_at: float = 0.0
    asking: bool = False
    unwritten: float | None = None
    """When the extension that the row does not know yet was asked for."""

    def due(self, now: float) -> bool:
        """Whether a third of the lock has passed."""
        return not self.asking and now >= self.retry_at and now >= self.deadline - self.lock * 2 / 3


class Keeper:
    """The locks of one process. ``on_lost(lease_id, reason)`` tells whoever works under a lease that it has ended."""

    def __init__(self, member: Member, clients: Clients, *, on_lost: Callable[[uuid.UUID, str], None]) -> None:
        self._member = member
        self._clients = clients
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._kept: dict[uuid.UUID, Kept] = {}
        self._ending: dict[uuid.UUID, tuple[LeaseEnd, str]] = {}
        self._calls: dict[int | None, ThreadPoolExecutor] = {}
        self._pace = Pace()
        self._loop = Loop("keeper", self._step)

    def start(self) -> None:
        """Begin to keep."""
        self._loop.start()

    def stop(self) -> None:
        """Stop keeping; what is still locked runs out by itself."""
        self._loop.stop(timeout=5)
        for calls in self._calls.values():
            calls.shutdown(wait=False, cancel_futures=True)

    def hold(self, kept: Kept) -> None:
        """Keep a lock from now on (the next look into the rows would find it too)."""
        with self._lock:
            self._kept[kept.lease_id] = kept
        self._meet(kept.engine_id)

    def release(self, lease_id: uuid.UUID) -> None:
        """The lease has ended in good order."""
        with self._lock:
            kept = self._kept.pop(lease_id, None)
        if kept is not None:
            metrics.LOCK_LEFT.observe([((metrics.engine(kept.engine_id),), kept.deadline - time.monotonic())])

    @property
    def held(self) -> int:
        """How many locks are kept."""
        return len(self._kept)

    @property
    def shortest(self) -> float | None:
        """What is left of the lock that runs out first, as a part of its length; None while none is kept."""
        now = time.monotonic()
        with self._lock:
            return min(((lock.deadline - now) / lock.lock for lock in self._kept.values()), default=None)

    def _step(self) -> float:
        try:
            self._follow_rows()
        except DatabaseError as error:
            # Locks are kept from memory; the rows hear of it when the database is back.
            log.warning("keeper.without_database", error=str(error))
            close_old_connections()
        now = time.monotonic()
        with self._lock:
            kept = list(self._kept.values())
        for lock in kept:
            if now >= lock.deadline:
                self._lose(lock, LeaseEnd.EXPIRED, "its lock ran out before it could be extended")
        due = [lock for lock in kept if lock.deadline > now and lock.due(now)]
        for lock in due:
            self._ask(lock)
        self._end_lost()
        if kept:
            self._pace.happened()
        return self._pace.rest(busy=TICK, quiet=QUIET_TICK)

    def _follow_rows(self) -> None:
        asked = time.monotonic()
        rows = leases.held_by(self._member.id)
        answered = time.monotonic()
        held = {row.lease_id for row in rows}
        with self._lock:
            for row in rows:
                if row.lease_id not in self._kept and row.lease_id not in self._ending:
                    self._kept[row.lease_id] = Kept(
                        row.lease_id,
                        row.engine_id,
                        row.external_id,
                        row.worker_id,
                        lock=row.lock_ms / 1000,
                        deadline=asked + row.left_ms / 1000,
                        known_at=asked,
                    )
            gone = [lock for lock in self._kept.values() if lock.lease_id not in held and lock.known_at < asked]
            for lock in gone:
                del self._kept[lock.lease_id]
            unwritten = [lock for lock in self._kept.values() if lock.unwritten is not None]
            engine_ids = {lock.engine_id for lock in self._kept.values()}
        for engine_id in engine_ids:
            self._meet(engine_id)
        for lock in gone:
            self._on_lost(lock.lease_id, "its lease has ended")
        if unwritten and rows:
            as_of = rows[0].as_of
            leases.extended(
                [
                    (lock.lease_id, as_of - timedelta(seconds=answered - lock.unwritten) + timedelta(seconds=lock.lock))
                    for lock in unwritten
                    if lock.unwritten is not None
                ]
            )
            for lock in unwritten:
                lock.unwritten = None

    def _meet(self, engine_id: int | None) -> None:
        """Read the engine's row now: when the first extension is due, the database may be away."""
        try:
            self._clients(engine_id)
        except (EngineError, DatabaseError) as error:
            log.warning("keeper.without_engine", engine_id=engine_id, error=str(error))

    def _ask(self, lock: Kept) -> None:
        try:
            # Looked up here: threads that make only calls need no database connection of their own.
            engine = self._clients(lock.engine_id)
        except (EngineError, DatabaseError) as error:
            self._not_extended(lock, error)
            return
        calls = self._calls.get(lock.engine_id)
        if calls is None:
            calls = self._calls[lock.engine_id] = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="extend")
        lock.asking = True
        calls.submit(self._extend, lock, engine)

    def _extend(self, lock: Kept, engine: Engine) -> None:
        try:
            self._extend_once(lock, engine)
        except Exception:
            # Nobody waits for this thread's answer; the lock is tried again while it lasts.
            log.exception("lock.extension_failed", lease=str(lock.lease_id))
        finally:
            lock.asking = False

    def _extend_once(self, lock: Kept, engine: Engine) -> None:
        before = time.monotonic()
        try:
            ended = leases.extend(
                lock.external_id, worker_id=lock.worker_id, lock_ms=int(lock.lock * 1000), engine=engine
            )
        except EngineError as error:
            self._not_extended(lock, error)
            return
        metrics.EXTENSIONS.add(metrics.engine(lock.engine_id), "extended" if ended is None else "lost")
        if ended is not None:
            self._lose(lock, ended, "the engine refused to extend its lock")
            return
        lock.deadline = before + lock.lock
        lock.unwritten = before

    def _not_extended(self, lock: Kept, error: EngineError | DatabaseError) -> None:
        now = time.monotonic()
        lock.retry_at = now + min(5.0, lock.lock / 20)
        metrics.EXTENSIONS.add(metrics.engine(lock.engine_id), "failed")
        log.warning("lock.not_extended", lease=str(lock.lease_id), left=round(lock.deadline - now), error=str(error))

    def _lose(self, lock: Kept, how: LeaseEnd, reason: str) -> None:
        with self._lock:
            if self._kept.pop(lock.lease_id, None) is None:
                return
            self._ending[lock.lease_id] = (how, reason)
        self._on_lost(lock.lease_id, reason)

    def _end_lost(self) -> None:
        """End in the rows what was lost; kept in mind until the database has taken it."""
        with self._lock:
            ending = dict(self._ending)
        for lease_id, (how, reason) in ending.items():
            leases.end([lease_id], how=how, reason=reason)
            with self._lock:
                self._ending.pop(lease_id, None)

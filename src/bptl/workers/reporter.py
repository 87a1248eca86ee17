"""The outbox of one process: outcomes are stored in groups, reported over pooled connections, and settled in groups."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from django.db import DataError

from bptl.engines.base import Engine, EngineError
from bptl.lib.log import get_logger
from bptl.tasks import limits
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer, Report, Verdict, park, send
from bptl.tasks.execution.claim import Claim
from bptl.tasks.execution.outcomes import Doubt, Ended, Ending, doubt, store
from bptl.tasks.retries import NO_RETRY
from bptl.workers.clients import Clients
from bptl.workers.crew import Crew
from bptl.workers.loops import Loop, Pace
from bptl.workers.member import Member

log = get_logger(__name__)

T = TypeVar("T")

GROUP = 64
GROUP_WAIT = 0.01
"""A group is committed when it has this many outcomes, or after this many seconds, or when no other is to come soon."""

IDLE_WAIT = 1.0
"""Seconds that a loop without work waits for some before it looks whether it should stop."""

SENDERS = 16
DUE_EVERY = 1.0
DUE_EVERY_QUIET = 5.0
"""Seconds between looks for reports that are due: while there are some to send, and when there were none for a while.
What a person, or the sweep, lays ready is told (``Reporter.wake``)."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended, with what is needed to report it."""

    claim: Claim
    ending: Ending | Doubt


@dataclass(frozen=True, slots=True)
class _Due:
    report: Report
    engine: Engine


class Reporter:
    """Takes finished runs; ``on_settled(lease_id)`` tells that a lease needs no lock any more.

    ``units_run`` answers whether another outcome may come soon; while no unit runs, none waits for it.
    """

    def __init__(
        self,
        member: Member,
        clients: Clients,
        *,
        on_settled: Callable[[uuid.UUID], None],
        units_run: Callable[[], bool],
    ) -> None:
        self._member = member
        self._clients = clients
        self._on_settled = on_settled
        self._units_run = units_run
        self._finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._unstored: set[uuid.UUID] = set()
        self._verdicts: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
        self._storing: list[Finished] = []
        self._settling: list[Verdict] = []
        self._senders = Crew("report", SENDERS, self._send)
        self._sending = 0
        self._counting = threading.Lock()
        self._store_loop = Loop("store", self._store)
        self._settle_loop = Loop("settle", self._settle)
        self._pace = Pace()
        self._due_loop = Loop("reports due", self._take_due)

    def start(self) -> None:
        """Begin."""
        self._senders.start()
        for loop in (self._store_loop, self._settle_loop, self._due_loop):
            loop.start()

    def put(self, finished: Finished) -> None:
        """Hand over a finished run."""
        with self._counting:
            self._unstored.add(finished.claim.lease_id)
        self._finished.put(finished)

    def wake(self) -> None:
        """There may be reports to take over."""
        self._due_loop.wake()

    def expect(self) -> None:
        """There may be reports to take over: look often enough, without haste."""
        if self._pace.happened():
            self._due_loop.wake()

    @property
    def unstored(self) -> set[uuid.UUID]:
        """Leases of runs that were handed over and whose outcome is not committed yet."""
        with self._counting:
            return set(self._unstored)

    @property
    def idle(self) -> bool:
        """Whether everything handed over is stored, sent and settled (or waits for its next try)."""
        return (
            self._finished.empty()
            and self._verdicts.empty()
            and not self._storing
            and not self._settling
            and self._sending == 0
        )

    def stop(self, *, timeout: float) -> None:
        """Finish what was handed over, at most ``timeout`` seconds."""
        self._due_loop.stop(timeout=1)
        deadline = time.monotonic() + timeout
        while not self.idle and time.monotonic() < deadline:
            time.sleep(0.02)
        self._store_loop.stop(timeout=1)
        self._settle_loop.stop(timeout=1)
        self._senders.stop()

    # storing

    def _store(self) -> float:
        if not self._storing:
            gather(self._finished, self._storing, others_come=self._units_run)
        if self._storing:
            self._store_group(self._storing)
            with self._counting:
                self._unstored -= {finished.claim.lease_id for finished in self._storing}
            self._storing = []
        return 0.0

    def _store_group(self, group: list[Finished]) -> None:
        process_id = self._member.id
        doubts = [(finished.claim, finished.ending) for finished in group if isinstance(finished.ending, Doubt)]
        for claim, left_open in doubts:
            if not doubt(claim.task_id, claim.lease_id, left_open.reason):
                self._on_settled(claim.lease_id)
        if doubts:
            self._due_loop.wake()
        make_room = any(finished.claim.limited for finished in group)
        group = [finished for finished in group if isinstance(finished.ending, Ending)]
        try:
            taken = store(process_id, [ended for finished in group for ended in _ended(finished)])
        except DataError as error:
            if len(group) > 1:
                for finished in group:
                    self._store_group([finished])
                return
            log.exception("outcome.unstorable", task_id=group[0].claim.task_id)
            self._store_group([_unstorable(group[0], error)])
            return
        if make_room:
            limits.tell_room()
        for finished in group:
            if finished.claim.lease_id in taken and isinstance(finished.ending, Ending):
                self._submit(_first_report(finished.claim, finished.ending))
            else:
                self._on_settled(finished.claim.lease_id)

    # sending

    def _count(self, change: int) -> None:
        with self._counting:
            self._sending += change

    def _submit(self, report: Report) -> None:
        # The client is looked up here: threads that make only calls need no database connection of their own.
        self._count(1)
        try:
            engine = self._clients(report.engine_id)
        except EngineError as error:
            self._verdicts.put(Verdict(report, Answer.LATER, str(error)))
        except BaseException:
            self._count(-1)
            raise
        else:
            self._senders.put(_Due(report, engine))

    def _send(self, due: _Due) -> None:
        report = due.report
        try:
            verdict = send(report, due.engine)
        except Exception as error:
            # Nobody waits for this thread's answer: the report stays due and is taken up again.
            log.exception("report.failed", task_id=report.task_id)
            verdict = Verdict(report, Answer.LATER, str(error))
        self._verdicts.put(verdict)

    # settling

    def _settle(self) -> float:
        if not self._settling:
            gather(self._verdicts, self._settling, others_come=lambda: self._sending > len(self._settling))
        for verdict in [verdict for verdict in self._settling if verdict.report.doubt]:
            outbox.settle_doubt(verdict)
            self._finish(verdict)
        done = [verdict for verdict in self._settling if verdict.answer in {Answer.TAKEN, Answer.ASSUMED}]
        outbox.delivered(done)
        for verdict in done:
            self._finish(verdict)
        if self._settling:
            self.expect()  # What was not taken falls due again.
        while self._settling:
            verdict = self._settling[0]
            if outbox.settle(self._member.id, verdict):
                self._park(verdict)
            self._finish(verdict)
        return 0.0

    def _park(self, verdict: Verdict) -> None:
        report = verdict.report
        try:
            park(report, self._clients(report.engine_id), verdict.reason)
        except EngineError as error:
            later = Verdict(report, Answer.LATER, f"{verdict.reason} (and not parked: {error})")
            outbox.settle(self._member.id, later)
        else:
            outbox.parked(self._member.id, verdict)

    def _finish(self, verdict: Verdict) -> None:
        self._settling.remove(verdict)
        self._count(-1)
        if verdict.answer in {Answer.TAKEN, Answer.ASSUMED, Answer.LOST, Answer.LEASE_ENDED}:
            self._on_settled(verdict.report.lease_id)

    def _take_due(self) -> float:
        reports = outbox.take_due(self._member.id, maximum=GROUP)
        reports += outbox.take_doubts(self._member.id, maximum=GROUP)
        for report in reports:
            self._submit(report)
        if reports:
            self._pace.happened()
        return 0.0 if len(reports) >= GROUP else self._pace.rest(busy=DUE_EVERY, quiet=DUE_EVERY_QUIET)


def gather(source: queue.SimpleQueue[T], into: list[T], *, others_come: Callable[[], bool]) -> None:
    """Move a group: wait a while for a first item, then, while others are to come, a moment for those."""
    try:
        into.append(source.get(timeout=IDLE_WAIT))
    except queue.Empty:
        return
    deadline = time.monotonic() + GROUP_WAIT
    while len(into) < GROUP:
        left = deadline - time.monotonic() if others_come() else 0.0
        try:
            into.append(source.get(timeout=left) if left > 0 else source.get_nowait())
        except queue.Empty:
            return


def _ended(finished: Finished) -> Iterator[Ended]:
    if isinstance(finished.ending, Ending):
        yield Ended(finished.claim.task_id, finished.claim.lease_id, finished.ending)


def _unstorable(finished: Finished, error: DataError) -> Finished:
    text = f"the result cannot be stored: {error}"
    return Finished(finished.claim, Ending.failed(text, text, NO_RETRY))


def _first_report(claim: Claim, ending: Ending) -> Report:
    return Report(
        task_id=claim.task_id,
        engine_id=claim.engine_id,
        external_id=claim.external_id,
        lease_id=claim.lease_id,
        worker_id=claim.worker_id,
        outcome_id=claim.lease_id,
        outcome=ending.outcome,
        result=ending.result,
        tries=1,
        refusals=0,
        by_author=True,
    )

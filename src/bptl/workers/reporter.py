"""The outbox of one process: outcomes are stored in groups, reported over pooled connections, and settled in groups."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from django.db import DataError

from bptl.engines.base import Engine, EngineError
from bptl.lib.log import get_logger
from bptl.tasks import limits, metrics
from bptl.tasks.callbacks import Wanted, wanted
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer, Report, Verdict, park, send
from bptl.tasks.delivery.spans import span_of, tell
from bptl.tasks.endings import Ending
from bptl.tasks.execution.claim import Claim
from bptl.tasks.execution.outcomes import Doubt, Ended, doubt, store
from bptl.tasks.execution.waiting import Awaiting, wait_for
from bptl.tasks.lifecycle import Outcome
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
    """A run that has ended, with what is needed to report it; it took ``seconds`` until the monotonic time ``at``."""

    claim: Claim
    ending: Ending | Doubt | Awaiting
    seconds: float
    at: float = field(default_factory=time.monotonic)
    trace: str = ""
    """The traceparent of the run."""

    @property
    def callback(self) -> Wanted | None:
        """What its task asks for when it is completed; a call of the REST API asks for none."""
        return wanted(self.claim.variables) if self.claim.engine_id is not None else None


@dataclass(frozen=True, slots=True)
class _Due:
    report: Report
    engine: Engine


class Reporter:
    """Takes finished runs; ``on_settled(lease_id)`` tells that a lease needs no lock any more, ``on_callback()`` that a
    callback may be due.

    ``units_run`` answers whether another outcome may come soon; while no unit runs, none waits for it.
    """

    def __init__(
        self,
        member: Member,
        clients: Clients,
        *,
        on_settled: Callable[[uuid.UUID], None],
        on_callback: Callable[[], None],
        units_run: Callable[[], bool],
    ) -> None:
        self._member = member
        self._clients = clients
        self._on_settled = on_settled
        self._on_callback = on_callback
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
        for finished in list(self._storing):
            if isinstance(finished.ending, Awaiting):
                self._wait_for(finished, finished.ending)
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
            if doubt(claim.task_id, claim.lease_id, left_open.reason):
                metrics.UNCERTAIN.add(metrics.engine(claim.engine_id), claim.topic)
            else:
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
        _count([finished for finished in group if finished.claim.lease_id in taken])
        for finished in group:
            if finished.claim.lease_id in taken and isinstance(finished.ending, Ending):
                self._submit(_first_report(finished, finished.ending))
            else:
                self._on_settled(finished.claim.lease_id)

    def _wait_for(self, finished: Finished, awaiting: Awaiting) -> None:
        claim = finished.claim
        ending = wait_for(self._member.id, claim.task_id, claim.lease_id, awaiting, callback=finished.callback)
        # At once: should the database be away for the next one, this one is not reported twice.
        self._storing.remove(finished)
        with self._counting:
            self._unstored.discard(claim.lease_id)
        if claim.limited:
            limits.tell_room()  # A task that waits has no place.
        if isinstance(ending, Ending):
            _count([replace(finished, ending=ending)])
            self._submit(_first_report(finished, ending))
            return
        if ending:
            metrics.WAITING.add(metrics.engine(claim.engine_id), claim.topic)
        self._on_settled(claim.lease_id)

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
            with span_of(report) as span:
                verdict = send(report, due.engine)
                tell(span, verdict)
        except Exception as error:
            # Nobody waits for this thread's answer: the report stays due and is taken up again.
            log.exception("report.failed", task_id=report.task_id)
            verdict = Verdict(report, Answer.LATER, str(error))
        self._verdicts.put(verdict)

    # settling

    def _settle(self) -> float:
        if not self._settling:
            gather(self._verdicts, self._settling, others_come=lambda: self._sending > len(self._settling))
            _count_answers(self._settling)
        for verdict in [verdict for verdict in self._settling if verdict.report.doubt]:
            outbox.settle_doubt(verdict)
            self._finish(verdict)
        done = [verdict for verdict in self._settling if verdict.answer in {Answer.TAKEN, Answer.ASSUMED}]
        outbox.delivered(done)
        if any(verdict.report.callback for verdict in done):
            self._on_callback()
        _count_delivered(done)
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
        yield Ended(finished.claim.task_id, finished.claim.lease_id, finished.ending, finished.callback)


def _unstorable(finished: Finished, error: DataError) -> Finished:
    text = f"the result cannot be stored: {error}"
    return replace(finished, ending=Ending.failed(text, text, NO_RETRY))


def _first_report(finished: Finished, ending: Ending) -> Report:
    claim = finished.claim
    return Report(
        task_id=claim.task_id,
        engine_id=claim.engine_id,
        external_id=claim.external_id,
        topic=claim.topic,
        lease_id=claim.lease_id,
        worker_id=claim.worker_id,
        outcome_id=claim.lease_id,
        outcome=ending.outcome,
        result=ending.result,
        tries=1,
        refusals=0,
        by_author=True,
        trace=finished.trace,
        callback=finished.callback is not None,
        since=finished.at,
    )


def _count(stored: Sequence[Finished]) -> None:
    endings = [(one, one.ending) for one in stored if isinstance(one.ending, Ending)]
    metrics.PERFORMED.count(
        (metrics.engine(one.claim.engine_id), one.claim.topic, ending.outcome) for one, ending in endings
    )
    metrics.RUN_SECONDS.observe(
        ((metrics.engine(one.claim.engine_id), one.claim.topic), one.seconds) for one, _ending in endings
    )
    metrics.FAILED.count(
        (metrics.engine(one.claim.engine_id), one.claim.topic, "left" if ending.result["retries"] else "none")
        for one, ending in endings
        if ending.outcome is Outcome.FAILED
    )


def _count_answers(verdicts: Sequence[Verdict]) -> None:
    metrics.REPORTS.count((metrics.engine(one.report.engine_id), one.answer) for one in verdicts)
    metrics.REPORT_RETRIES.count((metrics.engine(one.report.engine_id),) for one in verdicts if one.report.tries > 1)


def _count_delivered(verdicts: Sequence[Verdict]) -> None:
    now = time.monotonic()
    metrics.DELIVERED.count(
        (metrics.engine(one.report.engine_id), one.report.topic, one.report.outcome) for one in verdicts
    )
    metrics.DELIVERY_SECONDS.observe(
        ((metrics.engine(one.report.engine_id),), now - one.report.since) for one in verdicts
    )

"""Who acts in the model: pollers and workers as their loops do it, and a person who looks before she answers."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from django.db.models.functions import Now

from bptl.connections.models import Mapping as TopicMapping
from bptl.engines.base import Engine, EngineError, EngineUnavailable, FetchRequest, TopicRequest
from bptl.tasks import actions, leases
from bptl.tasks.actions import ActionRefused
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer, Report, Verdict, park, send
from bptl.tasks.endings import Ending
from bptl.tasks.execution.claim import Claim, claim
from bptl.tasks.execution.outcomes import HAND_BACK, Doubt, Ended, HandedBack, doubt, store
from bptl.tasks.execution.run import Assignment, run
from bptl.tasks.intake.fetches import abandon, announce, never_sent
from bptl.tasks.intake.record import record
from bptl.tasks.lifecycle import LeaseEnd, TransitionRefused
from bptl.tasks.models import Effect, Lease, ProcessKind, Task
from bptl.tasks.upkeep import processes
from bptl.tasks.upkeep.sweep import sweep
from bptl.work_units.contract import Inputs, Outputs, Sending, Work, WorkUnit, unit_of, work_unit
from tests.integration.model.steps import PausingCancellation, pause
from tests.integration.model.world import GIVES_UP, SETTLES, World

LOCK = timedelta(seconds=300)
KEY = "pay"
WHO: dict[str, Any] = {"actor": "Saskia", "reason": "she looked"}

KINDS = ("reconcilable", "idempotent", "neither")
"""Topics: what can be done when an effect is left open."""


class Nothing(Inputs):
    """No variables."""


class Paid(Outputs):
    """The number of the act."""

    number: int


def units(world: World) -> dict[str, WorkUnit]:
    """A unit for each kind, whose one effect happens at the world's service."""

    def declare(kind: str) -> WorkUnit:
        @work_unit(f"model.{kind}")
        def pay(work: Work, inputs: Nothing) -> Paid:
            """Pay once."""
            task = work.task.external_id

            def effect(sending: Sending) -> int:
                pause()
                # No stop between the check and the call: that is the residual which the promises name.
                sending.check()
                try:
                    return world.service.call(sending, task, idempotent=kind == "idempotent")
                finally:
                    pause()

            def ask() -> Any:
                pause()
                answer = world.service.asked(task)
                pause()
                return answer

            number = work.once(
                KEY,
                effect,
                reconcile=ask if kind == "reconcilable" else None,
                idempotent=kind == "idempotent",
                gives_up_after=GIVES_UP,
                settles_after=SETTLES,
            )
            return Paid(number=number)

        return unit_of(pay)

    return {kind: declare(kind) for kind in KINDS}


@dataclass
class Facts:
    """What the actors share: the surroundings, and what was seen of them."""

    world: World
    engine: Engine
    """The client whose calls are stops."""
    engine_id: int
    mappings: Mapping[str, TopicMapping]
    units: Mapping[str, WorkUnit]
    begun: Counter[uuid.UUID] = field(default_factory=Counter)
    """How often a unit was begun under a lease."""
    begun_tasks: Counter[int] = field(default_factory=Counter)

    def clients(self, engine_id: int) -> Engine:
        """As processes find clients."""
        return self.engine


@dataclass
class Process:
    """An operating-system process of ours: alive, paused (it may go on, with what it knew) or dead."""

    facts: Facts
    kind: ProcessKind
    name: str
    id: uuid.UUID = field(init=False)
    paused: bool = False
    dead: bool = False

    def __post_init__(self) -> None:
        self.id = self._register()

    @property
    def alive(self) -> bool:
        """Whether it can do anything now."""
        return not self.paused and not self.dead

    def _register(self) -> uuid.UUID:
        return processes.register(self.kind, places=0)

    def beat(self) -> None:
        """One heartbeat; a process that was buried alive begins anew."""
        if not processes.beat(self.id):
            self.id = self._register()

    def sweep(self) -> None:
        """One round of upkeep."""
        sweep(self.id, self.facts.clients)


@dataclass
class Poller(Process):
    """Polls; ``ordinal`` tells its line from the other's."""

    ordinal: int = 0

    def poll(self) -> None:
        """One fetch, as a polling line does it."""
        facts = self.facts
        fetch = announce(
            facts.engine_id,
            ordinal=self.ordinal,
            process_id=self.id,
            topics=KINDS,
            wait=timedelta(),
            shortest_lock=LOCK,
            shares=1,
        )
        if fetch is None:
            return
        topics = [TopicRequest(topic=topic, lock_duration=LOCK) for topic in KINDS]
        try:
            found = facts.engine.fetch(
                FetchRequest(worker_id=fetch.worker_id, max_tasks=fetch.max_tasks, topics=topics)
            )
        except EngineUnavailable as error:
            if error.sent and not error.kind:
                abandon(fetch)
            else:
                never_sent(fetch)
            return
        except EngineError:
            never_sent(fetch)
            return
        recorded = record(fetch, found, mappings=facts.mappings, engine=facts.engine)
        for external_id in recorded.refused:
            leases.give_back(external_id, worker_id=fetch.worker_id, engine=facts.engine)


@dataclass
class Worker(Process):
    """Claims, runs, reports, keeps locks."""

    runs: dict[uuid.UUID, PausingCancellation] = field(default_factory=dict)

    def _register(self) -> uuid.UUID:
        return processes.register(self.kind, places=2)

    def beat(self) -> None:
        """One heartbeat; buried alive, it drops what it runs."""
        before = self.id
        super().beat()
        if self.id != before:
            self._cancel(list(self.runs), "declared dead")

    def claim(self, begin: Callable[[Worker, Claim], None]) -> None:
        """Claim what there is and begin to run it."""
        for claimed in claim(self.id, places=2 - len(self.runs)):
            self.runs[claimed.lease_id] = PausingCancellation(self.facts.world.monotonic)
            begin(self, claimed)

    def run(self, claimed: Claim) -> None:
        """Run a unit, store how it ended, report it."""
        facts = self.facts
        facts.begun[claimed.lease_id] += 1
        facts.begun_tasks[claimed.task_id] += 1
        unit = facts.units[claimed.topic]
        assignment = Assignment(claimed, "main", facts.engine, unit, facts.mappings[claimed.topic])
        try:
            ending = run(assignment, self.runs[claimed.lease_id])
        finally:
            del self.runs[claimed.lease_id]
        if isinstance(ending, Doubt):
            doubt(claimed.task_id, claimed.lease_id, ending.reason)
        elif isinstance(ending, HandedBack):
            leases.end([claimed.lease_id], how=LeaseEnd.GIVEN_BACK, reason=ending.reason, offered_after=HAND_BACK)
            leases.give_back(claimed.external_id, worker_id=claimed.worker_id, engine=facts.engine, after=HAND_BACK)
        elif isinstance(ending, Ending) and store(self.id, [Ended(claimed.task_id, claimed.lease_id, ending)]):
            self._deliver(_first_report(claimed, ending))

    def report(self) -> None:
        """Take over what is due, and report it."""
        for report in [*outbox.take_due(self.id), *outbox.take_doubts(self.id)]:
            self._deliver(report)

    def _deliver(self, report: Report) -> None:
        verdict = send(report, self.facts.engine)
        if report.doubt:
            outbox.settle_doubt(verdict)
        elif verdict.answer in {Answer.TAKEN, Answer.ASSUMED}:
            outbox.delivered([verdict])
        elif outbox.settle(self.id, verdict):
            self._park(verdict)

    def _park(self, verdict: Verdict) -> None:
        try:
            park(verdict.report, self.facts.engine, verdict.reason)
        except EngineError as error:
            outbox.settle(self.id, Verdict(verdict.report, Answer.LATER, str(error)))
        else:
            outbox.parked(self.id, verdict)

    def keep(self) -> None:
        """Extend all locks, as the keeper does it."""
        held = leases.held_by(self.id)
        self._cancel([lease for lease in self.runs if lease not in {row.lease_id for row in held}], "it has ended")
        read_at = self.facts.world.monotonic()
        for row in held:
            before = self.facts.world.monotonic()
            if before - read_at >= row.left_ms / 1000:
                self._lose(row.lease_id, LeaseEnd.EXPIRED)
                continue
            try:
                ended = leases.extend(
                    row.external_id, worker_id=row.worker_id, lock_ms=row.lock_ms, engine=self.facts.engine
                )
            except EngineError:
                continue
            if ended is not None:
                self._lose(row.lease_id, ended)
                continue
            elapsed = timedelta(seconds=self.facts.world.monotonic() - before)
            leases.extended([(row.lease_id, row.as_of - elapsed + timedelta(milliseconds=row.lock_ms))])

    def _lose(self, lease_id: uuid.UUID, how: LeaseEnd) -> None:
        self._cancel([lease_id], how)
        leases.end([lease_id], how=how, reason="the engine refused to extend its lock")

    def _cancel(self, lease_ids: list[uuid.UUID], reason: str) -> None:
        for lease_id in lease_ids:
            if lease_id in self.runs:
                self.runs[lease_id].cancel(reason)


def _first_report(claimed: Claim, ending: Ending) -> Report:
    return Report(
        task_id=claimed.task_id,
        engine_id=claimed.engine_id,
        external_id=claimed.external_id,
        topic=claimed.topic,
        lease_id=claimed.lease_id,
        worker_id=claimed.worker_id,
        outcome_id=claimed.lease_id,
        outcome=ending.outcome,
        result=ending.result,
        tries=1,
        refusals=0,
        by_author=True,
    )


class Person:
    """Does what the pages offer; asked about an effect, she looks at the service and answers the truth."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def offers(self) -> list[tuple[str, Callable[[], object]]]:
        """What she could do now."""
        found = [
            (f"{name} {task.id}", partial(self.act, name, task.id))
            for task in Task.objects.order_by("id")
            for name in actions.possible(task)
        ]
        open_effects = Effect.objects.filter(end="", task__status="uncertain").order_by("id")
        return found + [(f"settle {effect.id}", partial(self.settle, effect.id)) for effect in open_effects]

    def act(self, name: str, task_id: int) -> None:
        """One action; a refusal is an answer too."""
        try:
            match name:
                case "retry":
                    actions.retry(task_id, **WHO)
                case "deliver_again":
                    actions.deliver_again(task_id, **WHO)
                case "complete":
                    actions.complete_by_hand(task_id, {"by_hand": True}, **WHO)
                case "give_up":
                    actions.give_up(task_id, **WHO)
                case "hand_back":
                    actions.hand_back(task_id, **WHO)
        except (ActionRefused, TransitionRefused, EngineError, Lease.DoesNotExist):
            return

    def settle(self, effect_id: int) -> bool:
        """Say what became of an open effect; False when nobody wants to know (yet), or she cannot know yet.

        A call may still be under way until its settle time: she says *no* only after that.
        """
        task = Task.objects.get(effects=effect_id)
        settled = Effect.objects.filter(id=effect_id, settles_at__lte=Now()).exists()
        happened = self._facts.world.service.asked(task.external_id)
        if happened is None and not settled:
            return False
        try:
            actions.settle_effect(
                effect_id, happened=happened is not None, result=happened.result if happened else None, **WHO
            )
        except ActionRefused:
            return False
        return True

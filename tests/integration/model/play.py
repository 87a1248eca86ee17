"""One play: who is there, what is under way, how a step is taken and looked at, and how everything recovers."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar, cast

import pytest
from django.db import transaction

from bptl.connections.models import Engine as EngineRow
from bptl.connections.models import Mapping as TopicMapping
from bptl.engines.base import Engine
from bptl.tasks import effects
from bptl.tasks.execution.claim import Claim
from bptl.tasks.models import Effect, Event, ProcessKind
from bptl.tasks.upkeep import sweep
from tests.integration.model.actors import Facts, Person, Poller, Process, Worker, units
from tests.integration.model.invariants import Seen, check
from tests.integration.model.steps import Operation, PausingEngine, pauses_between_statements
from tests.integration.model.world import ModelTime, StillEngine, World

P = TypeVar("P", bound=Process)

TO_THE_END = 1000
"""More stops than any operation has."""

ROUNDS = 40
"""So often everybody may have a turn until everything must have come to rest."""

ROUND_SECONDS = 61


class Play:
    """One example. Its rows live in a transaction that is rolled back, so PostgreSQL's clock stands still."""

    def __init__(self, there: StillEngine, row: EngineRow, client: Engine) -> None:
        self._stack = ExitStack()
        self._atomic = transaction.atomic()
        self._atomic.__enter__()
        self._stack.enter_context(pauses_between_statements())
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        numbers = itertools.count(1)
        # Rows are ordered by their ids here and there: an example must be the same when it is repeated.
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers), version=4))
        there.reset()
        self.there = there
        self.world = World(there, client)
        for module in (effects, sweep):
            patch.setattr(module, "time", ModelTime(self.world))
        mappings = {mapping.topic: mapping for mapping in TopicMapping.objects.select_related("engine")}
        stopping = cast(Engine, PausingEngine(client))
        self.facts = Facts(self.world, stopping, row.pk, mappings, units(self.world))
        self.person = Person(self.facts)
        self.pollers: list[Poller] = []
        self.workers: list[Worker] = []
        self.under_way: list[tuple[Operation, Process | None]] = []
        self._graves: list[Operation] = []
        self.created: list[str] = []
        self.broken = False
        """An invariant does not hold: there is no use in going on."""
        self._seen = Seen.now()
        self.replace_dead()
        self.pass_time(60)

    def close(self) -> None:
        """Forget all rows, then unwind what was cut off."""
        transaction.set_rollback(True)
        self._atomic.__exit__(None, None, None)
        for operation in [*self._graves, *(operation for operation, _ in self.under_way)]:
            operation.discard()
        self._stack.close()

    # time and processes

    @property
    def processes(self) -> list[Process]:
        """Everybody who is not dead."""
        return [process for process in (*self.pollers, *self.workers) if not process.dead]

    def pass_time(self, seconds: float) -> None:
        """Everybody who can beats meanwhile."""
        self.world.advance(seconds, beating=[str(process.id) for process in self.processes if process.alive])
        self.look()

    def one(self, processes: Sequence[P], which: int) -> P | None:
        """One of those that can do something."""
        alive = [process for process in processes if process.alive]
        return alive[which % len(alive)] if alive else None

    def kill(self, process: Process) -> None:
        """kill -9: what it was doing stops where it is."""
        process.dead = True
        self._graves += [operation for operation, by in self.under_way if by is process]
        self.under_way = [(operation, by) for operation, by in self.under_way if by is not process]

    def replace_dead(self) -> None:
        """Somebody starts new processes for those that are gone."""
        self.pollers = [process for process in self.pollers if not process.dead]
        self.workers = [process for process in self.workers if not process.dead]
        while len(self.pollers) < 2:
            number = len(self.pollers)
            self.pollers.append(Poller(self.facts, ProcessKind.POLL, f"poller {number}", ordinal=number))
        while len(self.workers) < 2:
            self.workers.append(Worker(self.facts, ProcessKind.WORK, f"worker {len(self.workers)}"))

    # steps

    def create(self, kind: str) -> None:
        """An instance reaches its external task."""
        self.created.append(self.there.add(kind).id)

    def start(self, process: Process | None, what: str, work: Callable[[], object], far: int) -> None:
        """Begin something and take its first ``far`` steps."""
        operation = Operation(f"{process.name if process else 'person'}: {what}", work)
        self.under_way.append((operation, process))
        self.walk(operation, far)

    def do(self, process: Process | None, what: str, far: int = TO_THE_END) -> None:
        """Let a process begin one of its own operations."""
        if process is not None:
            self.start(process, what, getattr(process, what), far)

    def claim(self, worker: Worker | None, far: int = TO_THE_END) -> None:
        """Let a worker claim and begin to run."""
        if worker is not None:
            self.start(worker, "claim", partial(worker.claim, self._begin_run), TO_THE_END)
            for operation in [operation for operation, by in self.under_way if by is worker and not operation]:  # type: ignore[truthy-bool]
                self.walk(operation, far)

    def go_on(self, which: int, far: int) -> None:
        """Something that is under way goes on."""
        able = [operation for operation, by in self.under_way if by is None or by.alive]
        if able:
            self.walk(able[which % len(able)], far)

    def person_acts(self, which: int, far: int) -> None:
        """A person does one of the things that she is offered."""
        offers = self.person.offers()
        if offers:
            name, act = offers[which % len(offers)]
            self.start(None, name, act, far)

    def take_over(self, which: int, far: int) -> None:
        """A worker falls silent for longer than its heartbeat, or than its locks, and the others go on without it."""
        silent = self.one(self.workers, which)
        if silent is None:
            return
        silent.paused = True
        self.pass_time((20, 301, 40)[which % 3])
        self.everybody_else_works(far)

    def come_back(self, which: int, far: int) -> None:
        """A paused process goes on with all that it was doing, knowing nothing of what happened meanwhile."""
        self.disturb(which, "continued")
        for operation, by in list(self.under_way):
            if by is not None and by.alive:
                self.walk(operation, far)

    def everybody_else_works(self, far: int) -> None:
        """All that are not paused have a turn; what they begin to run goes ``far``."""
        for process in self.processes:
            if process.alive:
                self.do(process, "beat")
        self.do(self.one(self.workers, 0), "sweep")
        for poller in self.pollers:
            self.do(self.one([poller], 0), "poll")
        for worker in self.workers:
            self.do(self.one([worker], 0), "report")
            self.claim(self.one([worker], 0), far)

    def disturb(self, which: int, how: str) -> None:
        """A process is killed, paused or continued."""
        able = [process for process in self.processes if process.paused == (how == "continued")]
        if able:
            process = able[which % len(able)]
            if how == "killed":
                self.kill(process)
            else:
                process.paused = how == "paused"

    def change_instance(self, which: int, how: str) -> None:
        """An instance is cancelled, suspended or activated."""
        if self.there.tasks:
            task = list(self.there.tasks.values())[which % len(self.there.tasks)]
            if how == "cancelled":
                self.there.remove(task)
            else:
                task.suspended = how == "suspended"

    def carry_out(self, which: int) -> None:
        """A call arrives at the engine long after its sender has given it up."""
        if self.there.late:
            self.there.late.pop(which % len(self.there.late))()
            self.look()

    def _begin_run(self, worker: Worker, claimed: Claim) -> None:
        operation = Operation(f"{worker.name}: run {claimed.task_id}", partial(worker.run, claimed))
        self.under_way.append((operation, worker))

    def walk(self, operation: Operation, far: int) -> None:
        """Take ``far`` steps of one operation, unless it waits for time to pass; look after each."""
        self.world.tick()
        for _ in range(far):
            operation.step()
            self.look()
            if operation.dead:
                self.under_way = [(other, by) for other, by in self.under_way if other is not operation]
            if operation.dead or operation.asleep:
                return

    def look(self) -> None:
        """All invariants."""
        before, self._seen = self._seen, Seen.now()
        self.broken = True
        check(self.facts, before, self._seen)
        self.broken = False

    # the end

    def recover(self) -> None:
        """No more faults, everybody goes on: all tasks come to rest, and a person's answers bring them to their end."""
        self.there.heal()
        self.world.service.manners.clear()
        for process in self.processes:
            process.paused = False
        self.pass_time(ROUND_SECONDS)
        self._until(self._at_rest)
        for row in self._seen.tasks.values():
            if row.status == "uncertain":
                open_effects = Effect.objects.filter(task_id=row.id, end="").order_by("id")
                answered = [self.person.settle(effect.id) for effect in open_effects]
                assert all(answered)
            elif row.status == "performed":
                self.person.act("deliver_again", row.id)
        self.look()
        self._until(self._ended)
        for row in self._seen.tasks.values():
            if (row.status, row.outcome) == ("delivered", "completed") and "number" in row.result["variables"]:
                assert self.world.service.number_of(row.external_id), f"completed, but its effect never happened: {row}"
            if row.status == "lost":
                assert Event.objects.filter(task_id=row.id, name__in=["task.lost", "task.gone", "lease.ended"]).exists()

    def _until(self, reached: Callable[[Any], bool]) -> None:
        for _ in range(ROUNDS):
            rows = {row.external_id: row for row in self._seen.tasks.values()}
            waiting = [task for task in self.created if task in self.there.tasks or task in rows]
            if not self.under_way and all(task in rows and reached(rows[task]) for task in waiting):
                return
            self._round()
        raise AssertionError(f"not at rest: {[row for row in self._seen.tasks.values() if not reached(row)]}")

    def _round(self) -> None:
        for operation, _ in list(self.under_way):
            self.walk(operation, TO_THE_END)
        self.pass_time(ROUND_SECONDS)
        self.replace_dead()
        for process in self.processes:
            self.do(process, "beat")
        self.do(self.workers[0], "sweep")
        for worker in self.workers:
            self.do(worker, "keep")
        for poller in self.pollers:
            self.do(poller, "poll")
        for worker in self.workers:
            self.claim(worker)
            self.do(worker, "report")

    def _at_rest(self, row: Any) -> bool:
        match row.status:
            case "uncertain":
                # A person is asked: there is a question, and nobody fetches the task meanwhile.
                asked = any(e.task_id == row.id and not e.end for e in self._seen.effects.values())
                gone = row.lease_id is None and row.external_id not in self.there.tasks
                return asked and (row.parked or gone)
            case "performed":
                return bool(row.parked and row.report_error)
        return self._ended(row)

    def _ended(self, row: Any) -> bool:
        there = self.there.tasks.get(row.external_id)
        match row.status:
            case "delivered" if row.outcome == "failed":
                return there is None or there.retries == 0
            case "delivered" | "lost":
                return there is None
        return False

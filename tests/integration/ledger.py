"""What a case of the ledger works with: a service that counts what really happened, leases that follow each other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from bptl.tasks import leases
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import send
from bptl.tasks.effects import Ledger
from bptl.tasks.execution.claim import Claim, claim
from bptl.tasks.execution.outcomes import doubt
from bptl.tasks.execution.work import Cancellation
from bptl.tasks.lifecycle import LeaseEnd
from bptl.tasks.models import Effect
from bptl.tasks.upkeep.sweep import sweep
from bptl.work_units.contract import Happened, Sending, Uncertain
from tests.doubles.engine import ExternalTask
from tests.integration.scene import Scene, due_now

KEY = "create-zaak"

Do = Callable[[Sending], Any]


@dataclass
class Service:
    """An outside service. ``created`` holds what it was asked to create, by idempotency key, in order."""

    created: list[str] = field(default_factory=list)
    asked: int = 0

    def create(self, sending: Sending) -> Any:
        """It happens and answers."""
        sending.check()
        self.created.append(sending.idempotency_key)
        return self.answer()

    def create_and_fall_silent(self, sending: Sending) -> Any:
        """It happens and the answer is lost."""
        self.create(sending)
        raise TimeoutError("no answer in 30 s")

    def find(self) -> Happened | None:
        """What it says when it is asked whether it happened."""
        self.asked += 1
        return Happened(self.answer()) if self.created else None

    def answer(self) -> Any:
        """The answer to the last creation."""
        return {"url": f"https://zaken/{len(self.created)}"}


def silent(sending: Sending) -> Any:
    """An effect of which nobody knows whether it happened; it did not."""
    raise TimeoutError("no answer in 30 s")


@dataclass
class Run:
    """One run of a unit under one lease; ``slept`` holds the waits (seconds) that the ledger asked for."""

    claim: Claim
    cancellation: Cancellation = field(default_factory=Cancellation)
    slept: list[float] = field(default_factory=list)

    def once(
        self,
        effect: Do,
        *,
        key: str = KEY,
        arguments: Mapping[str, Any] | None = None,
        reconcile: Callable[[], Happened | None] | None = None,
        idempotent: bool = False,
        gives_up_after: timedelta = timedelta(seconds=30),
        settles_after: timedelta = timedelta(seconds=2),
    ) -> Any:
        """As a unit's ``work.once``, except that it does not really wait."""
        ledger = Ledger(
            self.claim.task_id,
            self.claim.lease_id,
            self.claim.external_id,
            sleep=self.slept.append,
            check=self.cancellation.check,
        )
        return ledger.once(
            key,
            effect,
            arguments=arguments or {},
            reconcile=reconcile,
            idempotent=idempotent,
            gives_up_after=gives_up_after,
            settles_after=settles_after,
        )

    def left_open(self, *, key: str = KEY, **given: Any) -> Uncertain:
        """An effect whose answer is lost and that nobody can be asked about."""
        with pytest.raises(Uncertain) as uncertain:
            self.once(silent, key=key, **given)
        return uncertain.value


def first_run(scene: Scene, process_id: uuid.UUID | None = None) -> Run:
    """A new task, claimed."""
    return Run(scene.claimed(process_id or scene.process()))


def end_lease(scene: Scene, run: Run) -> None:
    """Its lock runs out, here and at the engine; what still runs does not know it yet."""
    assert leases.end([run.claim.lease_id], how=LeaseEnd.EXPIRED, reason="its lock ran out")
    scene.there.tasks[run.claim.external_id].locked_until = scene.there.now() - 1


def next_run(scene: Scene, run: Run, process_id: uuid.UUID | None = None) -> Run:
    """The lease of ``run`` ends and the next one begins."""
    end_lease(scene, run)
    return fetched_again(scene, run, process_id)


def fetched_again(scene: Scene, run: Run, process_id: uuid.UUID | None = None) -> Run:
    """The task is fetched and claimed under a new lease."""
    process_id = process_id or scene.process()
    assert run.claim.external_id in scene.fetch(process_id).leased
    (claimed,) = [found for found in claim(process_id, places=64) if found.task_id == run.claim.task_id]
    return Run(claimed)


def note_doubt(run: Run, error: Uncertain) -> None:
    """The unit ended with it."""
    assert doubt(run.claim.task_id, run.claim.lease_id, str(error))


def park(scene: Scene, process_id: uuid.UUID | None = None) -> int:
    """A process tells the engine of uncertain tasks; how many it told."""
    reports = outbox.take_doubts(process_id or scene.process())
    for report in reports:
        outbox.settle_doubt(send(report, scene.engine))
    return len(reports)


def parked(scene: Scene, *keys: str) -> Run:
    """The run of a task that is uncertain about effects of these keys, parked at its engine."""
    run = first_run(scene)
    for key in keys or (KEY,):
        error = run.left_open(key=key)
    note_doubt(run, error)
    assert park(scene) == 1
    return run


def row(run: Run, key: str = KEY) -> Effect:
    """The row of an effect under the lease of ``run``."""
    return Effect.objects.get(task_id=run.claim.task_id, key=key, lease_id=run.claim.lease_id)


def ends(run: Run, key: str = KEY) -> list[str]:
    """How the intents of one effect of a task ended, in order."""
    return list(Effect.objects.filter(task_id=run.claim.task_id, key=key).order_by("id").values_list("end", flat=True))


def doubtful(scene: Scene) -> Run:
    """A task that is uncertain; its engine does not know it yet."""
    run = first_run(scene)
    note_doubt(run, run.left_open())
    return run


def external(scene: Scene, run: Run) -> ExternalTask:
    """What the engine's double holds of its task."""
    return scene.there.tasks[run.claim.external_id]


def look(scene: Scene, run: Run) -> None:
    """The sweep comes round."""
    due_now(run.claim)
    sweep(scene.process(), scene.clients)

"""Reports as a worker makes them."""

from __future__ import annotations

import uuid

from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Report, Verdict, send
from bptl.tasks.execution.claim import Claim
from bptl.tasks.lifecycle import Outcome
from bptl.tasks.models import Task
from tests.integration.scene import Scene, due_now


def first_report(claimed: Claim, task: Task) -> Report:
    """The report that begins with the storing of an outcome."""
    assert task.result is not None
    return Report(
        task_id=task.id,
        engine_id=task.engine_id,
        external_id=task.external_id,
        topic=task.topic,
        lease_id=claimed.lease_id,
        worker_id=claimed.worker_id,
        outcome_id=claimed.lease_id,
        outcome=Outcome(task.outcome),
        result=task.result,
        tries=1,
        refusals=0,
        by_author=True,
    )


def deliver(scene: Scene, worker: uuid.UUID, report: Report) -> Verdict:
    """One try, noted."""
    verdict = send(report, scene.engine)
    assert not outbox.settle(worker, verdict)
    return verdict


def due(worker: uuid.UUID, task: Task | Claim) -> list[Report]:
    """What the worker may report now that the time of this task has come."""
    due_now(task)
    return outbox.take_due(worker)

"""What the road reads does not grow with the tables, even by plans that were made when they were empty."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.db import connection

from bptl.tasks import sessions, sql
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer, Verdict
from bptl.tasks.execution.claim import Claim, claim
from bptl.tasks.execution.outcomes import Ended, store
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Lease, Task
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, completed, fresh, lease_of
from tests.integration.tasks.reports import first_report

DONE = 500
"""Tasks that were delivered before."""

MUCH = DONE // 5
"""Rows that no statement for a few tasks comes near, and that every walk of a table passes."""

_READ = """
SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::int AS rows
FROM pg_stat_xact_user_tables WHERE relname IN ('tasks_task', 'tasks_lease')
"""


@pytest.fixture
def old_plans(scene: Scene) -> None:
    """Plans as a process of the road keeps them: made once, for whatever values come."""
    sessions.walk_indexes(connection)
    connection.ensure_connection()
    connection.connection.prepare_threshold = 0
    sql.query("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")


def rows_read(step: Callable[[], object]) -> int:
    before: int = sql.query(_READ)[0].rows
    step()
    after: int = sql.query(_READ)[0].rows
    return after - before


def done_before(scene: Scene, there: FakeEngine) -> None:
    external = there.add()
    task = scene.task(Status.DELIVERED, Outcome.COMPLETED, external=external)
    there.remove(external)
    lease = lease_of(task)
    tasks, leases = [], []
    for _ in range(DONE):
        lease_id = uuid.uuid4()
        fields = {name: getattr(task, name) for name in _names(Task) - {"id", "external_id", "last_lease_id"}}
        tasks.append(Task(**fields, external_id=str(uuid.uuid4()), last_lease_id=lease_id))
    for made in Task.objects.bulk_create(tasks):
        fields = {name: getattr(lease, name) for name in _names(Lease) - {"id", "task_id"}}
        leases.append(Lease(**fields, id=made.last_lease_id, task_id=made.id))
    Lease.objects.bulk_create(leases)


def _names(model: type[Task | Lease]) -> set[str]:
    return {field.attname for field in model._meta.concrete_fields}


def test_a_task_reads_a_few_rows_however_many_were_done_before(
    scene: Scene, there: FakeEngine, old_plans: None
) -> None:
    process = scene.process(places=8)
    walk(scene, there, process)  # The plans are made now, for next to empty tables.
    done_before(scene, there)
    read = walk(scene, there, process)
    assert Task.objects.filter(status=Status.DELIVERED).count() == DONE + 9
    assert max(read.values()) < MUCH, read


def walk(scene: Scene, there: FakeEngine, process: uuid.UUID) -> dict[str, int]:
    """Four new tasks from fetch to delivery; answers the rows that each step read."""
    for _ in range(4):
        there.add()
    fetch = scene.announced(process)
    answer = scene.ask(fetch)
    claims: list[Claim] = []
    return {
        "record": rows_read(lambda: scene.record(fetch, answer)),
        "claim": rows_read(lambda: claims.extend(claim(process, places=8))),
        "store": rows_read(lambda: store(process, [Ended(one.task_id, one.lease_id, completed()) for one in claims])),
        "deliver": rows_read(
            lambda: outbox.delivered(Verdict(first_report(one, fresh(one)), Answer.TAKEN) for one in claims)
        ),
    }

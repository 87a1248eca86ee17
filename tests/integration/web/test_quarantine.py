"""The page of quarantine: which tasks lie there, what they cost, and what to do."""

from __future__ import annotations

import re
from datetime import timedelta

from django.db.models.functions import Now
from django.test import Client

from bptl.tasks import quarantine
from bptl.tasks.models import Lease, Process, Task
from tests.integration.web.conftest import MakeTask


def text(client: Client, address: str = "/quarantine/") -> str:
    """A page without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", client.get(address).content.decode()).split())


def poisonous(make_task: MakeTask, **fields: object) -> Task:
    result = {"message": "quarantined: …", "details": "", "retries": 0, "wait_ms": 0, "unit": "demo.quick"}
    return make_task("delivered", "failed", result=result, crashes=2, quarantined_at=Now(), **fields)


def died(task: Task, process: Process, number: int, **fields: object) -> None:
    """One more lease of a task, whose process died unless ``fields`` say otherwise."""
    values = {"ended_as": "process_dead", "ended_at": Now(), "claimed_at": Now() - timedelta(minutes=1), **fields}
    Lease.objects.create(
        task=task, number=number, worker_id=f"bptl-{task.pk}-{number}", fetch_number=1, holder=process, lock_ms=1000,
        locked_until=Now(), **values,
    )  # fmt: skip


def test_each_task_is_shown_with_the_processes_that_it_cost(
    reader: Client, make_task: MakeTask, worker: Process
) -> None:
    task = poisonous(make_task)
    died(task, worker, 11)
    died(task, worker, 12, ended_as="delivered", performed_at=Now(), outcome="failed", error={"wrote_off": True})
    page = text(reader)
    assert f"{task.topic} {task.pk}" in page
    assert f"the process died ( {worker.host}:{worker.pid} )" in page
    assert f"ran too long, place written off ( {worker.host}:{worker.pid} )" in page
    assert f'href="/tasks/{task.pk}/"' in reader.get("/quarantine/").content.decode()


def test_only_the_deaths_that_count_are_shown(make_task: MakeTask, worker: Process) -> None:
    task = poisonous(make_task)
    for number in (11, 12, 13, 14):
        died(task, worker, number)
    died(task, worker, 15, claimed_at=None)
    died(task, worker, 16, ended_as="delivered", performed_at=Now(), outcome="failed", error={"message": "no"})
    (found,) = quarantine.page()
    assert [death.attempt for death in found.deaths] == [13, 14], "a person's retry came before"


def test_what_was_retried_or_failed_of_something_else_is_not_there(reader: Client, make_task: MakeTask) -> None:
    make_task("delivered", "failed", crashes=1)
    make_task("queued", "", crashes=2, quarantined_at=Now())
    assert "No task lies in quarantine." in text(reader)
    assert not quarantine.exists()


def test_the_overview_and_the_incidents_lead_there_while_a_task_lies_there(reader: Client, make_task: MakeTask) -> None:
    for address in ("/", "/incidents/"):
        assert 'href="/quarantine/"' not in reader.get(address).content.decode()
    poisonous(make_task)
    for address in ("/", "/incidents/"):
        assert 'href="/quarantine/"' in reader.get(address).content.decode()


def test_it_goes_on_by_pages_and_reads_no_more_than_one(reader: Client, make_task: MakeTask) -> None:
    tasks = [poisonous(make_task) for _ in range(52)]
    first = reader.get("/quarantine/").content.decode()
    assert f'href="/quarantine/?before={tasks[2].pk}"' in first
    second = text(reader, f"/quarantine/?before={tasks[2].pk}")
    assert [task.pk for task in tasks if f"{task.topic} {task.pk} " in second] == [tasks[0].pk, tasks[1].pk]
    assert reader.get("/quarantine/?before=nonsense").status_code == 302

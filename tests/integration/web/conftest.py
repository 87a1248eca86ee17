"""People who look, and rows of the heart as they are after its moves."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from bptl.accounts import people
from bptl.accounts.audit import By
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.connections.models import Engine, Mapping
from bptl.tasks.models import Lease, Process, Task

MakeTask = Callable[..., Task]


@pytest.fixture
def main_engine(db: None) -> Engine:
    return Engine.objects.create(name="main", address="http://127.0.0.1:1/engine-rest/", authentication="none")


@pytest.fixture
def reader(db: None) -> Client:
    """A viewer, who reads English."""
    return somebody(Role.VIEWER)


@pytest.fixture
def operator(db: None) -> Client:
    """An operator, who reads English."""
    return somebody(Role.OPERATOR)


def somebody(role: Role | None) -> Client:
    """A client of somebody with this role, who reads English."""
    user = User.objects.create_user(role or "newcomer")
    if role:
        people.set_role(user, role, by=By("test"))
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(user)
    return client


@pytest.fixture
def worker(db: None) -> Process:
    return Process.objects.create(kind="work", host="node-1", pid=42, places=16)


@pytest.fixture
def make_task(main_engine: Engine, worker: Process) -> MakeTask:
    """Make a task with its one lease; ``status`` and ``outcome`` as the lifecycle allows them."""
    mapping = Mapping.objects.create(engine=main_engine, topic="permit", unit="demo.quick")

    def make(status: str = "delivered", outcome: str = "completed", **fields: Any) -> Task:
        lease_id = uuid.uuid4()
        held = status in {"queued", "running"}
        if status in {"queued", "running", "uncertain", "returned"}:
            outcome = ""
        result = fields.pop("result", {"variables": {}} if outcome else None)
        task = Task.objects.create(
            **{
                "engine": main_engine,
                "external_id": str(uuid.uuid4()),
                "topic": "permit",
                "mapping": mapping,
                "status": status,
                "outcome": outcome,
                "outcome_id": lease_id if outcome else None,
                "result": result,
                "lease_id": lease_id if held else None,
                "last_lease_id": lease_id,
                "process_definition_id": "permit:1:abc",
                "process_definition_key": "permit",
                "activity_id": "decide",
                **fields,
            }
        )
        error = {key: value for key, value in (result or {}).items() if key != "variables"}
        Lease.objects.create(
            id=lease_id,
            task=task,
            number=1,
            worker_id=f"bptl-{uuid.uuid4()}",
            fetch_number=1,
            holder=worker,
            lock_ms=300_000,
            locked_until=Now(),
            claimed_at=Now() if status != "queued" else None,
            performed_at=Now() if outcome else None,
            outcome=outcome,
            error=error or None,
            ended_at=None if held else Now(),
            ended_as="" if held else "delivered",
        )
        return task

    return make

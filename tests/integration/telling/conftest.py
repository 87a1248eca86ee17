"""A mapping with an owner, a fleet that lives, a mail server and a receiver of webhooks, both real."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from bptl.connections.models import Engine, Mapping
from bptl.tasks.error_groups import group_of
from bptl.tasks.models import Process, Task
from tests.doubles.mailbox import Mailbox
from tests.doubles.webhook import Receiver

SECRET = "een-geheim-van-de-ontvanger"
OWNER = "vergunningen@example.nl"
FALLBACK = "beheer@example.nl"
Fail = Callable[..., list[Task]]


@pytest.fixture
def fleet(db: None) -> None:
    for kind in ("work", "poll", "beat"):
        Process.objects.create(kind=kind, host="node-1", pid=1, places=4)


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(name="main", address="http://127.0.0.1:1/engine-rest/", authentication="none")


@pytest.fixture
def mapping(engine: Engine, fleet: None) -> Mapping:
    """Owned by a team that reads mail."""
    return Mapping.objects.create(
        engine=engine, topic="permit", unit="demo.quick", owner_name="Vergunningen", owner_mail=[OWNER]
    )


@pytest.fixture(autouse=True)
def post(settings: Settings, mailbox: Mailbox) -> Mailbox:
    """The mail server of the settings; what nobody owns goes to the installation's address."""
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", mailbox.port, 5
    settings.BPTL_INCIDENT_MAIL = [FALLBACK]
    settings.BPTL_INCIDENT_WEBHOOK = settings.BPTL_INCIDENT_WEBHOOK_SECRET = ""
    settings.BPTL_INCIDENT_LANGUAGE, settings.BPTL_PAGES_URL = "en", "https://bptl.example.nl/"
    settings.BPTL_INCIDENT_DIGEST, settings.BPTL_INCIDENT_TELL_END = "hourly", True
    settings.BPTL_WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    return mailbox


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as running:
        yield running


@pytest.fixture
def fail(mapping: Mapping) -> Fail:
    """Let tasks fail with this message; ``retries`` left."""

    def do(number: int = 1, *, message: str = "zaak 12 is closed", retries: int = 0, **fields: Any) -> list[Task]:
        group = group_of(mapping.unit, message)
        result = {"message": message, "details": "Traceback", "retries": retries, "wait_ms": 0, "unit": mapping.unit}
        values = {
            "engine": mapping.engine,
            "topic": mapping.topic,
            "mapping": mapping,
            "status": "delivered",
            "outcome": "failed",
            "result": result,
            "error_group": group.key,
            "variables": {"bsn": {"type": "String", "value": "123456782", "valueInfo": {}}},
            **fields,
        }
        made = [Task(external_id=str(uuid.uuid4()), last_lease_id=uuid.uuid4(), **values) for _ in range(number)]
        for task in made:
            task.outcome_id = uuid.uuid4() if task.outcome else None
        return Task.objects.bulk_create(made)

    return do


def go_on(task: Task) -> None:
    """It is retried: the engine offered it, and it is done now."""
    Task.objects.filter(pk=task.pk).update(
        status="delivered", outcome="completed", outcome_id=uuid.uuid4(), result={"variables": {}}, changed_at=Now()
    )

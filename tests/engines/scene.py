"""What a contract case works with: a running engine, our client as three users, the wire itself, and the test clock."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from bptl.engines.base import Engine as LeftBank
from bptl.engines.base import ExternalTask, FetchRequest, Instance, TopicRequest
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.camunda7.credentials import Basic, Credentials
from bptl.engines.variables import Variable, encode_all
from bptl.lib.http import Answer, HttpClient
from stage.operaton import ADMINISTRATOR, Engine
from stage.sandbox import Sandbox
from tests.engines.not_in_sandbox import REFUSED_MODELS

MODELS = Path(__file__).parent / "models"
TENANTS = ("north", "south")
"""Tenants of which the worker is a member; it is none of FOREIGN_TENANT."""
FOREIGN_TENANT = "east"

# Exactly what the founding page gives a worker, and a user who may look only.
WORKER = ("worker", ("READ", "UPDATE", "UPDATE_VARIABLE"))
READER = ("reader", ("READ",))
STRANGER: tuple[str, tuple[str, ...]] = ("stranger", ())
FORGETFUL: tuple[str, tuple[str, ...]] = ("forgetful", ())
PROCESS_DEFINITION, PROCESS_INSTANCE, BATCH = 6, 8, 13

LOCK = timedelta(minutes=5)
PATIENCE = 60.0
"""Seconds in which jobs of the engine must have run."""

Result = TypeVar("Result")


class Wire:
    """Plain requests, for cases about what travels."""

    def __init__(self, url: str, credentials: Credentials | None) -> None:
        self._http = HttpClient(url, timeout=60)
        self._headers = {"Authorization": credentials.header()} if credentials else {}

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        """One request; every status is an answer."""
        return self._http.request(method, path, json_body=body, headers=self._headers)

    def good(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer that must be a success; None without a body."""
        answer = self.send(method, path, body)
        assert answer.status in {200, 204}, f"{method} {path}: {answer.status} {answer.text}"
        return json.loads(answer.body) if answer.body else None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class House:
    """One engine process with our users and models in it."""

    def __init__(self, engine: Engine | Sandbox) -> None:
        self.engine = engine
        self.clients: list[Camunda7] = []
        self.admin = self.client(*ADMINISTRATOR)
        self.wire = Wire(engine.url, Basic(*ADMINISTRATOR))
        self.control = Wire(engine.url.removesuffix("/engine-rest"), None)

    def client(self, username: str, password: str | None = None, *, timeout: float = 30.0) -> Camunda7:
        """Our client as this user (seconds of patience); passwords of our own users are their names."""
        credentials = Basic(username, password or username)
        self.clients.append(Camunda7(self.engine.url, credentials=credentials, timeout=timeout))
        return self.clients[-1]

    def furnish(self) -> None:
        """Deploy the models (one also for each tenant), create the users and the tenants."""
        for model in sorted(MODELS.glob("*.bpmn")):
            if isinstance(self.engine, Sandbox) and model.name in REFUSED_MODELS:
                continue
            self.admin.deploy(model.stem, {model.name: model.read_bytes()})
        for tenant in (*TENANTS, FOREIGN_TENANT):
            self.wire.good("POST", "tenant/create", {"id": tenant, "name": tenant})
            self.admin.deploy("one", {"one.bpmn": (MODELS / "one.bpmn").read_bytes()}, tenant_id=tenant)
        for name, permissions in (WORKER, READER, STRANGER, FORGETFUL):
            self.engine.rest.create_user(name, password=name)
            if permissions:
                self.engine.rest.grant(name, resource_type=PROCESS_INSTANCE, permissions=permissions)
        for tenant in TENANTS:
            self.wire.good("PUT", f"tenant/{tenant}/user-members/{WORKER[0]}")

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.close()
        self.wire.close()
        self.control.close()


@dataclass
class Scene:
    """One case: its own topic in a shared engine. ``worker`` has exactly the rights that a deployment gives BPTL."""

    house: House
    worker: LeftBank
    reader: LeftBank
    stranger: LeftBank
    topic: str = field(default_factory=lambda: f"topic-{uuid.uuid4().hex[:12]}")
    offset: timedelta = timedelta()
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=16))

    @property
    def admin(self) -> LeftBank:
        """Our client as the engine's administrator."""
        return self.house.admin

    @property
    def wire(self) -> Wire:
        """Plain requests as administrator, relative to the REST root."""
        return self.house.wire

    def start(
        self,
        key: str = "one",
        *,
        business_key: str | None = None,
        tenant_id: str | None = None,
        priority: int = 0,
        **values: object,
    ) -> Instance:
        """Start an instance whose external tasks have this scene's topic."""
        variables = encode_all({"topic": self.topic, "priority": priority, **values})
        return self.admin.start(key=key, business_key=business_key, tenant_id=tenant_id, variables=variables)

    def request(
        self,
        *,
        worker_id: str | None = None,
        maximum: int = 10,
        wait: timedelta | None = None,
        lock: timedelta = LOCK,
        use_priority: bool = True,
        oldest_first: bool = False,
        **filters: Any,
    ) -> FetchRequest:
        """A fetch of this scene's topic."""
        return FetchRequest(
            worker_id=worker_id or new_worker_id(),
            max_tasks=maximum,
            topics=[TopicRequest(topic=self.topic, lock_duration=lock, **filters)],
            wait=wait,
            use_priority=use_priority,
            oldest_first=oldest_first,
        )

    def fetch(self, **options: Any) -> Sequence[ExternalTask]:
        """Fetch as the worker."""
        return self.worker.fetch(self.request(**options))

    def fetch_one(self, **options: Any) -> ExternalTask:
        """Fetch the one task that there is."""
        [task] = self.fetch(**options)
        return task

    def started_task(self, key: str = "one", *, lock: timedelta = LOCK, **values: Any) -> tuple[ExternalTask, str]:
        """Start an instance and fetch its task: the task and the worker id that holds it."""
        self.start(key, **values)
        worker_id = new_worker_id()
        return self.fetch_one(worker_id=worker_id, lock=lock), worker_id

    def complete(self, task: ExternalTask, worker_id: str | None = None, **values: object) -> None:
        """Complete as the worker, by default under the lease that the task names."""
        holder = worker_id or task.worker_id
        assert holder
        self.worker.complete(task.id, worker_id=holder, variables=encode_all(values))

    def handed_over(self, **variables: Variable) -> ExternalTask:
        """The second task of the model ``two`` after the first was completed with ``variables``."""
        task, worker_id = self.started_task("two")
        self.worker.complete(task.id, worker_id=worker_id, variables=variables)
        return self.fetch_one(variables=list(variables))

    def in_background(self, work: Callable[[], Result]) -> Future[Result]:
        """Run ``work`` in a thread of its own."""
        return self.threads.submit(work)

    def waits_at(self, instance: Instance | str) -> list[str]:
        """The user tasks at which an instance waits."""
        instance_id = instance if isinstance(instance, str) else instance.id
        found = self.wire.good("GET", f"task?processInstanceId={instance_id}")
        return sorted(task["taskDefinitionKey"] for task in found)

    def state(self, instance: Instance | str) -> str:
        """What the history says of an instance: ACTIVE, COMPLETED, …"""
        instance_id = instance if isinstance(instance, str) else instance.id
        return str(self.wire.good("GET", f"history/process-instance/{instance_id}")["state"])

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Wait for what the engine's jobs do: a batch."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"not within {PATIENCE} seconds"
            time.sleep(0.1)

    def advance(self, by: timedelta) -> None:
        """Move the engine's clock forward; it is set back after the case."""
        self.offset += by
        self.control("clock", offsetMs=self.offset // timedelta(milliseconds=1))

    def fault(self, activity: str, *, times: int = 0, delay: timedelta = timedelta()) -> None:
        """Tell the delegate in ``activity`` to fail ``times`` times and to take ``delay`` for each run."""
        self.control("faults", name=activity, times=times, delayMs=delay // timedelta(milliseconds=1))

    def control(self, what: str, **body: Any) -> None:
        """Talk to the test servlet of the engine."""
        self.house.control.good("POST", f"test/{what}", body)

    def close(self) -> None:
        """Set clock and faults back and end the threads."""
        self.control("clock", offsetMs=0)
        self.house.control.good("DELETE", "test/faults")
        self.threads.shutdown(wait=False, cancel_futures=True)


def new_worker_id() -> str:
    """An id for one fetch."""
    return f"bptl-{uuid.uuid4()}"

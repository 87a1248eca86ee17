"""A sandbox engine inside the test: models in short, work by topic, the clock, and what waits where."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from bptl.sandbox.clock import Clock
from bptl.sandbox.engine import Engine
from bptl.sandbox.external import ExternalTasks
from bptl.sandbox.listings import LISTINGS
from bptl.sandbox.store import Row, Store
from bptl.sandbox.variables import of, python

HEAD = (
    '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"'
    ' id="definitions" targetNamespace="https://bptl.example/tests">'
)


def bpmn(body: str, *, roots: str = "", key: str = "p", more: str = "") -> bytes:
    """A file with one process (and ``more``): ``flow(a, b)`` and ``external(x)`` write its usual parts."""
    process = f'<process id="{key}" isExecutable="true">{body}</process>'
    return f"{HEAD}{roots}{process}{more}</definitions>".encode()


def flow(*ids: str, condition: str | None = None) -> str:
    """Sequence flows along ``ids``; the last has the condition. A flow's id is ``source-target``."""
    inside = f"<conditionExpression>{condition}</conditionExpression>" if condition else ""
    pairs = [*pairwise(ids)]
    insides = [""] * (len(pairs) - 1) + [inside]
    return "".join(
        f'<sequenceFlow id="{a}-{b}" sourceRef="{a}" targetRef="{b}">{within}</sequenceFlow>'
        for (a, b), within in zip(pairs, insides, strict=True)
    )


def external(name: str, inside: str = "", *, attributes: str = "") -> str:
    """An external task whose topic is its id."""
    return (
        f'<serviceTask id="{name}" camunda:type="external" camunda:topic="{name}" {attributes}>{inside}</serviceTask>'
    )


class Laptop:
    """An engine without HTTP."""

    def __init__(self, *, store: Store | None = None) -> None:
        self.clock = Clock()
        self.engine = Engine(store or Store(), self.clock)
        self.tasks = ExternalTasks(self.engine)

    def deploy(self, content: bytes, name: str = "p.bpmn") -> None:
        self.engine.deploy(name, {name: content}, source=None, tenant_id=None, skip_equal=False)

    def start(self, key: str = "p", *, business_key: str | None = None, **values: Any) -> str:
        variables = {name: of(value) for name, value in values.items()}
        return self.engine.start(self.engine.definition(key), variables=variables, business_key=business_key).id

    def run(self, content: bytes, **values: Any) -> str:
        """Deploy and start."""
        self.deploy(content)
        return self.start(**values)

    def fetch(self, topic: str, maximum: int = 100) -> list[dict[str, Any]]:
        body = {"workerId": "w", "maxTasks": maximum, "topics": [{"topicName": topic, "lockDuration": 60_000}]}
        return self.tasks.fetch(body)

    def work(self, topic: str, **values: Any) -> dict[str, Any]:
        """Complete one task of the topic; what it was fetched with."""
        [task] = self.fetch(topic, 1)
        self.complete(task, **values)
        return seen(task)

    def complete(self, task: Mapping[str, Any], **values: Any) -> None:
        variables = {name: {"value": value} for name, value in values.items()}
        self.tasks.complete(task["id"], {"workerId": "w", "variables": variables})

    def throw(self, topic: str, code: str, message: str | None = None) -> None:
        [task] = self.fetch(topic, 1)
        self.tasks.throw(task["id"], {"workerId": "w", "errorCode": code, "errorMessage": message})

    def pass_time(self, **duration: float) -> None:
        """Move the clock by seconds, minutes, hours or days, and fire what is due."""
        lengths = {"seconds": 1_000, "minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}
        self.clock.offset += int(sum(lengths[unit] * number for unit, number in duration.items())) + 50
        while self.engine.fire_due():
            pass

    def delete(self, instance_id: str, reason: str) -> None:
        with self.engine.command():
            self.engine.terminate(instance_id, "EXTERNALLY_TERMINATED", reason)

    def suspend(self, instance_id: str, *, suspended: bool) -> None:
        with self.engine.command():
            instance = self.engine.instance(instance_id)
            instance.row["suspended"], instance.changed = int(suspended), True

    def message(self, name: str, **options: Any) -> None:
        variables = {key: of(value) for key, value in options.pop("variables", {}).items()}
        self.engine.correlate({"messageName": name, **options}, variables, {})

    def listed(self, path: str, **filters: Any) -> list[Row]:
        return LISTINGS[path].rows(self.engine.store, filters, now=self.clock.now())

    def waits(self) -> list[str]:
        """Activity ids of everything that waits for somebody: external and user tasks."""
        external = [row["activityId"] for row in self.listed("external-task")]
        return sorted([*external, *(row["taskDefinitionKey"] for row in self.listed("task"))])

    def state(self, instance_id: str) -> str:
        [row] = self.listed("history/process-instance", processInstanceId=instance_id)
        return str(row["state"])

    def path(self, instance_id: str) -> list[str]:
        """Activity ids in the order in which they were reached."""
        return [row["activityId"] for row in self.listed("history/activity-instance", processInstanceId=instance_id)]

    def variables(self, instance_id: str) -> dict[str, Any]:
        with self.engine.command():
            found = self.engine.instance(instance_id).scopes.visible([instance_id])
        return {name: python(typed) for name, typed in found.items()}


def seen(task: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a fetched task as Python values."""
    return {name: python(typed) for name, typed in task["variables"].items()}

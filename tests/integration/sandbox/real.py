"""The same handles as ``laptop`` has, on a real engine over REST: what the sandbox claims is held against it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bptl.sandbox.errors import EngineError, Refused
from bptl.sandbox.variables import dto, of, python
from stage.engine_rest import EngineRefused, EngineRest
from stage.operaton import Engine
from tests.integration.sandbox.laptop import seen


class Tasks:
    """External tasks by the last word of their path."""

    def __init__(self, real: Real) -> None:
        self._real = real

    def complete(self, task_id: str, body: Mapping[str, Any]) -> None:
        self._real.call("POST", f"/external-task/{task_id}/complete", body)

    def throw(self, task_id: str, body: Mapping[str, Any]) -> None:
        self._real.call("POST", f"/external-task/{task_id}/bpmnError", body)

    def unlock(self, task_id: str, body: Mapping[str, Any]) -> None:
        self._real.call("POST", f"/external-task/{task_id}/unlock", body)


class Real:
    """A real engine, emptied."""

    def __init__(self, engine: Engine) -> None:
        self._rest = engine.rest
        self._control = EngineRest(engine.url.removesuffix("/engine-rest"), user="demo", password="demo")
        self.tasks = Tasks(self)
        self._offset = timedelta()
        self._set_clock()
        for deployment in self.call("GET", "/deployment"):
            self.call(
                "DELETE", f"/deployment/{deployment['id']}?cascade=true&skipIoMappings=true&skipCustomListeners=true"
            )

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        try:
            return self._rest.call(method, path, body=body, query=query)
        except EngineRefused as error:
            raise (Refused if error.status == 400 else EngineError)(error.text) from error

    def deploy(self, content: bytes, name: str = "p.bpmn") -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            try:
                self._rest.deploy(file)
            except EngineRefused as error:
                raise EngineError(error.text) from error

    def start(self, key: str = "p", *, business_key: str | None = None, **values: Any) -> str:
        body = {"businessKey": business_key, "variables": {name: dto(of(value)) for name, value in values.items()}}
        return str(self.call("POST", f"/process-definition/key/{key}/start", body)["id"])

    def run(self, content: bytes, **values: Any) -> str:
        self.deploy(content)
        return self.start(**values)

    def fetch(self, topic: str, maximum: int = 100) -> list[dict[str, Any]]:
        body = {"workerId": "w", "maxTasks": maximum, "topics": [{"topicName": topic, "lockDuration": 60_000}]}
        found: list[dict[str, Any]] = self.call("POST", "/external-task/fetchAndLock", body)
        return found

    def work(self, topic: str, **values: Any) -> dict[str, Any]:
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
        self._offset += timedelta(**duration, milliseconds=50)
        self._set_clock()
        while jobs := self.call("GET", "/job", query={"executable": "true", "withRetriesLeft": "true"}):
            for job in jobs:
                # The engine's own job executor may be first.
                try:
                    self.call("POST", f"/job/{job['id']}/execute")
                except EngineError:
                    with suppress(EngineError):
                        self.call("PUT", f"/job/{job['id']}/retries", {"retries": 0})

    def delete(self, instance_id: str, reason: str) -> None:
        self.call("DELETE", f"/process-instance/{instance_id}")

    def suspend(self, instance_id: str, *, suspended: bool) -> None:
        self.call("PUT", f"/process-instance/{instance_id}/suspended", {"suspended": suspended})

    def message(self, name: str, **options: Any) -> None:
        variables = {key: dto(of(value)) for key, value in options.pop("variables", {}).items()}
        self.call("POST", "/message", {"messageName": name, "processVariables": variables, **options})

    def listed(self, path: str, **filters: Any) -> list[dict[str, Any]]:
        order = {"sortBy": "occurrence", "sortOrder": "asc"} if path == "history/activity-instance" else {}
        found: list[dict[str, Any]] = self.call("GET", f"/{path}", query={**filters, **order})
        return found

    def waits(self) -> list[str]:
        external = [row["activityId"] for row in self.listed("external-task")]
        return sorted([*external, *(row["taskDefinitionKey"] for row in self.listed("task"))])

    def state(self, instance_id: str) -> str:
        return str(self.call("GET", f"/history/process-instance/{instance_id}")["state"])

    def path(self, instance_id: str) -> list[str]:
        return [row["activityId"] for row in self.listed("history/activity-instance", processInstanceId=instance_id)]

    def variables(self, instance_id: str) -> dict[str, Any]:
        found = self.call("GET", f"/process-instance/{instance_id}/variables", query={"deserializeValues": "false"})
        return {name: python(typed) for name, typed in found.items()}

    def close(self) -> None:
        self._offset = timedelta()
        self._set_clock()

    def _set_clock(self) -> None:
        self._control.call("POST", "/test/clock", body={"offsetMs": self._offset // timedelta(milliseconds=1)})

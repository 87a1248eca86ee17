"""The engine: definitions, instances and events in one store, one command after the other."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Condition
from typing import Any

from SpiffWorkflow.exceptions import SpiffWorkflowException

from bptl.lib.log import get_logger, quiet
from bptl.sandbox.clock import Clock
from bptl.sandbox.elements import Element
from bptl.sandbox.errors import EngineError, Invalid, ModelRefused, NoResource, Refused
from bptl.sandbox.expressions import ExpressionFailed, compiled
from bptl.sandbox.instance import Instance, new_id
from bptl.sandbox.parse import Process, processes
from bptl.sandbox.scopes import Scopes
from bptl.sandbox.store import Row, Store
from bptl.sandbox.timers import Timer, timer
from bptl.sandbox.variables import Typed

_log = get_logger(__name__)

KEPT_INSTANCES = 2000
"""Instances in memory; the others are read when they are needed."""


class Engine:
    """Every change is made inside ``command``: one at a time, all or nothing."""

    def __init__(self, store: Store, clock: Clock) -> None:
        quiet("spiff")
        self.store, self.clock = store, clock
        self.signals: deque[tuple[str, Mapping[str, Typed]]] = deque()
        self.closing = False
        self.generation = 0
        self._changes = Condition()
        self._timers = Condition()
        self._instances: OrderedDict[str, Instance] = OrderedDict()
        self._touched: dict[str, Instance] = {}
        self._processes: dict[str, Process] = {}
        self._busy = self._woken = False

    @contextmanager
    def command(self) -> Iterator[None]:
        """One change of the engine; a failure leaves everything as it was. A command within one is part of it."""
        with self.store.lock:
            if self._busy:
                yield
                return
            self._busy, self._woken = True, False
            try:
                with self.store.transaction():
                    yield
                    self._settle()
            except BaseException as error:
                for instance_id in self._touched:
                    self._instances.pop(instance_id, None)
                if isinstance(error, ExpressionFailed | SpiffWorkflowException | RecursionError):
                    raise EngineError(str(error)) from error
                raise
            finally:
                self._busy = False
                self._touched.clear()
                self.signals.clear()
        if self._woken:
            with self._changes:
                self.generation += 1
                self._changes.notify_all()

    def _settle(self) -> None:
        while self.signals:
            name, variables = self.signals.popleft()
            self.signal(name, variables)
        for instance in self._touched.values():
            instance.save()

    def wake(self) -> None:
        """After this command, parked polls look again."""
        self._woken = True

    def wait(self, generation: int, seconds: float) -> None:
        """Wait until something has been created or unlocked since ``generation``. Raises EngineError at shutdown."""
        with self._changes:
            self._changes.wait_for(lambda: self.closing or self.generation != generation, seconds)
        if self.closing:
            error = EngineError("Request rejected due to shutdown of application server.")
            error.type = "RestException"
            raise error

    def close(self) -> None:
        """Let parked polls and the timers go."""
        self.closing = True
        for condition in (self._changes, self._timers):
            with condition:
                condition.notify_all()

    # Deployments and definitions.

    def deploy(
        self, name: str, files: Mapping[str, bytes], *, source: str | None, tenant_id: str | None, skip_equal: bool
    ) -> tuple[Row, list[Row]]:
        """Deploy files; the deployment and its definitions. ``skip_equal``: unchanged ones are the old deployment's.

        Raises ModelRefused.
        """
        found = {file: processes(content, resource=file) for file, content in files.items() if _is_bpmn(file)}
        for file in files:
            if file.endswith((".dmn", ".cmmn")):
                raise ModelRefused(
                    f"{file}: the sandbox runs BPMN only", details={file: {"errors": [], "warnings": []}}
                )
        with self.command():
            if skip_equal and (old := self._equal(name, files, tenant_id)):
                return old, []
            deployment: Row = {"id": new_id(), "name": name, "source": source, "tenantId": tenant_id}
            deployment["deploymentTime"] = self.clock.now()
            self.store.put("deployment", deployment)
            for file, content in files.items():
                row = {"id": new_id(), "deploymentId": deployment["id"], "name": file, "content": content}
                self.store.put("resource", row)
            definitions = [self._define(process, file, deployment) for file, made in found.items() for process in made]
            return deployment, definitions

    def _equal(self, name: str, files: Mapping[str, bytes], tenant_id: str | None) -> Row | None:
        statement = "SELECT * FROM deployment WHERE name = ? AND tenantId IS ? ORDER BY deploymentTime DESC, rowid DESC"
        old = self.store.row(statement, [name, tenant_id])
        if old is None:
            return None
        kept = self.store.rows("SELECT name, content FROM resource WHERE deploymentId = ?", [old["id"]])
        return old if {row["name"]: row["content"] for row in kept} == dict(files) else None

    def _define(self, process: Process, file: str, deployment: Row) -> Row:
        statement = "SELECT max(version) AS last FROM definition WHERE key = ? AND tenantId IS ?"
        tenant_id = deployment["tenantId"]
        version = ((self.store.row(statement, [process.id, tenant_id]) or {}).get("last") or 0) + 1
        row: Row = {
            "id": f"{process.id}:{version}:{new_id()}",
            "key": process.id,
            "version": version,
            "name": process.name,
        }
        row |= {"versionTag": process.version_tag, "tenantId": tenant_id, "deploymentId": deployment["id"]}
        row |= {"resource": file, "suspended": 0}
        self.store.put("definition", row)
        self._processes[row["id"]] = process
        older = "definitionId IN (SELECT id FROM definition WHERE key = ? AND tenantId IS ?) AND instanceId IS NULL"
        for table in ("subscription", "timer"):
            self.store.run(f"DELETE FROM {table} WHERE {older}", [process.id, tenant_id])  # noqa: S608 - our own names
        for start in process.starts:
            self._listen(row, start)
        return row

    def _listen(self, definition: Row, start: Element) -> None:
        """A start event with a trigger waits for it, in the newest version only."""
        if start.event is None:
            return
        key = f"{definition['id']}:{start.id}"
        value = start.event.name.value(_no_variables) if start.event.name else ""
        row = {"id": key, "definitionId": definition["id"], "activityId": start.id}
        if start.event.kind == "timer":
            when = timer(start.event.timer, value, now=self.clock.now())
            self.store.put("timer", row | when._asdict())
            self.timers_changed()
        else:
            self.store.put("subscription", row | {"eventType": start.event.kind, "eventName": str(value)})

    def undeploy(self, deployment_id: str, *, cascade: bool) -> None:
        """Delete a deployment with its definitions, with ``cascade`` also their instances. Raises NoResource."""
        with self.command():
            if self.store.row("SELECT 1 FROM deployment WHERE id = ?", [deployment_id]) is None:
                raise NoResource(f"Deployment with id '{deployment_id}' do not exist")
            for definition in self.store.rows("SELECT id FROM definition WHERE deploymentId = ?", [deployment_id]):
                used = self.store.rows("SELECT id, endTime FROM instance WHERE definitionId = ?", [definition["id"]])
                if not cascade and any(row["endTime"] is None for row in used):
                    raise EngineError("Deletion of a process definition without cascading failed: it has instances")
                for row in used:
                    if row["endTime"] is None:
                        self.terminate(row["id"], "EXTERNALLY_TERMINATED", "deployment deleted")
                for table in ("subscription", "timer", "definition"):
                    column = "id" if table == "definition" else "definitionId"
                    self.store.run(f"DELETE FROM {table} WHERE {column} = ?", [definition["id"]])  # noqa: S608 - our own names
            self.store.run("DELETE FROM resource WHERE deploymentId = ?", [deployment_id])
            self.store.run("DELETE FROM deployment WHERE id = ?", [deployment_id])

    def definition(self, key: str, *, tenant_id: str | None = None) -> Row:
        """The newest definition with this key. Raises NoResource."""
        statement = "SELECT * FROM definition WHERE key = ? AND tenantId IS ? ORDER BY version DESC LIMIT 1"
        found = self.store.row(statement, [key, tenant_id])
        if found is None:
            raise NoResource(f"No matching process definition with key: {key} and tenant-id: {tenant_id}")
        return found

    def model(self, definition: Row) -> bytes:
        """The BPMN of a definition."""
        statement = "SELECT content FROM resource WHERE deploymentId = ? AND name = ?"
        found = self.store.row(statement, [definition["deploymentId"], definition["resource"]])
        return bytes(found["content"]) if found else b""

    def _process(self, definition: Row) -> Process:
        if definition["id"] not in self._processes:
            for process in processes(self.model(definition), resource=definition["resource"]):
                if process.id == definition["key"]:
                    self._processes[definition["id"]] = process
        return self._processes[definition["id"]]

    # Instances.

    def start(
        self,
        definition: Row,
        *,
        variables: Mapping[str, Typed],
        business_key: str | None = None,
        start_id: str | None = None,
        caller: Instance | None = None,
        caller_task: str | None = None,
    ) -> Instance:
        """Start an instance, by default at the start event without a trigger."""
        with self.command():
            process = self._process(definition)
            start = next(
                (found for found in process.starts if found.id == start_id or not (start_id or found.event)), None
            )
            if start is None:
                raise EngineError(f"{definition['id']} has no start event without a trigger")
            instance_id = new_id()
            row: Row = {"id": instance_id, "definitionId": definition["id"], "businessKey": business_key}
            row |= {"tenantId": definition["tenantId"], "suspended": 0, "startTime": self.clock.now(), "endTime": None}
            row |= {"superInstanceId": caller.id if caller else None, "superTaskId": caller_task, "treeJson": None}
            row |= {"rootId": caller.row["rootId"] if caller else instance_id, "startActivityId": start.id}
            row |= {"state": "ACTIVE", "deleteReason": None}
            instance = Instance(self, row, process, Scopes(instance_id))
            self.store.put("instance", row)
            self._keep(instance)
            instance.begin(start.id, variables)
            return instance

    def instance(self, instance_id: str) -> Instance:
        """A running instance, to be changed in this command. Raises EngineError when there is none."""
        instance = self._touched.get(instance_id) or self._instances.get(instance_id)
        if instance is None or instance.ended:
            row = self.store.row("SELECT * FROM instance WHERE id = ? AND endTime IS NULL", [instance_id])
            if row is None or (instance is not None and instance.ended):
                raise EngineError(f"process instance {instance_id} doesn't exist")
            definition = self.store.rows("SELECT * FROM definition WHERE id = ?", [row["definitionId"]])[0]
            instance = Instance(self, row, self._process(definition), Scopes.load(self.store, instance_id))
        self._keep(instance)
        return instance

    def terminate(self, instance_id: str, state: str, reason: str | None = None) -> None:
        """End an instance, unless it has ended earlier in this command."""
        touched = self._touched.get(instance_id)
        if touched is None or not touched.ended:
            self.instance(instance_id).finish(state, reason)

    def delete(self, instance_id: str, reason: str | None) -> None:
        """End an instance from outside, with the call that it served; a caller that has nothing else to do ends too."""
        touched = self._touched.get(instance_id)
        if touched is not None and touched.ended:
            return
        instance = self.instance(instance_id)
        instance.finish("EXTERNALLY_TERMINATED", reason)
        while (caller := self.caller(instance)) is not None:
            caller.called_was_deleted(instance.row["superTaskId"], reason)
            if not caller.ended:
                return
            instance = caller

    def _keep(self, instance: Instance) -> None:
        self._touched[instance.id] = self._instances[instance.id] = instance
        self._instances.move_to_end(instance.id)
        if len(self._instances) > KEPT_INSTANCES:
            self._instances.popitem(last=False)

    def caller(self, instance: Instance) -> Instance | None:
        """The instance whose call activity has started this one."""
        return self.instance(instance.row["superInstanceId"]) if instance.row["superInstanceId"] else None

    def call(self, instance: Instance, task: Any, key: str, element: Element) -> None:
        """A call activity is reached: start what it calls with the mapped variables."""
        called = str(instance.evaluated(task, element.call["element"]))
        variables, business_key = self._mapped(instance, task, element.call["in"])
        definition = self._bound(
            instance, called, element, instance.evaluated(task, element.template("calledElementVersion"))
        )
        child = self.start(definition, variables=variables, business_key=business_key, caller=instance, caller_task=key)
        statement = "UPDATE activity SET calledProcessInstanceId = ? WHERE instanceId = ? AND taskId = ?"
        self.store.run(statement, [child.id, instance.id, key])

    def _bound(self, instance: Instance, key: str, element: Element, version: Any) -> Row:
        tenant_id, binding = instance.row["tenantId"], element.camunda.get("calledElementBinding", "latest")
        statement, values = "SELECT * FROM definition WHERE key = ? AND tenantId IS ?", [key, tenant_id]
        if binding == "version":
            statement, values = f"{statement} AND version = ?", [*values, int(version)]
        elif binding == "deployment":
            statement += " AND deploymentId = (SELECT deploymentId FROM definition WHERE id = ?)"
            values = [*values, instance.row["definitionId"]]
        found = self.store.row(f"{statement} ORDER BY version DESC", values)
        if found is None:
            raise EngineError(f"no processes deployed with key '{key}'")
        return found

    def _mapped(
        self, source: Instance, task: Any, mappings: Sequence[Mapping[str, str]]
    ) -> tuple[dict[str, Typed], Any]:
        """The variables and the business key that ``camunda:in`` or ``camunda:out`` take from ``source``."""
        variables: dict[str, Typed] = {}
        business_key = None
        for mapping in mappings:
            if "businessKey" in mapping:
                business_key = source.evaluated(task, compiled(mapping["businessKey"]))
            elif mapping.get("variables") == "all":
                variables |= source.scopes.visible(source.chain(task))
            elif "sourceExpression" in mapping:
                variables[mapping["target"]] = source.parameter(task, compiled(mapping["sourceExpression"]))
            else:
                null: Typed = {"type": "Null", "value": None, "valueInfo": {}}
                variables[mapping["target"]] = source.scopes.visible(source.chain(task)).get(mapping["source"], null)
        return variables, business_key

    def ended(self, child: Instance) -> None:
        """An instance has ended: one that was called and is complete lets its caller go on."""
        self._instances.pop(child.id, None)
        if child.row["superInstanceId"] is None or child.row["state"] != "COMPLETED":
            return
        caller = self.instance(child.row["superInstanceId"])
        task = caller.task(child.row["superTaskId"])
        variables, _ = self._mapped(child, child.workflow.task_tree, task.task_spec.element.call["out"])
        caller.scopes.set(caller.chain(task)[1:], variables)
        caller.fire(child.row["superTaskId"])

    # Messages, signals and timers.

    def correlate(
        self, body: Mapping[str, Any], variables: Mapping[str, Typed], keys: Mapping[str, Typed]
    ) -> list[Row]:
        """Deliver a message to the one subscription (or with ``all`` to all) that fits; what it reached.

        Raises Invalid and Refused.
        """
        name = body.get("messageName")
        if not name:
            raise Invalid("No message name supplied")
        with self.command():
            found = [row for row in self._subscriptions("message", name) if self._fits(row, body, keys)]
            waiting = [row for row in found if row["instanceId"]] or found
            if not waiting and not body.get("all"):
                raise Refused(
                    f"Cannot correlate message '{name}': No process definition or execution matches the parameters"
                )
            if len(waiting) > 1 and not body.get("all"):
                raise Refused(
                    f"Cannot correlate message '{name}': {len(waiting)} executions match the correlation keys"
                )
            return [self._deliver(row, variables, business_key=body.get("businessKey")) for row in waiting]

    def signal(self, name: str, variables: Mapping[str, Typed], *, execution_id: str | None = None) -> None:
        """Deliver a signal to everybody who waits for it, or to one execution. Raises EngineError."""
        with self.command():
            found = self._subscriptions("signal", name)
            if execution_id is not None:
                found = [row for row in found if row["executionId"] == execution_id]
                if not found:
                    raise EngineError(
                        f"Execution '{execution_id}' has not subscribed to a signal event with name '{name}'"
                    )
            for row in found:
                if self.store.row("SELECT 1 FROM subscription WHERE id = ?", [row["id"]]):
                    self._deliver(row, variables)

    def _subscriptions(self, kind: str, name: str) -> list[Row]:
        statement = (
            "SELECT s.*, i.businessKey, coalesce(i.tenantId, d.tenantId) AS tenantId FROM subscription s"
            " LEFT JOIN instance i ON i.id = s.instanceId LEFT JOIN definition d ON d.id = s.definitionId"
            " WHERE eventType = ? AND eventName = ? AND coalesce(i.suspended, d.suspended) = 0 ORDER BY s.rowid"
        )
        return self.store.rows(statement, [kind, name])

    def _fits(self, row: Row, body: Mapping[str, Any], keys: Mapping[str, Typed]) -> bool:
        if body.get("tenantId") and row["tenantId"] != body["tenantId"]:
            return False
        if row["instanceId"] is None:
            return not keys and not body.get("processInstanceId")
        if body.get("processInstanceId") not in {None, row["instanceId"]}:
            return False
        if body.get("businessKey") not in {None, row["businessKey"]}:
            return False
        statement = "SELECT 1 FROM variable WHERE instanceId = ? AND scopeId = instanceId AND name = ? AND text = ?"
        wanted = [[row["instanceId"], name, json.dumps(typed["value"])] for name, typed in keys.items()]
        return all(self.store.row(statement, values) for values in wanted)

    def _deliver(self, row: Row, variables: Mapping[str, Typed], business_key: str | None = None) -> Row:
        if row["instanceId"] is None:
            definition = self.store.rows("SELECT * FROM definition WHERE id = ?", [row["definitionId"]])[0]
            started = self.start(definition, variables=variables, business_key=business_key, start_id=row["activityId"])
            return {"resultType": "ProcessDefinition", "processInstance": started.row, "execution": None}
        instance = self.instance(row["instanceId"])
        execution = {"id": row["id"], "processInstanceId": instance.id, "ended": False, "tenantId": row["tenantId"]}
        instance.fire(row["id"], variables)
        return {"resultType": "Execution", "processInstance": None, "execution": execution}

    def timers_changed(self) -> None:
        """There may be an earlier timer, or another time."""
        with self._timers:
            self._timers.notify_all()

    def run_timers(self) -> None:
        """Fire timers as they fall due, until the engine closes; for a thread of its own."""
        while not self.closing:
            if self.fire_due():
                continue
            due = self.store.rows("SELECT min(due) AS due FROM timer")[0]["due"]
            seconds = 1.0 if due is None else min(1.0, max(0.01, (due - self.clock.now()) / 1000))
            with self._timers:
                self._timers.wait(seconds)

    def fire_due(self) -> bool:
        """Fire one timer that is due; False without one. A timer that fails becomes an incident."""
        statement = (
            "SELECT t.* FROM timer t LEFT JOIN instance i ON i.id = t.instanceId"
            " WHERE due <= ? AND coalesce(i.suspended, 0) = 0 ORDER BY due LIMIT 1"
        )
        row = self.store.row(statement, [self.clock.now()])
        if row is None:
            return False
        try:
            with self.command():
                self._fire_timer(row)
        except Exception as error:  # noqa: BLE001 - whatever a model does wrong must not end the thread of the timers
            _log.warning("timer.failed", activity=row["activityId"], error=str(error))
            self._timer_failed(row, str(error))
        return True

    def _fire_timer(self, row: Row) -> None:
        if self.store.row("SELECT 1 FROM timer WHERE id = ? AND due = ?", [row["id"], row["due"]]) is None:
            return
        following = Timer(row["due"], row["repeats"], row["interval"]).following(self.clock.now())
        if following is None:
            self.store.run("DELETE FROM timer WHERE id = ?", [row["id"]])
        else:
            self.store.put("timer", row | following._asdict())
        if row["instanceId"]:
            self.instance(row["instanceId"]).fire(row["id"])
        else:
            definition = self.store.rows("SELECT * FROM definition WHERE id = ?", [row["definitionId"]])[0]
            self.start(definition, variables={}, start_id=row["activityId"])

    def _timer_failed(self, row: Row, message: str) -> None:
        with self.command():
            self.store.run("DELETE FROM timer WHERE id = ?", [row["id"]])
            incident = {"id": new_id(), "instanceId": row["instanceId"], "activityId": row["activityId"]}
            incident |= {"incidentType": "failedJob", "configuration": row["id"], "incidentMessage": message}
            if row["instanceId"]:
                self.store.put("incident", incident | {"incidentTimestamp": self.clock.now()})


def _is_bpmn(file: str) -> bool:
    return file.endswith((".bpmn", ".bpmn20.xml"))


def _no_variables(name: str) -> Any:
    raise KeyError(name)

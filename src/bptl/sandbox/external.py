"""External tasks: fetch and lock, and what a worker may report, with Camunda's checks in Camunda's order."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from bptl.sandbox import waits
from bptl.sandbox.engine import Engine
from bptl.sandbox.errors import EngineError, Invalid, NotThere, Refused
from bptl.sandbox.instance import Instance, new_id
from bptl.sandbox.listings import shape
from bptl.sandbox.store import Row
from bptl.sandbox.variables import Typed, all_received, dto, received

LONGEST_WAIT = 1_800_000
LONGEST_MESSAGE = 666
LOOK_AGAIN = 30.0
"""Seconds after which a parked poll looks without having been woken, as Camunda's does."""

Body = Mapping[str, Any]

_FREE = "(lockExpirationTime IS NULL OR lockExpirationTime <= ?) AND (retries IS NULL OR retries > 0) AND suspended = 0"
_SELECT = "SELECT * FROM external_view"


class ExternalTasks:
    """The external tasks of one engine; every method is one request."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._store = engine, engine.store

    def fetch(self, body: Body) -> list[dict[str, Any]]:
        """Fetch and lock, waiting at most ``asyncResponseTimeout`` milliseconds for work."""
        topics = {topic.get("topicName"): topic for topic in body.get("topics") or ()}  # The last of equal ones wins.
        wait = body.get("asyncResponseTimeout")
        if wait is not None and wait > LONGEST_WAIT:
            raise Invalid(
                "The asynchronous response timeout cannot be set to a value greater than "
                f"{LONGEST_WAIT} milliseconds, but it is {wait}"
            )
        _check_fetch(body, topics)
        end = time.monotonic() + (wait or 0) / 1000
        while True:
            generation = self._engine.generation
            found = self._locked(body, topics) if topics else []
            left = end - time.monotonic()
            if found or not topics or left <= 0:
                return found
            self._engine.wait(generation, min(left, LOOK_AGAIN))

    def _locked(self, body: Body, topics: Mapping[str, Body]) -> list[dict[str, Any]]:
        now = self._engine.clock.now()
        conditions, values = [], [now]
        for topic in topics.values():
            condition, wanted = _topic(topic)
            conditions.append(f"({condition})")
            values += wanted
        order = ["priority DESC"] if body.get("usePriority") else []
        order += [f"createTime {item.get('sortOrder') or 'asc'}" for item in body.get("sorting") or ()]
        statement = f"{_SELECT} WHERE {_FREE} AND ("
        statement += f"{' OR '.join(conditions)}) ORDER BY {', '.join([*order, 'id'])} LIMIT ?"
        with self._engine.command():
            rows = self._store.rows(statement, [*values, body.get("maxTasks") or 0])
            for row in rows:
                row["lockExpirationTime"] = now + topics[row["topicName"]]["lockDuration"]
                row["workerId"] = body["workerId"]
                self._change(row, workerId=row["workerId"], lockExpirationTime=row["lockExpirationTime"])
            return [self._fetched(row, topics[row["topicName"]]) for row in rows]

    def _fetched(self, row: Row, topic: Body) -> dict[str, Any]:
        properties, scopes = json.loads(row["propertiesJson"]), json.loads(row["scopesJson"])
        names = topic.get("variables")
        seen: dict[str, Typed] = {}
        if names is None or names:
            wanted = scopes[:1] if topic.get("localVariables") else scopes
            marks = ", ".join("?" * len(wanted))
            statement = f"SELECT * FROM variable WHERE instanceId = ? AND live = 1 AND scopeId IN ({marks})"  # noqa: S608
            found = self._store.rows(statement, [row["processInstanceId"], *wanted])
            for variable in sorted(found, key=lambda variable: -wanted.index(variable["scopeId"])):
                if names is None or variable["name"] in names:
                    seen[variable["name"]] = dto(json.loads(variable["typedJson"]))
        extra = {
            "variables": seen,
            "extensionProperties": properties if topic.get("includeExtensionProperties") else {},
        }
        return shape(row) | extra | {"errorDetails": row["errorDetails"], "suspended": False}

    def complete(self, task_id: str, body: Body) -> None:
        """The work is done: set variables and continue the process."""
        variables, own = all_received(body.get("variables")), all_received(body.get("localVariables"))
        with self._engine.command():
            row, instance = self._held(task_id, body, "completed")
            waits.log(instance, row, "successLog")
            instance.scopes.set_local(task_id, own)
            instance.fire(task_id, variables)

    def fail(self, task_id: str, body: Body) -> None:
        """The work failed: count retries and wait, or make an incident."""
        retries, wait = body.get("retries") or 0, body.get("retryTimeout") or 0
        variables, own = all_received(body.get("variables")), all_received(body.get("localVariables"))
        with self._engine.command():
            row, instance = self._held(task_id, body, "failed")
            if retries < 0 or wait < 0:
                raise EngineError("The number of retries and the retry timeout cannot be negative")
            message = _cut(body.get("errorMessage"))
            details = body.get("errorDetails")
            expires = self._engine.clock.now() + wait
            self._change(row, retries=retries, lockExpirationTime=expires, errorMessage=message, errorDetails=details)
            waits.log(instance, row | {"retries": retries, "errorMessage": message}, "failureLog")
            instance.scopes.set_local(task_id, own)
            instance.scopes.set(json.loads(row["scopesJson"]), variables)
            self._incident(row, retries, message)

    def throw(self, task_id: str, body: Body) -> None:
        """Throw a BPMN error; without a catching event the token ends in silence."""
        variables = all_received(body.get("variables"))
        with self._engine.command():
            row, instance = self._held(task_id, body, "handled")
            if not body.get("errorCode"):
                raise EngineError("errorCode is null")
            waits.log(instance, row, "successLog")
            instance.scopes.set(json.loads(row["scopesJson"]), variables)
            task = instance.task(task_id)
            if instance.throw(task, "error", str(body["errorCode"]), body.get("errorMessage")) is None:
                instance.vanish(task)

    def extend(self, task_id: str, body: Body) -> None:
        """Set the lock anew, while it has not expired."""
        duration = body.get("newDuration") or 0
        with self._engine.command():
            row, _ = self._held(task_id, body, "extended", active=False)
            now = self._engine.clock.now()
            if duration <= 0:
                raise Refused("The new lock duration must be greater than zero")
            if (row["lockExpirationTime"] or 0) < now:
                raise Refused(f"Cannot extend a lock that expired: external task {task_id}")
            self._change(row, lockExpirationTime=now + duration)

    def lock(self, task_id: str, body: Body) -> None:
        """Lock a task that nobody else holds."""
        worker, duration = body.get("workerId"), body.get("lockDuration") or 0
        with self._engine.command():
            row = self._row(task_id)
            now = self._engine.clock.now()
            if not worker or duration <= 0:
                raise Refused("workerId and a lockDuration greater than 0 are needed")
            if row["workerId"] not in {None, worker} and (row["lockExpirationTime"] or 0) > now:
                raise Refused(
                    f"External Task {task_id} cannot be locked by worker '{worker}'. It is locked by another worker."
                )
            self._change(row, workerId=worker, lockExpirationTime=now + duration)

    def unlock(self, task_id: str, _body: Body) -> None:
        """Take the lock away, whoever holds it; wakes parked polls."""
        with self._engine.command():
            self._change(self._row(task_id), workerId=None, lockExpirationTime=None)
            self._engine.wake()

    def set_retries(self, task_id: str, body: Body) -> None:
        """Set the retries that are left; more than 0 ends the incident."""
        retries = body.get("retries")
        if retries is None:
            raise Invalid("The number of retries cannot be null.")
        with self._engine.command():
            row = self._row(task_id)
            if retries < 0:
                raise EngineError("The number of retries cannot be negative")
            self._change(row, retries=retries)
            self._incident(row, retries, row["errorMessage"])

    def set_priority(self, task_id: str, body: Body) -> None:
        """Set the priority."""
        with self._engine.command():
            self._change(self._row(task_id), priority=int(body.get("priority") or 0))

    def set_all_retries(self, body: Body) -> None:
        """Set the retries of the tasks of ``externalTaskIds`` and ``processInstanceIds``."""
        if unknown := set(body) - {"retries", "externalTaskIds", "processInstanceIds"}:
            raise Invalid(f"the sandbox does not choose tasks by {', '.join(sorted(unknown))} here")
        with self._engine.command():
            ids = [*(body.get("externalTaskIds") or ())]
            for instance_id in body.get("processInstanceIds") or ():
                found = self._store.rows("SELECT id FROM external_task WHERE instanceId = ?", [instance_id])
                ids += [row["id"] for row in found]
            for task_id in ids:
                self.set_retries(task_id, body)

    def get(self, task_id: str) -> dict[str, Any]:
        """One task."""
        return shape(self._row(task_id))

    def error_details(self, task_id: str) -> str | None:
        """The whole text of the last failure. A missing task is a 500, as in Camunda."""
        row = self._store.row("SELECT errorDetails FROM external_task WHERE id = ?", [task_id])
        if row is None:
            raise EngineError(f"Cannot find external task with id {task_id}: externalTask is null")
        return str(row["errorDetails"]) if row["errorDetails"] else None

    def topic_names(self, query: Mapping[str, str]) -> list[str]:
        """The topics of existing tasks."""
        conditions = {
            "withLockedTasks": "lockExpirationTime > ?",
            "withUnlockedTasks": "(lockExpirationTime IS NULL OR lockExpirationTime <= ?)",
            "withRetriesLeft": "(retries IS NULL OR retries > 0) AND ? > 0",
        }
        chosen = [condition for name, condition in conditions.items() if query.get(name) == "true"]
        statement = f"SELECT DISTINCT topicName FROM external_task WHERE {' AND '.join(chosen or ['1'])} ORDER BY 1"  # noqa: S608
        return [row["topicName"] for row in self._store.rows(statement, [self._engine.clock.now()] * len(chosen))]

    def _row(self, task_id: str) -> Row:
        row = self._store.row(f"{_SELECT} WHERE id = ?", [task_id])
        if row is None:
            raise NotThere(f"External task with id {task_id} does not exist")
        return row | {"instanceId": row["processInstanceId"]}

    def _held(self, task_id: str, body: Body, done: str, *, active: bool = True) -> tuple[Row, Instance]:
        worker = body.get("workerId")
        if not worker:
            raise EngineError("workerId is null")
        row = self._row(task_id)
        if row["workerId"] != worker:
            raise Refused(
                f"External Task {task_id} cannot be {done} by worker '{worker}'. "
                f"It is locked by worker '{row['workerId']}'."
            )
        if active and row["suspended"]:
            raise Refused(f"ENGINE-03043 ExternalTask with id '{task_id}' is suspended.")
        return row, self._engine.instance(row["processInstanceId"])

    def _change(self, row: Row, **values: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        self._store.run(f"UPDATE external_task SET {assignments} WHERE id = ?", [*values.values(), row["id"]])  # noqa: S608

    def _incident(self, row: Row, retries: int, message: str | None) -> None:
        old = self._store.row("SELECT id FROM incident WHERE configuration = ?", [row["id"]])
        if retries > 0 and old:
            self._store.run("DELETE FROM incident WHERE id = ?", [old["id"]])
        elif retries == 0 and not old:
            incident = {"id": new_id(), "instanceId": row["instanceId"], "activityId": row["activityId"]}
            incident |= {"incidentType": "failedExternalTask", "configuration": row["id"], "incidentMessage": message}
            self._store.put("incident", incident | {"incidentTimestamp": self._engine.clock.now()})


def _check_fetch(body: Body, topics: Mapping[str, Body]) -> None:
    for item in body.get("sorting") or ():
        if item.get("sortBy") != "createTime" or item.get("sortOrder") not in {"asc", "desc"}:
            raise Invalid(f"Cannot set query sortBy parameter to value '{item.get('sortBy')}'")
    if not topics:
        return
    if not body.get("workerId"):
        raise EngineError("workerId is null")
    if (body.get("maxTasks") or 0) < 0:
        raise EngineError("maxResults is not greater than or equal to 0")
    for name, topic in topics.items():
        if not name:
            raise EngineError("topicName is null")
        if not isinstance(topic.get("lockDuration"), int) or topic["lockDuration"] <= 0:
            raise EngineError("lockTime is not greater than 0")


def _topic(topic: Body) -> tuple[str, list[Any]]:
    """One topic of a fetch as a condition."""
    conditions, values = ["topicName = ?"], [topic["topicName"]]
    for name, condition in {
        "businessKey": "businessKey = ?",
        "processDefinitionId": "processDefinitionId = ?",
        "processDefinitionKey": "processDefinitionKey = ?",
        "processDefinitionVersionTag": "processDefinitionVersionTag LIKE ?",
    }.items():
        if topic.get(name) is not None:
            conditions.append(condition)
            values.append(topic[name])
    for name, column in {
        "processDefinitionIdIn": "processDefinitionId",
        "processDefinitionKeyIn": "processDefinitionKey",
        "tenantIdIn": "tenantId",
    }.items():
        if topic.get(name):
            conditions.append(f"{column} IN ({', '.join('?' * len(topic[name]))})")
            values += topic[name]
    if topic.get("withoutTenantId"):
        conditions.append("tenantId IS NULL")
    if wanted := topic.get("processVariables"):
        one = "(name = ? AND text = ?)"
        conditions.append(
            "EXISTS (SELECT 1 FROM variable WHERE instanceId = processInstanceId AND scopeId = instanceId"  # noqa: S608
            f" AND live = 1 AND ({' OR '.join([one] * len(wanted))}))"
        )
        for name, value in wanted.items():
            values += [name, json.dumps(received(name, {"value": value})["value"])]
    return " AND ".join(conditions), values


def _cut(message: str | None) -> str | None:
    """The message as Camunda keeps it: 666 UTF-16 units."""
    if message is None:
        return None
    return message.encode("utf-16-le", "surrogatepass")[: 2 * LONGEST_MESSAGE].decode("utf-16-le", "ignore")

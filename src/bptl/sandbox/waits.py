"""What an instance waits for, as rows: external tasks, user tasks, messages, signals, timers, called instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from bptl.sandbox.elements import Element
from bptl.sandbox.errors import EngineError
from bptl.sandbox.roles import Running
from bptl.sandbox.store import Row
from bptl.sandbox.timers import timer

_TABLES = ("external_task", "user_task", "subscription", "timer")


def begin(instance: Running, task: Any, key: str, element: Element, kind: str) -> None:
    """Write the row for ``element``: the instance is fired with ``key``, expressions are evaluated in ``task``."""
    if kind in _BEGINNERS:
        _BEGINNERS[kind](instance, task, key, element)


def end(instance: Running, key: str, *, canceled: bool) -> None:
    """Delete the rows of ``key``; with ``canceled``, also what was called."""
    store = instance.engine.store
    if canceled:
        row = store.row("SELECT * FROM external_task WHERE id = ?", [key])
        if row is not None:
            log(instance, row, "deletionLog")
        for called in store.rows("SELECT id FROM instance WHERE superTaskId = ? AND endTime IS NULL", [key]):
            from_outside = instance.row["state"] == "EXTERNALLY_TERMINATED"
            instance.engine.terminate(called["id"], instance.row["state"] if from_outside else "INTERNALLY_TERMINATED")
    for table in _TABLES:
        store.run(f"DELETE FROM {table} WHERE id = ?", [key])  # noqa: S608 - our own names
    store.run("DELETE FROM incident WHERE configuration = ?", [key])


def log(instance: Running, row: dict[str, Any], what: str) -> None:
    """Write into the history of an external task; ``what`` is creationLog, failureLog, successLog or deletionLog."""
    kept = ("topicName", "workerId", "priority", "retries", "errorMessage", "activityId", "instanceId")
    flags = {name: int(name == what) for name in ("creationLog", "failureLog", "successLog", "deletionLog")}
    line = {"id": str(uuid4()), "externalTaskId": row["id"], "timestamp": instance.engine.clock.now(), **flags}
    instance.engine.store.put("task_log", line | {name: row.get(name) for name in kept})


def put_timer(instance: Running, task: Any, key: str, element: Element) -> None:
    """Write the row of the timer that ``task`` remembers."""
    due, repeats, interval = task.internal_data["timer"]
    row = {"id": key, "instanceId": instance.id, "activityId": element.id, "due": due}
    instance.engine.store.put("timer", row | {"repeats": repeats, "interval": interval})
    instance.engine.timers_changed()


def _external(instance: Running, task: Any, key: str, element: Element) -> None:
    priority = instance.evaluated(task, element.template("taskPriority", "0"))
    try:
        priority = int(priority)
    except (TypeError, ValueError) as error:
        raise EngineError(f"the priority {priority!r} of {element.id} is no whole number") from error
    row = {
        "id": key,
        "instanceId": instance.id,
        "activityId": element.id,
        "topicName": str(instance.evaluated(task, element.template("topic"))),
        "createTime": instance.engine.clock.now(),
        "priority": priority,
        "propertiesJson": json.dumps(element.properties),
        "scopesJson": json.dumps(instance.chain(task)),
    }
    instance.engine.store.put("external_task", row)
    log(instance, row, "creationLog")
    instance.engine.wake()


def _user(instance: Running, task: Any, key: str, element: Element) -> None:
    def text(name: str) -> str | None:
        return str(instance.evaluated(task, element.template(name))) if name in element.camunda else None

    row: Row = {"id": key, "instanceId": instance.id, "activityId": element.id, "name": element.name}
    row |= {name: text(name) for name in ("assignee", "candidateUsers", "candidateGroups", "formKey")}
    row |= {"created": str(instance.engine.clock.now()), "due": text("dueDate"), "followUp": text("followUpDate")}
    instance.engine.store.put("user_task", row | {"priority": int(text("priority") or 50)})


def _subscription(instance: Running, task: Any, key: str, element: Element) -> None:
    event = element.happening
    name = instance.evaluated(task, event.name)
    row: Row = {"id": key, "instanceId": instance.id, "executionId": key, "activityId": element.id}
    row |= {"eventType": event.kind, "eventName": str(name), "createdDate": instance.engine.clock.now()}
    instance.engine.store.put("subscription", row)


def _timer(instance: Running, task: Any, key: str, element: Element) -> None:
    event = element.happening
    value = instance.evaluated(task, event.name)
    task.internal_data["timer"] = [*timer(event.timer, value, now=instance.engine.clock.now())]
    put_timer(instance, task, key, element)


_BEGINNERS: dict[str, Callable[[Running, Any, str, Element], None]] = {
    "external": _external,
    "user": _user,
    "message": _subscription,
    "signal": _subscription,
    "timer": _timer,
    "call": lambda instance, task, key, element: instance.engine.call(instance, task, key, element),
}

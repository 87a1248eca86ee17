"""A small engine that speaks the external-task part of the Camunda 7 REST protocol, with faults on demand.

It lives in memory and on 127.0.0.1. Semantics as in the engine's own sources: only the worker id says whose a task is,
an expired lock can still be completed by its old worker, a failure keeps the worker id, ``unlock`` asks nobody, an
instance that is suspended refuses. Its clock runs with ours and can be moved.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]

ROUTES: tuple[tuple[str, str, str], ...] = (
    ("POST", r"/external-task/fetchAndLock", "fetchAndLock"),
    ("POST", r"/external-task/count", "count"),
    ("GET", r"/external-task/topic-names", "topicNames"),
    ("POST", r"/external-task", "list"),
    ("GET", r"/external-task/([^/]+)/errorDetails", "errorDetails"),
    ("GET", r"/external-task/([^/]+)", "get"),
    ("PUT", r"/external-task/([^/]+)/retries", "retries"),
    ("POST", r"/external-task/([^/]+)/(complete|failure|bpmnError|extendLock|unlock)", ""),
    ("POST", r"/process-instance", "instances"),
    ("POST", r"/process-instance/delete", "deleteInstances"),
    ("GET", r"/process-definition", "definitions"),
    ("GET", r"/authorization/check", "check"),
    ("GET", r"/process-instance/([^/]+)", "instance"),
    ("POST", r"/process-instance/([^/]+)/variables", "setVariables"),
    ("GET", r"/version", "version"),
    ("GET", r"/authorization/check", "check"),
)
"""Method, path and name of the call; the last group of a path is the name where none is given."""


@dataclass
class ExternalTask:
    """One external task; ``locked_until`` is the engine's time (seconds)."""

    id: str
    topic: str
    variables: Json = field(default_factory=dict)
    extension_properties: dict[str, str] = field(default_factory=dict)
    priority: int = 0
    business_key: str | None = None
    process_instance_id: str = ""
    worker_id: str | None = None
    locked_until: float | None = None
    retries: int | None = None
    suspended: bool = False
    error_message: str | None = None
    error_details: str | None = None
    created: float = field(default_factory=time.time)
    """The engine's time (seconds)."""

    def dto(self) -> Json:
        """The ExternalTaskDto."""
        until = None if self.locked_until is None else _moment(self.locked_until)
        return {
            "id": self.id,
            "topicName": self.topic,
            "workerId": self.worker_id,
            "lockExpirationTime": until,
            "createTime": _moment(self.created),
            "activityId": "activity",
            "executionId": self.process_instance_id,
            "processInstanceId": self.process_instance_id,
            "processDefinitionId": "model:1:1",
            "processDefinitionKey": "model",
            "businessKey": self.business_key,
            "priority": self.priority,
            "retries": self.retries,
            "suspended": self.suspended,
            "errorMessage": self.error_message,
        }


@dataclass(frozen=True)
class Failure:
    """One failure that the engine has heard. ``timeout`` is milliseconds."""

    task: str
    worker_id: str
    message: str
    details: str
    retries: int
    timeout: int


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, kind: str, message: str, code: int | None = None) -> None:
        self.status = status
        self.body = {"type": kind, "message": message, "code": code}
        super().__init__(message)


Fault = Callable[[Callable[[], tuple[int, Any]]], "tuple[int, Any] | None"]
"""Is given the call's own execution; answers (status, body), or None to cut the connection."""


class FakeEngine:
    """The engine and its server. ``calls`` counts requests by the name of the call; ``may``: its check of rights."""

    def __init__(self) -> None:
        self._port = 0
        self._server: _Server | None = None
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.changed = threading.Condition(threading.RLock())
        self.reset()

    @property
    def url(self) -> str:
        """The REST root."""
        return f"http://127.0.0.1:{self._port}/engine-rest/"

    # what a test does

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name="fake engine").start()

    def stop(self) -> None:
        """Stop listening and cut all connections; tasks stay."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.cut_all()
            server.server_close()

    def reset(self) -> None:
        """Forget everything, faults too."""
        with self.changed:
            self.tasks: dict[str, ExternalTask] = {}
            self.completed: dict[str, Json] = {}
            self.thrown: dict[str, Json] = {}
            self.failures: list[Failure] = []
            self.deletions: list[Json] = []
            self.fetched_for: list[str] = []
            self.calls: Counter[str] = Counter()
            self.ahead = 0.0
            self.may = True
            self.polls_ended = 0
            self._faults.clear()
            self.changed.notify_all()

    def add(self, topic: str = "topic", variables: Mapping[str, Json] | None = None, **fields: Any) -> ExternalTask:
        """A new external task with ``variables`` as VariableValueDto."""
        instance = fields.pop("process_instance_id", f"instance-{uuid.uuid4()}")
        task = ExternalTask(str(uuid.uuid4()), topic, dict(variables or {}), process_instance_id=instance, **fields)
        with self.changed:
            self.tasks[task.id] = task
            self.changed.notify_all()
        return task

    def remove(self, task: ExternalTask) -> None:
        """Its process instance is cancelled."""
        with self.changed:
            self.tasks.pop(task.id, None)

    def end_polls(self) -> None:
        """Answer all parked polls now, as when their time is over."""
        with self.changed:
            self.polls_ended += 1
            self.changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Move the engine's clock."""
        with self.changed:
            self.ahead += seconds
            self.changed.notify_all()

    def lock(self, task: ExternalTask, worker_id: str, *, seconds: float = 300) -> None:
        """Somebody else's fetch."""
        with self.changed:
            task.worker_id, task.locked_until = worker_id, self.now() + seconds

    def answer(self, call: str, status: int, body: Any = None, *, times: int = 1) -> None:
        """The next ``times`` calls are answered so, without being executed; a dict body is JSON, a str is text."""
        self._faults[call] += [lambda execute: (status, body)] * times

    def refuse(
        self, call: str, status: int, kind: str = "RestException", *, code: int | None = None, times: int = 1
    ) -> None:
        """The next ``times`` calls are refused with an error body of the engine."""
        self.answer(call, status, {"type": kind, "message": f"{call} is refused", "code": code}, times=times)

    def cut(self, call: str, *, executed: bool, times: int = 1) -> None:
        """The next ``times`` calls get no answer: cut before or after they were executed."""

        def fault(execute: Callable[[], tuple[int, Any]]) -> None:
            if executed:
                execute()

        self._faults[call] += [fault] * times

    def delay(self, call: str, until: threading.Event, *, times: int = 1) -> None:
        """The next ``times`` calls are executed only when ``until`` is set."""

        def fault(execute: Callable[[], tuple[int, Any]]) -> tuple[int, Any]:
            until.wait(30)
            return execute()

        self._faults[call] += [fault] * times

    def reset_faults(self, call: str) -> None:
        """From now on these calls are executed again."""
        self._faults[call].clear()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    # what the protocol does

    def now(self) -> float:
        """The engine's time, seconds."""
        return time.time() + self.ahead

    def handle(self, method: str, target: str, body: Json) -> tuple[int, Any] | None:
        """One request; None cuts the connection."""
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        for wanted, pattern, name in ROUTES:
            found = re.fullmatch("/engine-rest" + pattern, parts.path)
            if wanted != method or found is None:
                continue
            call = name or found[found.re.groups]
            with self.changed:
                self.calls[call] += 1
                faults = self._faults[call]
                fault = faults.pop(0) if faults else None

            def execute(call: str = call, groups: tuple[Any, ...] = found.groups()) -> tuple[int, Any]:
                handler: Callable[..., tuple[int, Any]] = getattr(self, f"_{call}")
                try:
                    return handler(*groups[:1], query=query, body=body)
                except Refusal as refusal:
                    return refusal.status, refusal.body

            return fault(execute) if fault else execute()
        return 404, {"type": "NotFoundException", "message": f"HTTP 404 Not Found: {target}", "code": None}

    def _version(self, *, query: Json, body: Json) -> tuple[int, Any]:
        return 200, {"version": "fake"}

    def _fetchAndLock(self, *, query: Json, body: Json) -> tuple[int, Any]:  # noqa: N802
        deadline = time.monotonic() + (body.get("asyncResponseTimeout") or 0) / 1000
        with self.changed:
            self.fetched_for.append(body["workerId"])
            ended = self.polls_ended
            while True:
                found = self._take(body)
                left = deadline - time.monotonic()
                if found or left <= 0 or self.polls_ended != ended:
                    return 200, found
                # Tasks added and unlocked wake a parked poll; a lock that runs out and new retries do not.
                self.changed.wait(left)

    def _take(self, body: Json) -> list[Json]:
        topics = {topic["topicName"]: topic for topic in body["topics"]}
        free = [
            task
            for task in self.tasks.values()
            if task.topic in topics
            and (task.locked_until is None or task.locked_until <= self.now())
            and not task.suspended
            and (task.retries is None or task.retries > 0)
            and topics[task.topic].get("businessKey") in {None, task.business_key}
        ]
        if body.get("usePriority"):
            free.sort(key=lambda task: -task.priority)
        found = []
        for task in free[: body["maxTasks"]]:
            topic = topics[task.topic]
            task.worker_id = body["workerId"]
            task.locked_until = self.now() + topic["lockDuration"] / 1000
            wanted = topic.get("variables")
            variables = {name: value for name, value in task.variables.items() if wanted is None or name in wanted}
            properties = task.extension_properties if topic.get("includeExtensionProperties") else {}
            found.append(
                task.dto()
                | {
                    "variables": variables,
                    "extensionProperties": properties,
                    "errorDetails": task.error_details,
                    "suspended": False,
                }
            )
        return found

    def _count(self, *, query: Json, body: Json) -> tuple[int, Any]:
        return 200, {"count": len(self._matching(body))}

    def _list(self, *, query: Json, body: Json) -> tuple[int, Any]:
        first, maximum = int(query.get("firstResult", 0)), int(query.get("maxResults", 100))
        return 200, [task.dto() for task in self._matching(body)[first : first + maximum]]

    def _check(self, *, query: Json, body: Json) -> tuple[int, Any]:
        return 200, {"authorized": self.may}

    def _topicNames(self, *, query: Json, body: Json) -> tuple[int, Any]:  # noqa: N802
        with self.changed:
            return 200, sorted({task.topic for task in self.tasks.values() if task.locked_until is None})

    def _matching(self, body: Json) -> list[ExternalTask]:
        with self.changed:
            tasks = sorted(self.tasks.values(), key=lambda task: task.id)
        return [
            task
            for task in tasks
            if body.get("workerId") in {None, task.worker_id}
            and body.get("topicName") in {None, task.topic}
            and not (body.get("notLocked") and task.locked_until is not None and task.locked_until > self.now())
            and not (body.get("withRetriesLeft") and task.retries == 0)
            and not (body.get("active") and task.suspended)
        ]

    def _get(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:
        return 200, self._find(task_id).dto()

    def _errorDetails(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:  # noqa: N802
        if task_id not in self.tasks:
            raise Refusal(500, "RestException", f"External task with id {task_id} does not exist")
        details = self.tasks[task_id].error_details
        return (204, None) if details is None else (200, details)

    def _retries(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:
        self._find(task_id).retries = body["retries"]
        return 204, None

    def _instance(self, instance_id: str, *, query: Json, body: Json) -> tuple[int, Any]:
        if not any(task.process_instance_id == instance_id for task in self.tasks.values()):
            raise Refusal(404, "InvalidRequestException", f"Process instance with id {instance_id} does not exist")
        return 200, {"id": instance_id, "definitionId": "model:1:1"}

    def _instances(self, *, query: Json, body: Json) -> tuple[int, Any]:
        first, maximum = int(query.get("firstResult", 0)), int(query.get("maxResults", 100))
        with self.changed:
            keys = {task.process_instance_id: task.business_key for task in self.tasks.values()}
        found = [
            {"id": instance_id, "definitionId": "model:1:1", "definitionKey": "model", "businessKey": keys[instance_id]}
            for instance_id in sorted(keys)
            if instance_id in body.get("processInstanceIds", keys)
            and body.get("businessKey") in {None, keys[instance_id]}
            and body.get("processDefinitionKey") in {None, "model"}
        ]
        return 200, found[first : first + maximum]

    def _deleteInstances(self, *, query: Json, body: Json) -> tuple[int, Any]:  # noqa: N802
        with self.changed:
            self.deletions.append(body)
            for task in list(self.tasks.values()):
                if task.process_instance_id in body["processInstanceIds"]:
                    del self.tasks[task.id]
        return 200, {"id": f"batch-{len(self.deletions)}", "type": "instance-deletion"}

    def _definitions(self, *, query: Json, body: Json) -> tuple[int, Any]:
        return 200, [{"id": "model:1:1", "key": "model", "version": 1, "name": "A permit"}]

    def _setVariables(self, instance_id: str, *, query: Json, body: Json) -> tuple[int, Any]:  # noqa: N802
        with self.changed:
            self._instance(instance_id, query=query, body=body)
            for task in self.tasks.values():
                if task.process_instance_id == instance_id:
                    task.variables |= body["modifications"]
        return 204, None

    def _complete(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:
        with self.changed:
            self._mine(task_id, body)
            del self.tasks[task_id]
            self.completed[task_id] = {name: value["value"] for name, value in body["variables"].items()}
        return 204, None

    def _bpmnError(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:  # noqa: N802
        with self.changed:
            self._mine(task_id, body)
            del self.tasks[task_id]
            self.thrown[task_id] = body
        return 204, None

    def _failure(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:
        with self.changed:
            task = self._mine(task_id, body)
            retries, timeout = body.get("retries", 0), body.get("retryTimeout", 0)
            task.retries, task.locked_until = retries, self.now() + timeout / 1000
            task.error_message, task.error_details = body["errorMessage"][:666], body["errorDetails"]
            self.failures.append(
                Failure(task_id, body["workerId"], body["errorMessage"], body["errorDetails"], retries, timeout)
            )
        return 204, None

    def _extendLock(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:  # noqa: N802
        with self.changed:
            task = self._mine(task_id, body)
            if task.locked_until is None or task.locked_until <= self.now():
                raise Refusal(400, "RestException", "Cannot extend a lock that expired")
            task.locked_until = self.now() + body["newDuration"] / 1000
        return 204, None

    def _unlock(self, task_id: str, *, query: Json, body: Json) -> tuple[int, Any]:
        with self.changed:
            task = self._find(task_id)
            task.worker_id = task.locked_until = None
            self.changed.notify_all()
        return 204, None

    def _find(self, task_id: str) -> ExternalTask:
        try:
            return self.tasks[task_id]
        except KeyError:
            raise Refusal(404, "RestException", f"External task with id {task_id} does not exist") from None

    def _mine(self, task_id: str, body: Json) -> ExternalTask:
        task = self._find(task_id)
        if task.worker_id != body["workerId"]:
            raise Refusal(400, "RestException", f"It is locked by worker '{task.worker_id}'")
        if task.suspended:
            raise Refusal(400, "SuspendedEntityInteractionException", "ENGINE-03043 is suspended")
        return task


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], engine: FakeEngine) -> None:
        self.engine = engine
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        for connection in list(self._open):
            cut(connection)


def cut(connection: socket.socket) -> None:
    """End a connection without a word."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the first
    server: _Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        answer = self.server.engine.handle(self.command, self.path, body)
        if answer is None:
            self.close_connection = True
            cut(self.connection)
            return
        status, content = answer
        text = content if isinstance(content, str) else json.dumps(content) if content is not None else ""
        data = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # whoever asked has gone, as with a real engine

    do_GET = do_POST = do_PUT = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: tests look at ``calls``."""


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"

"""The paths of the Camunda 7 REST API below ``/engine-rest`` that the sandbox has, and what each does.

A handler gets a ``Call`` and answers JSON, None (204) or a ``Content``; everything else is raised as an EngineError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from bptl.sandbox.engine import Engine
from bptl.sandbox.errors import EngineError, Invalid, LoginWanted, NoPath, NoResource, NotThere
from bptl.sandbox.external import ExternalTasks
from bptl.sandbox.listings import LISTINGS, shape
from bptl.sandbox.scopes import Scopes
from bptl.sandbox.store import Row
from bptl.sandbox.variables import all_received, content, dto, received

VERSION = "7.24.0"
"""The version of Camunda whose API this is."""


@dataclass(frozen=True)
class Call:
    """One request: what the path names, the query, the JSON body, the parts of a form, and who asks."""

    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    parts: Mapping[str, tuple[str | None, bytes]] = field(default_factory=dict)
    user: str | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body as an object. Raises Invalid."""
        if not isinstance(self.body or {}, dict):
            raise Invalid("the body must be a JSON object")
        return self.body or {}


@dataclass(frozen=True)
class Content:
    """An answer that is not JSON."""

    type: str
    data: bytes


Handler = Callable[[Call], Any]


class Rest:
    """Finds and calls the handler of a request."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._store, self._external = engine, engine.store, ExternalTasks(engine)
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []
        for routes in (self._lists(), self._tasks(), self._instances(), self._definitions(), self._others()):
            for line, handler in routes.items():
                method, _, path = line.partition(" ")
                pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
                self._routes.append((method, pattern, handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler of ``path`` (relative, not decoded) and what the path names. Raises NoPath."""
        for wanted, pattern, handler in self._routes:
            if wanted == method and (match := pattern.fullmatch(path)):
                return handler, match.groupdict()
        raise NoPath("HTTP 404 Not Found")

    def _lists(self) -> dict[str, Handler]:
        routes: dict[str, Handler] = {}
        for path, listing in LISTINGS.items():

            def rows(call: Call, listing: Any = listing) -> Any:
                given = {**call.query, **call.fields}
                first, maximum = int(call.query.get("firstResult", 0)), int(call.query.get("maxResults", -1))
                found = listing.rows(self._store, given, now=self._engine.clock.now(), first=first, maximum=maximum)
                return [{"links": [], **shape(row)} for row in found]

            def count(call: Call, listing: Any = listing) -> Any:
                return {
                    "count": listing.count(self._store, {**call.query, **call.fields}, now=self._engine.clock.now())
                }

            routes |= {f"{method} {path}": rows for method in ("GET", "POST")}
            routes |= {f"{method} {path}/count": count for method in ("GET", "POST")}
        return routes

    def _tasks(self) -> dict[str, Handler]:
        tasks = self._external
        routes: dict[str, Handler] = {
            "POST external-task/fetchAndLock": lambda call: tasks.fetch(call.fields),
            "GET external-task/topic-names": lambda call: tasks.topic_names(call.query),
            "PUT external-task/retries": lambda call: tasks.set_all_retries(call.fields),
            "GET external-task/{id}": lambda call: tasks.get(call.path["id"]),
            "GET external-task/{id}/errorDetails": self._error_details,
        }
        for line, act in {
            "POST complete": tasks.complete,
            "POST failure": tasks.fail,
            "POST bpmnError": tasks.throw,
            "POST extendLock": tasks.extend,
            "POST lock": tasks.lock,
            "POST unlock": tasks.unlock,
            "PUT retries": tasks.set_retries,
            "PUT priority": tasks.set_priority,
        }.items():
            method, _, verb = line.partition(" ")
            routes[f"{method} external-task/{{id}}/{verb}"] = lambda call, act=act: act(call.path["id"], call.fields)  # type: ignore[misc]
        routes |= {
            "GET task/{id}": lambda call: shape(self._user_task(call)),
            "POST task/{id}/complete": self._complete,
            "POST task/{id}/claim": lambda call: self._assign(call, call.fields.get("userId"), unclaimed=True),
            "POST task/{id}/unclaim": lambda call: self._assign(call, None),
            "POST task/{id}/assignee": lambda call: self._assign(call, call.fields.get("userId")),
            "GET task/{id}/variables": self._task_variables,
        }
        return routes

    def _instances(self) -> dict[str, Handler]:
        routes: dict[str, Handler] = {
            "GET process-instance/{id}": lambda call: {"links": [], **shape(self._row("instance_view", call))},
            "DELETE process-instance/{id}": self._delete,
            "POST process-instance/delete": self._delete_all,
            "PUT process-instance/{id}/suspended": self._suspend,
            "GET history/process-instance/{id}": lambda call: shape(self._row("past_instance", call)),
        }
        for owner, variables in (("process-instance", "variables"), ("execution", "localVariables")):
            path = f"{owner}/{{id}}/{variables}"
            routes |= {
                f"GET {path}": lambda call: {name: dto(typed) for name, typed in self._variables(call).items()},
                f"POST {path}": self._modify,
                f"PATCH {path}": self._modify,
                f"GET {path}/{{name}}": lambda call: dto(self._variable(call)),
                f"PUT {path}/{{name}}": lambda call: self._set(call, {call.path["name"]: call.fields}, ()),
                f"DELETE {path}/{{name}}": lambda call: self._set(call, {}, [call.path["name"]]),
                f"GET {path}/{{name}}/data": self._data,
            }
        return routes

    def _definitions(self) -> dict[str, Handler]:
        routes: dict[str, Handler] = {
            "POST deployment/create": self._deploy,
            "GET deployment/{id}": lambda call: shape(self._row("deployment", call)),
            "DELETE deployment/{id}": lambda call: self._engine.undeploy(
                call.path["id"], cascade=call.query.get("cascade") == "true"
            ),
            "GET deployment/{id}/resources": self._resources,
        }
        for path in (
            "process-definition/{id}",
            "process-definition/key/{key}",
            "process-definition/key/{key}/tenant-id/{tenant}",
        ):
            routes |= {
                f"GET {path}": lambda call: shape(self._definition(call)),
                f"GET {path}/xml": self._xml,
                f"POST {path}/start": self._start,
            }
        return routes

    def _others(self) -> dict[str, Handler]:
        return {
            "GET version": lambda call: {"version": VERSION},
            "GET engine": lambda call: [{"name": "default"}],
            "GET authorization/check": self._check,
            "POST message": self._message,
            "POST signal": self._signal,
            "POST user/create": self._create_user,
            # As in Camunda without authorization: permissions and tenants may be written down, nobody asks for them.
            "POST authorization/create": lambda call: {"id": "not-enforced", **call.fields},
            "POST tenant/create": lambda call: None,
            "PUT tenant/{id}/user-members/{user}": lambda call: None,
        }

    # External and user tasks.

    def _error_details(self, call: Call) -> Content | None:
        text = self._external.error_details(call.path["id"])
        return None if text is None else Content("text/plain", text.encode("utf-8", "replace"))

    def _user_task(self, call: Call) -> Row:
        return self._row("user_view", call, missing="No matching task with id ")

    def _complete(self, call: Call) -> Any:
        variables = all_received(call.fields.get("variables"))
        with self._engine.command():
            row = self._user_task_to_change(call)
            instance = self._engine.instance(row["processInstanceId"])
            instance.fire(row["id"], variables)
            if call.fields.get("withVariablesInReturn"):
                return {name: dto(typed) for name, typed in instance.scopes.visible([instance.id]).items()}
        return None

    def _user_task_to_change(self, call: Call) -> Row:
        row = self._store.row("SELECT * FROM user_view WHERE id = ?", [call.path["id"]])
        if row is None:
            raise EngineError(f"Cannot find task with id {call.path['id']}: task is null")
        if row["suspended"]:
            raise EngineError(f"ENGINE-03043 Task with id '{row['id']}' is suspended.")
        return row

    def _assign(self, call: Call, user: str | None, *, unclaimed: bool = False) -> None:
        with self._engine.command():
            row = self._user_task_to_change(call)
            if unclaimed and row["assignee"] not in {None, user}:
                raise EngineError(f"Task '{row['id']}' is already claimed by someone else.")
            self._store.run("UPDATE user_task SET assignee = ? WHERE id = ?", [user, row["id"]])

    def _task_variables(self, call: Call) -> dict[str, Any]:
        row = self._user_task(call)
        with self._engine.command():
            instance = self._engine.instance(row["processInstanceId"])
            seen = instance.scopes.visible(instance.chain(instance.task(row["id"])))
        return {name: dto(typed) for name, typed in seen.items()}

    # Instances and their variables.

    def _delete(self, call: Call) -> None:
        with self._engine.command():
            self._row("instance_view", call, missing="Process instance with id ")
            self._engine.delete(call.path["id"], call.query.get("deleteReason"))

    def _delete_all(self, call: Call) -> dict[str, Any]:
        """What other engines do by jobs of a batch is done at once, so the batch is over when it is answered."""
        ids = call.fields.get("processInstanceIds")
        if not ids:
            raise Invalid("the sandbox deletes the instances of processInstanceIds, and wants at least one")
        with self._engine.command():
            for instance_id in dict.fromkeys(ids):
                if self._store.row("SELECT id FROM instance_view WHERE id = ?", [instance_id]):
                    self._engine.delete(instance_id, call.fields.get("deleteReason"))
                elif call.fields.get("failIfNotExists", True):
                    raise NoResource(f"Process instance with id {instance_id} does not exist")
        return {"id": str(uuid4()), "type": "instance-deletion", "totalJobs": 1, "jobsCreated": 1}

    def _suspend(self, call: Call) -> None:
        with self._engine.command():
            self._row("instance_view", call)
            instance = self._engine.instance(call.path["id"])
            instance.row["suspended"] = int(bool(call.fields.get("suspended")))
            instance.changed = True
            self._engine.timers_changed()

    def _owner(self, call: Call) -> tuple[str, str]:
        """The instance and the scope that a path about variables names: an instance is its own scope."""
        scope = call.path["id"]
        statement = (
            "SELECT instanceId FROM activity WHERE taskId = ?1 AND endTime IS NULL"
            " UNION SELECT id FROM instance WHERE id = ?1 AND endTime IS NULL"
        )
        row = self._store.row(statement, [scope])
        if row is None:
            # A 500, as in Camunda; only the resource itself answers 404.
            raise EngineError(f"execution {scope} doesn't exist: execution is null")
        return row["instanceId"], scope

    def _variables(self, call: Call) -> dict[str, Any]:
        instance_id, scope = self._owner(call)
        return Scopes.load(self._store, instance_id).visible([scope])

    def _variable(self, call: Call) -> dict[str, Any]:
        found = self._variables(call)
        if call.path["name"] not in found:
            raise NoResource(f"variable with name {call.path['name']} does not exist")
        typed: dict[str, Any] = found[call.path["name"]]
        return typed

    def _data(self, call: Call) -> Content:
        typed = self._variable(call)
        return Content(typed["valueInfo"].get("mimeType") or "application/octet-stream", content(typed))

    def _modify(self, call: Call) -> None:
        self._set(call, call.fields.get("modifications") or {}, call.fields.get("deletions") or ())

    def _set(self, call: Call, modifications: Mapping[str, Any], deletions: Any) -> None:
        with self._engine.command():
            instance_id, scope = self._owner(call)
            scopes = self._engine.instance(instance_id).scopes
            scopes.set_local(scope, {name: received(name, value) for name, value in modifications.items()})
            scopes.delete(scope, deletions)

    # Deployments and definitions.

    def _deploy(self, call: Call) -> dict[str, Any]:
        def text(name: str) -> str | None:
            return call.parts[name][1].decode() if name in call.parts else None

        files = {file: data for file, data in call.parts.values() if file is not None}
        if not files:
            raise Invalid("No deployment resources contained in the form upload.")
        skip_equal = "true" in {text("enable-duplicate-filtering"), text("deploy-changed-only")}
        deployment, made = self._engine.deploy(
            text("deployment-name") or "",
            files,
            source=text("deployment-source"),
            tenant_id=text("tenant-id"),
            skip_equal=skip_equal,
        )
        deployed = {row["id"]: shape(row) for row in made} or None
        return {"links": [], **shape(deployment), "deployedProcessDefinitions": deployed}

    def _resources(self, call: Call) -> list[Row]:
        return self._store.rows("SELECT id, name, deploymentId FROM resource WHERE deploymentId = ?", [call.path["id"]])

    def _definition(self, call: Call) -> Row:
        if "key" in call.path:
            return self._engine.definition(call.path["key"], tenant_id=call.path.get("tenant"))
        return self._row("definition_view", call, missing="No matching definition with id ")

    def _xml(self, call: Call) -> dict[str, Any]:
        definition = self._definition(call)
        return {"id": definition["id"], "bpmn20Xml": self._engine.model(definition).decode()}

    def _start(self, call: Call) -> dict[str, Any]:
        definition = self._definition(call)
        if call.fields.get("startInstructions"):
            raise Invalid("the sandbox starts at start events only, without startInstructions")
        variables = all_received(call.fields.get("variables"))
        with self._engine.command():
            instance = self._engine.start(definition, variables=variables, business_key=call.fields.get("businessKey"))
            seen = instance.scopes.visible([instance.id])
        row = instance.row
        answer = {
            "links": [],
            "id": instance.id,
            "definitionId": row["definitionId"],
            "businessKey": row["businessKey"],
        }
        answer |= {"definitionKey": definition["key"], "caseInstanceId": None, "tenantId": row["tenantId"]}
        answer |= {"ended": instance.ended, "suspended": False}
        if call.fields.get("withVariablesInReturn"):
            answer["variables"] = {name: dto(typed) for name, typed in seen.items()}
        return answer

    # The rest.

    def _message(self, call: Call) -> Any:
        body = call.fields
        variables, keys = all_received(body.get("processVariables")), all_received(body.get("correlationKeys"))
        reached = self._engine.correlate(body, variables, keys)
        return reached if body.get("resultEnabled") else None

    def _signal(self, call: Call) -> None:
        if not call.fields.get("name"):
            raise Invalid("No signal name given")
        variables = all_received(call.fields.get("variables"))
        self._engine.signal(call.fields["name"], variables, execution_id=call.fields.get("executionId"))

    def _check(self, call: Call) -> dict[str, Any]:
        if call.user is None:
            raise LoginWanted("You must be authenticated in order to use this resource.")
        kept = {name: call.query.get(name) for name in ("permissionName", "resourceName", "resourceId")}
        return {**kept, "authorized": True}

    def _create_user(self, call: Call) -> None:
        with self._engine.command():
            password = call.fields["credentials"]["password"]
            self._store.put("login", {"id": call.fields["profile"]["id"], "password": password})

    def _row(self, view: str, call: Call, *, missing: str = "") -> Row:
        row = self._store.row(f"SELECT * FROM {view} WHERE id = ?", [call.path["id"]])  # noqa: S608 - our own names
        if row is None:
            raise (NotThere if view == "definition_view" else NoResource)(
                f"{missing or 'there is no '}{call.path['id']}"
            )
        return row


def answer(handler: Handler, call: Call) -> tuple[int, str, bytes]:
    """Call ``handler``: status, content type and body."""
    try:
        found = handler(call)
    except EngineError as error:
        return error.status, "application/json", json.dumps(error.body()).encode()
    if found is None:
        return 204, "", b""
    if isinstance(found, Content):
        return 200, found.type, found.data
    return 200, "application/json", json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")

"""The left bank's protocol over the Camunda 7 REST API."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from bptl.engines.base import (
    Definition,
    EngineUnavailable,
    ExternalTask,
    FetchRequest,
    Instance,
    InvalidRequest,
    LockRefused,
    NotAuthenticated,
    NotAuthorized,
    NotFound,
    Resource,
    TaskQuery,
    TextVariable,
    Variables,
    Waiting,
    WrongAddress,
)
from bptl.engines.camunda7 import wire
from bptl.engines.camunda7.credentials import Credentials
from bptl.engines.camunda7.errors import Operation
from bptl.engines.camunda7.transport import Transport, existing, given, part
from bptl.lib.http import Tls

ANSWER_MARGIN = timedelta(seconds=10)
"""How much longer than a long poll we wait for its answer."""

RESOURCE_TYPES = {
    Resource.PROCESS_DEFINITION: 6,
    Resource.PROCESS_INSTANCE: 8,
    Resource.DEPLOYMENT: 9,
    Resource.BATCH: 13,
}
"""The engine's numbers (org.camunda.bpm.engine.authorization.Resources)."""


class Camunda7:
    """One engine at ``base_url`` (the REST root, for instance ``https://host/engine-rest``); safe between threads.

    ``timeout`` is seconds for every call but a long poll, ``connections`` the number kept open, ``engine_name`` one
    of several engines behind the address, ``tls`` whom we trust and who we are there. Raises the errors of
    ``bptl.engines.base`` and no others.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        timeout: float = 20.0,
        connections: int = 32,
        engine_name: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._engine_name = engine_name
        self._rest = Transport(
            base_url,
            credentials=credentials,
            timeout=timeout,
            connections=connections,
            engine_name=engine_name,
            tls=tls,
        )

    def version(self) -> str:
        """The engine's version. WrongAddress when the address has no engine of our name."""
        version = self._rest.read("GET", "version").get("version")
        if self._engine_name:  # The version is answered for any name.
            names = [engine.get("name") for engine in self._rest.read("GET", "engine", above=True)]
            if self._engine_name not in names:
                raise WrongAddress(f"the engines at this address are {names}, not {self._engine_name}", sent=True)
        return str(version or "")

    def may_fetch(self, *, definition_key: str | None = None) -> bool | None:
        """GET authorization/check of what a fetch needs: to read and to update instances, all or those of a definition.

        True also where the engine's authorization is switched off.
        """
        return self._checked(
            lambda: all(
                self._may(verb, Resource.PROCESS_INSTANCE)
                or self._may(f"{verb}_INSTANCE", Resource.PROCESS_DEFINITION, resource_id=definition_key)
                for verb in ("READ", "UPDATE")
            )
        )

    def may(self, permission: str, *, on: Resource) -> bool | None:
        """GET authorization/check for every resource of a kind. True also where authorization is switched off."""
        return self._checked(lambda: self._may(permission, on))

    def _checked(self, check: Callable[[], bool]) -> bool | None:
        try:
            return check()
        except NotAuthenticated:
            # The check wants a login even where nothing else does; with wrong credentials this raises again.
            self.version()
            return None

    def _may(self, permission: str, resource: Resource, *, resource_id: str | None = None) -> bool:
        wanted = {
            "permissionName": permission,
            "resourceName": resource.title(),
            "resourceType": RESOURCE_TYPES[resource],
            "resourceId": resource_id,
        }
        return bool(self._rest.read("GET", "authorization/check", query=wanted)["authorized"])

    def fetch(self, request: FetchRequest) -> Sequence[ExternalTask]:
        """POST external-task/fetchAndLock; waits ``request.wait`` and a margin for the answer."""
        timeout = None if request.wait is None else (request.wait + ANSWER_MARGIN).total_seconds()
        body = wire.fetch_body(request)
        path = "external-task/fetchAndLock"
        found = self._rest.read("POST", path, body=body, timeout=timeout, operation=Operation.FETCH)
        return [wire.external_task(item) for item in found]

    def complete(
        self, task_id: str, *, worker_id: str, variables: Variables, local_variables: Variables | None = None
    ) -> None:
        """POST external-task/{id}/complete."""
        self._task(
            task_id,
            "complete",
            workerId=worker_id,
            variables=wire.sent_variables(variables),
            localVariables=wire.sent_variables(local_variables or {}),
        )

    def fail(
        self,
        task_id: str,
        *,
        worker_id: str,
        message: str,
        details: str,
        retries: int,
        retry_timeout: timedelta,
        variables: Variables | None = None,
    ) -> None:
        """POST external-task/{id}/failure; ``message`` is cut to 666 characters here, where an ellipsis can show it."""
        self._task(
            task_id,
            "failure",
            workerId=worker_id,
            errorMessage=wire.short_message(message),
            errorDetails=wire.storable(details),
            retries=retries,
            retryTimeout=wire.milliseconds(retry_timeout),
            variables=wire.sent_variables(variables or {}),
        )

    def throw(
        self, task_id: str, *, worker_id: str, code: str, message: str, variables: Variables | None = None
    ) -> None:
        """POST external-task/{id}/bpmnError. An empty message is left out, the engine refuses it."""
        self._task(
            task_id,
            "bpmnError",
            workerId=worker_id,
            errorCode=code,
            errorMessage=wire.storable(message) or None,
            variables=wire.sent_variables(variables or {}),
        )

    def extend(self, task_id: str, *, worker_id: str, duration: timedelta) -> None:
        """POST external-task/{id}/extendLock."""
        self._task(task_id, "extendLock", workerId=worker_id, newDuration=wire.milliseconds(duration))

    def unlock(self, task_id: str) -> None:
        """POST external-task/{id}/unlock."""
        self._task(task_id, "unlock")

    def set_retries(self, task_id: str, retries: int) -> None:
        """PUT external-task/{id}/retries."""
        self._task(task_id, "retries", method="PUT", retries=retries)

    def get(self, task_id: str) -> ExternalTask:
        """GET external-task/{id}. NotAuthorized when it exists and is hidden from us (rights, tenant)."""
        try:
            return wire.external_task(self._rest.read("GET", f"external-task/{part(task_id)}"))
        except NotFound as gone:
            # The engine answers 404 for a task that we may not read, too. It looks for the task before it looks at
            # owner and rights, so extending it for an id that owns nothing tells the two apart and changes nothing.
            try:
                self.extend(task_id, worker_id=f"nobody-{uuid4()}", duration=timedelta(milliseconds=1))
            except (LockRefused, NotAuthorized) as error:
                raise NotAuthorized(f"task {task_id} exists, but we may not read it", status=404) from error
            raise gone from None

    def list(self, query: TaskQuery, *, first: int = 0, maximum: int = 100) -> Sequence[ExternalTask]:
        """POST external-task, sorted by id so that pages do not overlap."""
        body = {**wire.query_body(query), "sorting": [{"sortBy": "id", "sortOrder": "asc"}]}
        page = {"firstResult": first, "maxResults": maximum}
        return [wire.external_task(item) for item in self._rest.read("POST", "external-task", query=page, body=body)]

    def count(self, query: TaskQuery) -> int:
        """POST external-task/count."""
        return int(self._rest.read("POST", "external-task/count", body=wire.query_body(query))["count"])

    def error_details(self, task_id: str) -> str:
        """GET external-task/{id}/errorDetails."""
        path = f"external-task/{part(task_id)}/errorDetails"
        # The engine answers a missing id with 500, so the task itself is asked whether it exists.
        return existing(lambda: self._rest.call("GET", path, wanted={200, 204}), lambda: self.get(task_id)).text

    def topic_names(
        self, *, locked: bool | None = None, unlocked: bool | None = None, with_retries_left: bool | None = None
    ) -> Sequence[str]:
        """GET external-task/topic-names."""
        query = {"withLockedTasks": locked, "withUnlockedTasks": unlocked, "withRetriesLeft": with_retries_left}
        return [str(name) for name in self._rest.read("GET", "external-task/topic-names", query=query)]

    def waiting_topics(self, *, within: timedelta) -> Sequence[Waiting]:
        """GET external-task/topic-names, then for each topic POST external-task/count and the oldest of the list.

        Topics come whatever their tasks: those of which a fetch could have none now are left out.
        """
        end = time.monotonic() + within.total_seconds()

        def read(method: str, path: str, **options: Any) -> Any:
            if (left := end - time.monotonic()) <= 0:
                raise EngineUnavailable(f"not all topics were answered within {within.total_seconds():g} s", sent=True)
            return self._rest.read(method, path, timeout=left, **options)

        found = []
        for name in sorted(read("GET", "external-task/topic-names", query={"withUnlockedTasks": True})):
            wanted = wire.query_body(TaskQuery(topic=name, locked=False, with_retries_left=True, suspended=False))
            if count := int(read("POST", "external-task/count", body=wanted)["count"]):
                found.append(Waiting(str(name), count, self._oldest(read, wanted)))
        return found

    def _oldest(self, read: Callable[..., Any], wanted: Mapping[str, Any]) -> datetime | None:
        body = {**wanted, "sorting": [{"sortBy": "createTime", "sortOrder": "asc"}]}
        try:
            tasks = read("POST", "external-task", query={"firstResult": 0, "maxResults": 1}, body=body)
        except InvalidRequest:
            return None  # Older than 7.21, it does not keep the time.
        return wire.external_task(tasks[0]).created_at if tasks else None

    def definitions(
        self,
        *,
        ids: Sequence[str] | None = None,
        key: str | None = None,
        version: int | None = None,
        latest: bool = False,
    ) -> Sequence[Definition]:
        """GET process-definition, all pages."""
        query = {"key": key, "version": version, "latestVersion": latest or None, "sortBy": "id", "sortOrder": "asc"}
        query |= {"processDefinitionIdIn": None if ids is None else ",".join(ids)}
        return [wire.definition(item) for item in self._rest.pages("process-definition", query)]

    def definition_xml(self, definition_id: str) -> str:
        """GET process-definition/{id}/xml."""
        return str(self._rest.read("GET", f"process-definition/{part(definition_id)}/xml")["bpmn20Xml"])

    def deploy(self, name: str, files: Mapping[str, bytes], *, tenant_id: str | None = None) -> str:
        """POST deployment/create; resources equal to those of the last deployment of this name are skipped."""
        fields: dict[str, Any] = {
            "deployment-name": name,
            "deployment-source": "BPTL",
            "enable-duplicate-filtering": "true",
            "deploy-changed-only": "true",
        }
        if tenant_id is not None:
            fields["tenant-id"] = tenant_id
        for index, (filename, content) in enumerate(files.items()):
            fields[f"file-{index}"] = (filename, content, "application/octet-stream")
        return str(self._rest.read("POST", "deployment/create", fields=fields)["id"])

    def instances(
        self,
        *,
        ids: Sequence[str] | None = None,
        definition_key: str | None = None,
        business_key: str | None = None,
        variable: TextVariable | None = None,
        roots: bool = False,
        first: int = 0,
        maximum: int = 100,
    ) -> Sequence[Instance]:
        """POST process-instance, by id."""
        named = {"businessKey": business_key, "processInstanceIds": None if ids is None else [*ids]}
        wanted = wire.instance_query(definition_key, variable, roots=roots) | given(named)
        return self._instances("process-instance", wanted, first, maximum)

    def delete_instances(self, ids: Sequence[str], *, reason: str) -> str:
        """POST process-instance/delete; the id of the batch."""
        body = {
            "processInstanceIds": [*ids],
            "deleteReason": wire.storable(reason),
            "skipCustomListeners": True,
            "skipSubprocesses": False,
            "failIfNotExists": False,
        }
        return str(self._rest.read("POST", "process-instance/delete", body=body)["id"])

    def past_instances(
        self,
        *,
        definition_key: str | None = None,
        variable: TextVariable | None = None,
        roots: bool = False,
        first: int = 0,
        maximum: int = 100,
    ) -> Sequence[Instance]:
        """POST history/process-instance, by id."""
        wanted = wire.instance_query(definition_key, variable, roots=roots)
        return self._instances("history/process-instance", wanted, first, maximum)

    def _instances(self, path: str, wanted: Mapping[str, Any], first: int, maximum: int) -> Sequence[Instance]:
        page = {"firstResult": first, "maxResults": maximum}
        return [wire.instance(item) for item in self._rest.read("POST", path, query=page, body=wanted)]

    def caller(self, process_instance_id: str) -> Instance | None:
        """GET process-instance?subProcessInstance. None also for an instance that we may not read."""
        query = {"subProcessInstance": process_instance_id, "maxResults": 1}
        found = self._rest.read("GET", "process-instance", query=query)
        return wire.instance(found[0]) if found else None

    def start(
        self,
        *,
        key: str | None = None,
        definition_id: str | None = None,
        business_key: str | None = None,
        variables: Variables | None = None,
        tenant_id: str | None = None,
    ) -> Instance:
        """POST process-definition/…/start. NotFound without such a definition that we may see."""
        body = given({"variables": wire.sent_variables(variables or {}), "businessKey": business_key})
        if key is not None and definition_id is None:
            tenant = f"/tenant-id/{part(tenant_id)}" if tenant_id is not None else ""
            path = f"process-definition/key/{part(key)}{tenant}/start"
            return wire.instance(self._rest.read("POST", path, body=body))
        if definition_id is None or key is not None:
            raise ValueError("start wants either key or definition_id")
        path = f"process-definition/{part(definition_id)}"
        started = existing(
            lambda: self._rest.read("POST", f"{path}/start", body=body), lambda: self._rest.read("GET", path)
        )
        return wire.instance(started)

    def correlate(
        self,
        message: str,
        *,
        process_instance_id: str | None = None,
        business_key: str | None = None,
        correlation_keys: Variables | None = None,
        variables: Variables | None = None,
        everywhere: bool = False,
    ) -> None:
        """POST message. EngineRefused when nothing waits for it, or (unless ``everywhere``) more than one does."""
        body = {
            "messageName": message,
            "processInstanceId": process_instance_id,
            "businessKey": business_key,
            "correlationKeys": wire.sent_variables(correlation_keys or {}),
            "processVariables": wire.sent_variables(variables or {}),
            "all": everywhere,
        }
        self._rest.do("POST", "message", body=given(body))

    def signal(self, name: str, *, variables: Variables | None = None, execution_id: str | None = None) -> None:
        """POST signal. That nobody waits for it is no error."""
        body = {"name": name, "executionId": execution_id, "variables": wire.sent_variables(variables or {})}
        self._rest.do("POST", "signal", body=given(body))

    def variables(self, process_instance_id: str, names: Sequence[str] | None = None) -> Variables:
        """GET process-instance/{id}/variables; ``names`` chooses here, the API cannot."""
        path = f"process-instance/{part(process_instance_id)}"
        data = existing(
            lambda: self._rest.read("GET", f"{path}/variables", query={"deserializeValues": False}),
            lambda: self._rest.read("GET", path),
        )
        found = wire.received_variables(data)
        return found if names is None else {name: found[name] for name in names if name in found}

    def set_variables(self, process_instance_id: str, variables: Variables, *, execution_id: str | None = None) -> None:
        """POST execution/{id}/localVariables, then process-instance/{id}/variables; each all or none."""
        rest = dict(variables)
        # The execution of an activity without a scope of its own is that of the instance.
        if execution_id is not None and execution_id != process_instance_id:
            owner = f"execution/{part(execution_id)}"
            local = existing(
                lambda: self._rest.read("GET", f"{owner}/localVariables", query={"deserializeValues": False}),
                lambda: self._rest.read("GET", owner),
            )
            if here := {name: rest.pop(name) for name in list(rest) if name in local}:
                self._modify(owner, "localVariables", here)
        if rest:
            self._modify(f"process-instance/{part(process_instance_id)}", "variables", rest)

    def _modify(self, owner: str, kind: str, variables: Variables) -> None:
        body = {"modifications": wire.sent_variables(variables)}
        existing(lambda: self._rest.do("POST", f"{owner}/{kind}", body=body), lambda: self._rest.read("GET", owner))

    def file(self, name: str, *, process_instance_id: str, execution_id: str | None = None) -> bytes:
        """The bytes of a File or Bytes variable: the execution's own, else the instance's. NotFound without either."""
        if execution_id is not None and execution_id != process_instance_id:
            try:
                return self._data(f"execution/{part(execution_id)}", f"localVariables/{part(name)}/data")
            except NotFound:
                pass
        return self._data(f"process-instance/{part(process_instance_id)}", f"variables/{part(name)}/data")

    def close(self) -> None:
        """Close kept connections."""
        self._rest.close()

    def _task(self, task_id: str, verb: str, *, method: str = "POST", **body: Any) -> None:
        self._rest.do(method, f"external-task/{part(task_id)}/{verb}", body=body, operation=Operation.TASK)

    def _data(self, owner: str, path: str) -> bytes:
        return existing(lambda: self._rest.call("GET", f"{owner}/{path}"), lambda: self._rest.read("GET", owner)).body

"""Data transfer objects of the Camunda 7 REST API ↔ the left bank's dataclasses.

Unknown keys are ignored and absent ones are empty: older engines lack some (createTime before 7.21, for instance).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bptl.engines.base import (
    Definition,
    ExternalTask,
    FetchRequest,
    Instance,
    TaskQuery,
    TextVariable,
    TopicRequest,
    Variables,
)
from bptl.engines.variables import Variable

LONGEST_MESSAGE = 666
"""Where the engine cuts an error message, in UTF-16 units."""


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds, as every duration of this API."""
    return duration // timedelta(milliseconds=1)


def sent_variables(variables: Variables) -> dict[str, Any]:
    """``variables`` as a map of VariableValueDto."""
    return {name: variable.to_json() for name, variable in variables.items()}


def received_variables(data: Mapping[str, Any] | None) -> dict[str, Variable]:
    """A map of VariableValueDto as variables."""
    return {name: Variable.from_json(value) for name, value in (data or {}).items()}


def storable(text: str) -> str:
    """``text`` without what PostgreSQL or JSON cannot carry (NUL, lone surrogates): no report may fail on that."""
    return text.replace("\0", "\ufffd").encode("utf-8", errors="replace").decode("utf-8")


def short_message(text: str) -> str:
    """``text`` cut to what the engine keeps, with an ellipsis that shows the cut."""
    text = storable(text)
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * LONGEST_MESSAGE:
        return text
    return encoded[: 2 * (LONGEST_MESSAGE - 1)].decode("utf-16-le", errors="ignore") + "…"


def fetch_body(request: FetchRequest) -> dict[str, Any]:
    """The FetchExternalTasksExtendedDto of ``request``."""
    body: dict[str, Any] = {
        "workerId": request.worker_id,
        "maxTasks": request.max_tasks,
        "usePriority": request.use_priority,
        "topics": [_topic_body(topic) for topic in request.topics],
    }
    if request.wait is not None:
        body["asyncResponseTimeout"] = milliseconds(request.wait)
    if request.oldest_first:
        body["sorting"] = [{"sortBy": "createTime", "sortOrder": "asc"}]
    return body


def _topic_body(topic: TopicRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "topicName": topic.topic,
        "lockDuration": milliseconds(topic.lock_duration),
        "localVariables": topic.local_variables,
        # A class that the engine lacks would make the whole fetch fail.
        "deserializeValues": False,
        "includeExtensionProperties": topic.include_extension_properties,
    }
    if topic.variables is not None:
        body["variables"] = list(topic.variables)
    if topic.business_key is not None:
        body["businessKey"] = topic.business_key
    if topic.process_definition_ids:
        body["processDefinitionIdIn"] = list(topic.process_definition_ids)
    if topic.process_definition_keys:
        body["processDefinitionKeyIn"] = list(topic.process_definition_keys)
    if topic.process_definition_version_tag is not None:
        body["processDefinitionVersionTag"] = topic.process_definition_version_tag
    if topic.tenant_ids:
        body["tenantIdIn"] = list(topic.tenant_ids)
    if topic.without_tenant:
        body["withoutTenantId"] = True
    if topic.process_variables:
        body["processVariables"] = dict(topic.process_variables)
    return body


def query_body(query: TaskQuery) -> dict[str, Any]:
    """The filters of an ExternalTaskQueryDto."""
    body: dict[str, Any] = {
        "workerId": query.worker_id,
        "topicName": query.topic,
        "processInstanceId": query.process_instance_id,
        "processDefinitionId": query.process_definition_id,
        "activityId": query.activity_id,
    }
    for wanted, yes, no in (
        (query.locked, "locked", "notLocked"),
        (query.with_retries_left, "withRetriesLeft", "noRetriesLeft"),
        (query.suspended, "suspended", "active"),
    ):
        if wanted is not None:
            body[yes if wanted else no] = True
    if query.tenant_ids:
        body["tenantIdIn"] = list(query.tenant_ids)
    return {name: value for name, value in body.items() if value is not None}


def external_task(data: Mapping[str, Any]) -> ExternalTask:
    """A LockedExternalTaskDto or ExternalTaskDto."""
    return ExternalTask(
        id=data["id"],
        topic=data.get("topicName") or "",
        worker_id=data.get("workerId"),
        lock_expires_at=_moment(data.get("lockExpirationTime")),
        created_at=_moment(data.get("createTime")),
        activity_id=data.get("activityId") or "",
        activity_instance_id=data.get("activityInstanceId") or "",
        execution_id=data.get("executionId") or "",
        process_instance_id=data.get("processInstanceId") or "",
        process_definition_id=data.get("processDefinitionId") or "",
        process_definition_key=data.get("processDefinitionKey") or "",
        process_definition_version_tag=data.get("processDefinitionVersionTag") or "",
        business_key=data.get("businessKey") or "",
        tenant_id=data.get("tenantId") or "",
        priority=data.get("priority") or 0,
        retries=data.get("retries"),
        suspended=bool(data.get("suspended")),
        error_message=data.get("errorMessage") or "",
        error_details=data.get("errorDetails") or "",
        variables=received_variables(data.get("variables")),
        extension_properties=dict(data.get("extensionProperties") or {}),
    )


def definition(data: Mapping[str, Any]) -> Definition:
    """A ProcessDefinitionDto."""
    return Definition(
        id=data["id"],
        key=data["key"],
        version=data["version"],
        name=data.get("name") or "",
        version_tag=data.get("versionTag") or "",
        tenant_id=data.get("tenantId") or "",
        deployment_id=data.get("deploymentId") or "",
        suspended=bool(data.get("suspended")),
    )


def instance_query(definition_key: str | None, variable: TextVariable | None, *, roots: bool) -> dict[str, Any]:
    """A ProcessInstanceQueryDto or HistoricProcessInstanceQueryDto, sorted so that pages do not overlap."""
    body: dict[str, Any] = {"sorting": [{"sortBy": "instanceId", "sortOrder": "asc"}]}
    if definition_key is not None:
        body["processDefinitionKey"] = definition_key
    if variable is not None:
        name, text = variable
        body["variables"] = [
            {"name": name, "operator": "eq", "value": text}
            if text is not None
            else {"name": name, "operator": "like", "value": "%"}
        ]
    if roots:
        body["rootProcessInstances"] = True
    return body


def instance(data: Mapping[str, Any]) -> Instance:
    """A ProcessInstanceDto or HistoricProcessInstanceDto; the former has no key of its definition before 7.21."""
    definition_id = data.get("definitionId") or data.get("processDefinitionId") or ""
    # An id is key:version:number, unless that would be too long.
    in_id = definition_id.partition(":")[0] if definition_id.count(":") == 2 else ""
    return Instance(
        id=data["id"],
        definition_id=definition_id,
        definition_key=data.get("definitionKey") or data.get("processDefinitionKey") or in_id,
        business_key=data.get("businessKey") or "",
        tenant_id=data.get("tenantId") or "",
        suspended=bool(data.get("suspended")),
    )


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None  # An engine with a date format of its own; the time is only shown.

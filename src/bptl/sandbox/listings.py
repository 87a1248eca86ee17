"""Lists and counts of the API: which filters each has, as SQL, and how its rows look on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bptl.sandbox.clock import read, shown
from bptl.sandbox.errors import Invalid
from bptl.sandbox.store import Row, Store
from bptl.sandbox.variables import dto

_TIMES = {"lockExpirationTime", "createTime", "created", "startTime", "endTime", "incidentTimestamp", "timestamp"}
_TIMES |= {"deploymentTime"}
_FLAGS = {
    "suspended",
    "ended",
    "canceled",
    "creationLog",
    "failureLog",
    "successLog",
    "deletionLog",
    "startableInTasklist",
}
_HIDDEN = {
    "errorDetails",
    "propertiesJson",
    "scopesJson",
    "instanceId",
    "position",
    "latest",
    "candidateUsers",
    "candidateGroups",
    "live",
}
_NEUTRAL = {"sortBy", "sortOrder", "sorting", "firstResult", "maxResults", "deserializeValues"}
"""What says nothing about which rows are wanted."""


@dataclass(frozen=True)
class Listing:
    """A view and its filters: name → condition. Without ``?`` it is a flag; with ``IN ?`` it takes several values."""

    view: str
    filters: Mapping[str, str]
    sorts: Mapping[str, str] = field(default_factory=dict)
    order: str = "id"
    by_variables: bool = False
    """Whether ``variables`` ([{name, operator, value}], texts of the instance itself) selects too."""

    def rows(self, store: Store, given: Mapping[str, Any], *, now: int, first: int = 0, maximum: int = -1) -> list[Row]:
        """The rows that ``given`` selects. Raises Invalid for filters that the sandbox does not know."""
        where, values = self._where(given, now)
        statement = f"SELECT * FROM {self.view} WHERE {where} ORDER BY {self._order(given)} LIMIT ? OFFSET ?"  # noqa: S608
        return store.rows(statement, [*values, maximum, first])

    def count(self, store: Store, given: Mapping[str, Any], *, now: int) -> int:
        """How many rows ``given`` selects."""
        where, values = self._where(given, now)
        return int(store.rows(f"SELECT count(*) AS n FROM {self.view} WHERE {where}", values)[0]["n"])  # noqa: S608

    def _where(self, given: Mapping[str, Any], now: int) -> tuple[str, list[Any]]:
        conditions, values = ["1"], list[Any]()
        for name, value in given.items():
            if name in _NEUTRAL or value is None:
                continue
            if name == "variables" and self.by_variables:
                for wanted in value:
                    condition, given_values = _by_variable(self.view, wanted)
                    conditions.append(condition)
                    values += given_values
                continue
            if name not in self.filters:
                raise Invalid(f"the sandbox does not filter by '{name}' here; it knows {', '.join(self.filters)}")
            condition = self.filters[name].replace(":now", str(now))
            if "IN ?" in condition:
                several = value.split(",") if isinstance(value, str) else list(value)
                conditions.append(condition.replace("IN ?", f"IN ({', '.join('?' * len(several))})"))
                values += several
            elif "?" in condition:
                conditions.append(condition)
                values += [_timed(name, value)] * condition.count("?")
            elif value is True or value == "true":
                conditions.append(condition)
        return " AND ".join(f"({condition})" for condition in conditions), values

    def _order(self, given: Mapping[str, Any]) -> str:
        wanted = given.get("sorting") or [{"sortBy": given.get("sortBy"), "sortOrder": given.get("sortOrder")}]
        found = []
        for item in wanted:
            by, order = item.get("sortBy"), item.get("sortOrder") or "asc"
            if by and by not in {"id", *self.sorts}:
                raise Invalid(f"Cannot set query sortBy parameter to value '{by}'")
            if by:
                found.append(f"{self.sorts.get(by, 'id')} {'DESC' if order == 'desc' else 'ASC'}")
        return ", ".join([*found, self.order])


def _by_variable(view: str, wanted: Any) -> tuple[str, list[Any]]:
    operators = {"eq": "=", "like": "LIKE"}
    if not isinstance(wanted, dict) or wanted.get("operator") not in operators or not isinstance(wanted["value"], str):
        raise Invalid("the sandbox selects by variables that are 'eq' or 'like' a text, and by no others")
    condition = (
        f"EXISTS (SELECT 1 FROM variable v WHERE v.instanceId = {view}.id AND v.scopeId = {view}.id"  # noqa: S608
        f" AND v.name = ? AND json_extract(v.typedJson, '$.value') {operators[wanted['operator']]} ?)"
    )
    return condition, [wanted["name"], wanted["value"]]


def _timed(name: str, value: Any) -> Any:
    return read(value) if isinstance(value, str) and name.endswith(("Before", "After")) else value


def shape(row: Row) -> dict[str, Any]:
    """A row as a data transfer object."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name == "typedJson":
            found |= dto(json.loads(value))
        elif name not in _HIDDEN:
            found[name] = (
                shown(int(value)) if name in _TIMES and value is not None else bool(value) if name in _FLAGS else value
            )
    return found


def _equal(*names: str, **others: str) -> dict[str, str]:
    return {name: f"{name} = ?" for name in names} | {name: f"{column} = ?" for name, column in others.items()}


_OWNER = _equal("processInstanceId", "processDefinitionId", "processDefinitionKey") | {
    "tenantIdIn": "tenantId IN ?",
    "withoutTenantId": "tenantId IS NULL",
    "processInstanceIdIn": "processInstanceId IN ?",
}
_CANDIDATE = "assignee IS NULL AND ',' || replace({}, ' ', '') || ',' LIKE '%,' || ? || ',%'"
_ACTIVE = {"active": "suspended = 0", "suspended": "suspended = 1"}
_PAST = {"finished": "endTime IS NOT NULL", "unfinished": "endTime IS NULL"}
_PAST |= {"startedBefore": "startTime <= ?", "startedAfter": "startTime >= ?"}
_PAST |= {"finishedBefore": "endTime <= ?", "finishedAfter": "endTime >= ?"}

LISTINGS: Mapping[str, Listing] = {
    "external-task": Listing(
        "external_view",
        _OWNER
        | _ACTIVE
        | _equal("topicName", "workerId", "activityId", "executionId", externalTaskId="id")
        | {
            "externalTaskIdIn": "id IN ?",
            "activityIdIn": "activityId IN ?",
            "locked": "lockExpirationTime > :now",
            "notLocked": "lockExpirationTime IS NULL OR lockExpirationTime <= :now",
            "lockExpirationBefore": "lockExpirationTime <= ?",
            "lockExpirationAfter": "lockExpirationTime >= ?",
            "withRetriesLeft": "retries IS NULL OR retries > 0",
            "noRetriesLeft": "retries = 0",
            "priorityHigherThanOrEquals": "priority >= ?",
            "priorityLowerThanOrEquals": "priority <= ?",
        },
        {"taskPriority": "priority", "createTime": "createTime", "lockExpirationTime": "lockExpirationTime"}
        | {"processInstanceId": "processInstanceId"},
    ),
    "task": Listing(
        "user_view",
        _OWNER
        | _ACTIVE
        | _equal("name", "assignee", "taskDefinitionKey", "executionId", taskId="id")
        | {
            "unassigned": "assignee IS NULL",
            "assigned": "assignee IS NOT NULL",
            "taskDefinitionKeyIn": "taskDefinitionKey IN ?",
            "processInstanceBusinessKey": "businessKey = ?",
            "candidateGroup": _CANDIDATE.format("candidateGroups"),
            "candidateUser": _CANDIDATE.format("candidateUsers"),
        },
        {"created": "created", "name": "name", "priority": "priority", "dueDate": "due", "assignee": "assignee"},
        "created, id",
    ),
    "process-instance": Listing(
        "instance_view",
        _ACTIVE
        | _equal("businessKey", "processDefinitionId", "processDefinitionKey", "superProcessInstance")
        | {
            "processInstanceIds": "id IN ?",
            "processDefinitionKeyIn": "processDefinitionKey IN ?",
            "businessKeyLike": "businessKey LIKE ?",
            "rootProcessInstances": "superProcessInstance IS NULL",
            "subProcessInstance": "id = (SELECT superProcessInstance FROM instance_view WHERE id = ?)",
            "tenantIdIn": "tenantId IN ?",
            "withoutTenantId": "tenantId IS NULL",
        },
        {"instanceId": "id", "businessKey": "businessKey", "definitionKey": "processDefinitionKey"},
        by_variables=True,
    ),
    "process-definition": Listing(
        "definition_view",
        _ACTIVE
        | _equal(
            "key", "version", "name", "versionTag", "deploymentId", processDefinitionId="id", resourceName="resource"
        )
        | {
            "processDefinitionIdIn": "id IN ?",
            "keysIn": "key IN ?",
            "keyLike": "key LIKE ?",
            "nameLike": "name LIKE ?",
            "latestVersion": "latest",
            "tenantIdIn": "tenantId IN ?",
            "withoutTenantId": "tenantId IS NULL",
        },
        {"key": "key", "name": "name", "version": "version", "deploymentId": "deploymentId"},
    ),
    "deployment": Listing(
        "deployment",
        _equal("id", "name", "source")
        | {"nameLike": "name LIKE ?", "tenantIdIn": "tenantId IN ?", "withoutTenantId": "tenantId IS NULL"},
        {"name": "name", "deploymentTime": "deploymentTime"},
    ),
    "incident": Listing(
        "incident_view",
        _equal("processInstanceId", "processDefinitionId", "activityId", "incidentType", "configuration", "executionId")
        | _equal("incidentMessage", incidentId="id")
        | {"tenantIdIn": "tenantId IN ?", "failedActivityId": "activityId = ?"},
        {"incidentTimestamp": "incidentTimestamp", "activityId": "activityId"},
    ),
    "execution": Listing(
        "execution_view",
        _ACTIVE
        | _equal("processInstanceId", "activityId")
        | {
            "signalEventSubscriptionName": "eventType = 'signal' AND eventName = ?",
            "messageEventSubscriptionName": "eventType = 'message' AND eventName = ?",
        },
    ),
    "history/process-instance": Listing(
        "past_instance",
        _PAST
        | _equal(
            "processDefinitionId",
            "processDefinitionKey",
            processInstanceId="id",
            processInstanceBusinessKey="businessKey",
        )
        | _equal("superProcessInstanceId")
        | {
            "completed": "state = 'COMPLETED'",
            "active": "state = 'ACTIVE'",
            "externallyTerminated": "state = 'EXTERNALLY_TERMINATED'",
            "internallyTerminated": "state = 'INTERNALLY_TERMINATED'",
            "processInstanceIds": "id IN ?",
            "processDefinitionKeyIn": "processDefinitionKey IN ?",
            "rootProcessInstances": "superProcessInstanceId IS NULL",
            "tenantIdIn": "tenantId IN ?",
            "withoutTenantId": "tenantId IS NULL",
        },
        {"startTime": "startTime", "endTime": "endTime", "instanceId": "id", "businessKey": "businessKey"},
        by_variables=True,
    ),
    "history/activity-instance": Listing(
        "past_activity",
        _PAST
        | _equal(
            "processInstanceId", "processDefinitionId", "activityId", "activityName", "activityType", "executionId"
        )
        | {"canceled": "canceled = 1", "activityInstanceId": "id = ?", "tenantIdIn": "tenantId IN ?"},
        {"startTime": "startTime", "endTime": "endTime", "activityId": "activityId", "occurrence": "position"},
        "position",
    ),
    "history/external-task-log": Listing(
        "past_task_log",
        _OWNER
        | _equal("externalTaskId", "topicName", "workerId", "errorMessage", logId="id")
        | {name: f"{name} = 1" for name in ("creationLog", "failureLog", "successLog", "deletionLog")}
        | {"activityIdIn": "activityId IN ?"},
        {"timestamp": "timestamp", "topicName": "topicName", "workerId": "workerId"},
        "timestamp",
    ),
    "history/variable-instance": Listing(
        "past_variable",
        _OWNER
        | _equal(variableName="name")
        | {"variableNameIn": "name IN ?", "includeDeleted": "1", "executionIdIn": "executionId IN ?"},
        {"variableName": "name"},
    ),
    "variable-instance": Listing(
        "(SELECT * FROM past_variable WHERE live = 1)",
        _OWNER | _equal(variableName="name"),
        {"variableName": "name"},
    ),
}
"""Path → what is listed there, by GET and by POST, and counted at ``…/count``."""

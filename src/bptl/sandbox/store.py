"""SQLite through the standard library: one connection, one writer. Columns are named as the API names its fields.

Times are milliseconds since 1970, flags 0 or 1, ``…Json`` columns JSON texts. With a file, a commit survives the end of
the process (kill -9); the file belongs to one process at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

Row = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deployment (id TEXT PRIMARY KEY, name, source, tenantId, deploymentTime INTEGER);
CREATE TABLE IF NOT EXISTS resource (id TEXT PRIMARY KEY, deploymentId, name, content BLOB);
CREATE TABLE IF NOT EXISTS definition (id TEXT PRIMARY KEY, key, version INTEGER, name, versionTag, tenantId,
  deploymentId, resource, suspended INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS instance (id TEXT PRIMARY KEY, definitionId, businessKey, tenantId, suspended INTEGER
  DEFAULT 0, superInstanceId, superTaskId, rootId, startTime INTEGER, endTime INTEGER, startActivityId, state,
  deleteReason, treeJson);
CREATE INDEX IF NOT EXISTS instance_super ON instance (superInstanceId);
CREATE INDEX IF NOT EXISTS instance_open ON instance (definitionId) WHERE endTime IS NULL;
CREATE TABLE IF NOT EXISTS variable (id TEXT PRIMARY KEY, instanceId, scopeId, name, typedJson, text, live INTEGER);
CREATE INDEX IF NOT EXISTS variable_instance ON variable (instanceId, name);
CREATE TABLE IF NOT EXISTS external_task (id TEXT PRIMARY KEY, instanceId, activityId, topicName, workerId,
  lockExpirationTime INTEGER, createTime INTEGER, priority INTEGER, retries INTEGER, errorMessage, errorDetails,
  propertiesJson, scopesJson);
CREATE INDEX IF NOT EXISTS external_topic ON external_task (topicName, lockExpirationTime);
CREATE INDEX IF NOT EXISTS external_worker ON external_task (workerId);
CREATE INDEX IF NOT EXISTS external_instance ON external_task (instanceId);
CREATE TABLE IF NOT EXISTS user_task (id TEXT PRIMARY KEY, instanceId, activityId, name, assignee, created INTEGER,
  due, followUp, priority INTEGER, candidateUsers, candidateGroups, formKey);
CREATE INDEX IF NOT EXISTS user_instance ON user_task (instanceId);
CREATE TABLE IF NOT EXISTS subscription (id TEXT PRIMARY KEY, instanceId, definitionId, executionId, activityId,
  eventType, eventName, createdDate INTEGER);
CREATE INDEX IF NOT EXISTS subscription_event ON subscription (eventType, eventName);
CREATE INDEX IF NOT EXISTS subscription_instance ON subscription (instanceId);
CREATE TABLE IF NOT EXISTS timer (id TEXT PRIMARY KEY, instanceId, definitionId, activityId, due INTEGER, repeats
  INTEGER, interval INTEGER);
CREATE INDEX IF NOT EXISTS timer_due ON timer (due);
CREATE TABLE IF NOT EXISTS incident (id TEXT PRIMARY KEY, instanceId, activityId, incidentType, configuration,
  incidentMessage, incidentTimestamp INTEGER);
CREATE INDEX IF NOT EXISTS incident_instance ON incident (instanceId);
CREATE TABLE IF NOT EXISTS activity (id TEXT PRIMARY KEY, instanceId, activityId, activityName, activityType,
  taskId, calledProcessInstanceId, startTime INTEGER, endTime INTEGER, canceled INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS activity_instance ON activity (instanceId);
CREATE TABLE IF NOT EXISTS task_log (id TEXT PRIMARY KEY, instanceId, externalTaskId, timestamp INTEGER, topicName,
  workerId, priority INTEGER, retries INTEGER, errorMessage, activityId, creationLog INTEGER, failureLog INTEGER,
  successLog INTEGER, deletionLog INTEGER);
CREATE INDEX IF NOT EXISTS task_log_instance ON task_log (instanceId);
CREATE TABLE IF NOT EXISTS login (id TEXT PRIMARY KEY, password);

CREATE TEMP VIEW instance_view AS SELECT i.id, definitionId, definitionId AS processDefinitionId, businessKey,
  i.tenantId, i.suspended, 0 AS ended, NULL AS caseInstanceId, superInstanceId AS superProcessInstance, d.key AS
  processDefinitionKey FROM instance i JOIN definition d ON d.id = definitionId WHERE endTime IS NULL;
CREATE TEMP VIEW owner AS SELECT i.id AS processInstanceId, definitionId AS processDefinitionId, businessKey,
  i.tenantId, i.suspended, i.rootId AS rootProcessInstanceId, d.key AS processDefinitionKey, d.versionTag AS
  processDefinitionVersionTag FROM instance i JOIN definition d ON d.id = definitionId;
CREATE TEMP VIEW external_view AS SELECT o.*, t.id, t.id AS executionId, activityId || ':' || t.id AS
  activityInstanceId, activityId, topicName, workerId, lockExpirationTime, createTime, priority, retries,
  errorMessage, errorDetails, propertiesJson, scopesJson FROM external_task t JOIN owner o ON o.processInstanceId =
  t.instanceId;
CREATE TEMP VIEW user_view AS SELECT o.*, t.id, t.id AS executionId, activityId AS taskDefinitionKey, name,
  assignee, created, due, followUp, priority, formKey, candidateUsers, candidateGroups, NULL AS owner, NULL AS
  description FROM user_task t JOIN owner o ON o.processInstanceId = t.instanceId;
CREATE TEMP VIEW incident_view AS SELECT o.processInstanceId, o.processDefinitionId, o.tenantId, t.id, activityId,
  activityId AS failedActivityId, incidentType, configuration, configuration AS executionId, incidentMessage,
  incidentTimestamp, t.id AS causeIncidentId, t.id AS rootCauseIncidentId, NULL AS annotation FROM incident t JOIN
  owner o ON o.processInstanceId = t.instanceId;
CREATE TEMP VIEW execution_view AS SELECT executionId AS id, o.processInstanceId, 0 AS ended, o.tenantId,
  o.suspended, eventType, eventName, activityId FROM subscription s JOIN owner o ON o.processInstanceId =
  s.instanceId UNION SELECT t.id, o.processInstanceId, 0, o.tenantId, o.suspended, NULL, NULL, activityId FROM
  external_task t JOIN owner o ON o.processInstanceId = t.instanceId;
CREATE TEMP VIEW past_instance AS SELECT i.id, businessKey, definitionId AS processDefinitionId, d.key AS
  processDefinitionKey, d.name AS processDefinitionName, d.version AS processDefinitionVersion, startTime, endTime,
  endTime - startTime AS durationInMillis, startActivityId, deleteReason, superInstanceId AS superProcessInstanceId,
  rootId AS rootProcessInstanceId, i.tenantId, state FROM instance i JOIN definition d ON d.id = definitionId;
CREATE TEMP VIEW past_activity AS SELECT t.id, activityId, activityName, activityType, taskId,
  calledProcessInstanceId, t.taskId AS executionId, o.processInstanceId, o.processDefinitionId,
  o.processDefinitionKey, o.tenantId, o.rootProcessInstanceId, startTime, endTime, endTime - startTime AS
  durationInMillis, canceled, t.rowid AS position FROM activity t JOIN owner o ON o.processInstanceId =
  t.instanceId;
CREATE TEMP VIEW past_variable AS SELECT v.id, v.name, o.processInstanceId, o.processDefinitionId,
  o.processDefinitionKey, o.tenantId, scopeId AS executionId, scopeId AS activityInstanceId, typedJson, CASE live
  WHEN 1 THEN 'CREATED' ELSE 'DELETED' END AS state, live FROM variable v JOIN owner o ON o.processInstanceId =
  v.instanceId;
CREATE TEMP VIEW past_task_log AS SELECT o.processInstanceId, o.processDefinitionId, o.processDefinitionKey,
  o.tenantId, o.rootProcessInstanceId, t.id, externalTaskId, timestamp, topicName, workerId, priority, retries,
  errorMessage, activityId, externalTaskId AS executionId, creationLog, failureLog, successLog, deletionLog FROM
  task_log t JOIN owner o ON o.processInstanceId = t.instanceId;
CREATE TEMP VIEW definition_view AS SELECT d.*, (SELECT max(o.version) FROM definition o WHERE o.key = d.key AND
  o.tenantId IS d.tenantId) = version AS latest, NULL AS category, NULL AS description, NULL AS diagram, NULL AS
  historyTimeToLive, 1 AS startableInTasklist FROM definition d;
"""


class StoreTaken(Exception):
    """Another process works with this file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} belongs to a sandbox that is running; stop that one or name another file")


class Store:
    """The data in ``path``, or in memory. Every use of it holds ``lock``."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = RLock()
        self._database = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None, timeout=0.5)
        self._database.row_factory = lambda cursor, row: dict(
            zip((item[0] for item in cursor.description), row, strict=True)
        )
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if path is None or "locked" not in str(error):
                raise
            raise StoreTaken(path) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a transaction inside another one is part of it."""
        with self.lock:
            if self._database.in_transaction:
                yield
                return
            self._database.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """What ``statement`` finds."""
        with self.lock:
            return self._database.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> Row | None:
        """The first of what ``statement`` finds."""
        return next(iter(self.rows(statement, values)), None)

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Change rows; how many."""
        with self.lock:
            return self._database.execute(statement, values).rowcount

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert a row, or update the one with its id."""
        marks = ", ".join("?" * len(row))
        renewed = ", ".join(f"{name} = excluded.{name}" for name in row)
        statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - our own names
        statement += f" ON CONFLICT (id) DO UPDATE SET {renewed}"
        self.run(statement, [*row.values()])

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._database.close()

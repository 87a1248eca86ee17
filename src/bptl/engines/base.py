"""What every engine keeps: the words of the left bank and one protocol.

All durations are ``timedelta``; all times are aware ``datetime`` of the engine's clock and only shown, never
compared with ours (design, rule 4). Every call has a time-out and raises only the errors below:

    EngineError
    ├── EngineUnavailable    no answer, 5xx of the infrastructure, 429: try again; ``sent``: may it have acted?
    │   └── WrongAddress     what answers there is not this engine's REST API: fix the address or the engine name
    ├── EngineConflict       rolled back because another transaction was first: send the same request again
    ├── NotAuthenticated     the engine does not know these credentials
    ├── NotAuthorized        the engine knows us and refuses; ``missing`` names the rights
    ├── NotFound             the task, instance, definition or file does not exist (any more)
    ├── LockRefused          a task operation was refused: another owner, expired, suspended; a get() says which
    ├── InvalidRequest       the engine cannot read what we sent (a value, a type, a filter): never right by repeating
    ├── NoEngine             the task has no engine: a caller of the REST API asked for it
    └── EngineRefused        the engine understood and failed on it, usually in a step after the task; rolled back
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from bptl.engines.variables import Variable
from bptl.lib.redaction import redact

Variables = Mapping[str, Variable]

TextVariable = tuple[str, str | None]
"""Name and text of a variable that an instance must have; None: any text."""


class EngineError(Exception):
    """Any refusal or silence of an engine. ``status`` is the HTTP status when there was an answer.

    The message may repeat what the engine, or a proxy before it, said: it is redacted.
    """

    def __init__(self, message: str, *, status: int | None = None, kind: str = "", code: int | None = None) -> None:
        self.message = redact(message)
        self.status = status
        self.kind = kind
        self.code = code
        super().__init__(self.message)


class EngineUnavailable(EngineError):
    """No usable answer: ``sent`` is False only if the request certainly never left; ``retry_after`` is their wish."""

    def __init__(
        self,
        message: str,
        *,
        sent: bool,
        retry_after: timedelta | None = None,
        status: int | None = None,
        kind: str = "",
        code: int | None = None,
    ) -> None:
        super().__init__(message, status=status, kind=kind, code=code)
        self.sent = sent
        self.retry_after = retry_after


class WrongAddress(EngineUnavailable):
    """An answer that this engine's REST API does not give: wrong base path, wrong engine name, a proxy's own page.

    It is *unavailable*, never NotFound: a misrouted request says nothing about a task, and routing comes back.
    """


class EngineConflict(EngineError):
    """Optimistic locking or a deadlock: rolled back, the same request may be sent again at once."""


class NotAuthenticated(EngineError):
    """401: wrong or missing credentials."""


class NotAuthorized(EngineError):
    """403: known, but not allowed. ``missing`` lists what the engine says is missing."""

    def __init__(self, message: str, *, missing: Sequence[str] = (), status: int = 403, kind: str = "") -> None:
        super().__init__(message, status=status, kind=kind)
        self.missing = tuple(missing)


class NotFound(EngineError):
    """404: it does not exist (any more)."""


class LockRefused(EngineError):
    """400 on a task operation: locked by another worker, lock expired, or the instance is suspended."""


class InvalidRequest(EngineError):
    """The engine cannot read the request; repeating it will not help."""


class EngineRefused(EngineError):
    """The engine tried and failed (for instance a script behind the task); everything is rolled back."""


class NoEngine(EngineError):
    """Asked of the engine of a task that has none."""

    def __init__(self) -> None:
        super().__init__("this task has no engine: it was asked for through the REST API")


@dataclass(frozen=True, slots=True)
class TopicRequest:
    """One topic of a fetch with every filter that a mapping can use.

    ``variables`` None fetches all, empty fetches none; ``process_variables`` with several entries is combined with OR
    by the engine. Source: POST /external-task/fetchAndLock.
    """

    topic: str
    lock_duration: timedelta
    variables: Sequence[str] | None = None
    local_variables: bool = False
    business_key: str | None = None
    process_definition_ids: Sequence[str] = ()
    process_definition_keys: Sequence[str] = ()
    process_definition_version_tag: str | None = None
    tenant_ids: Sequence[str] = ()
    without_tenant: bool = False
    process_variables: Mapping[str, Any] = field(default_factory=dict)
    include_extension_properties: bool = True


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One fetch: a worker id of its own, at most ``max_tasks``, waiting at most ``wait`` for work.

    Topics are unique: the engine keeps only the last of two entries of one topic, so ValueError is raised for that.
    """

    worker_id: str
    max_tasks: int
    topics: Sequence[TopicRequest]
    wait: timedelta | None = None
    use_priority: bool = True
    oldest_first: bool = False

    def __post_init__(self) -> None:
        names = [topic.topic for topic in self.topics]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(
                f"topics of one fetch must be unique; two filters on one topic need two fetches: {doubled}"
            )


@dataclass(frozen=True, slots=True)
class ExternalTask:
    """An external task as the engine shows it. ``variables`` and ``extension_properties`` come with a fetch only."""

    id: str
    topic: str
    worker_id: str | None = None
    lock_expires_at: datetime | None = None
    created_at: datetime | None = None
    activity_id: str = ""
    activity_instance_id: str = ""
    execution_id: str = ""
    process_instance_id: str = ""
    process_definition_id: str = ""
    process_definition_key: str = ""
    process_definition_version_tag: str = ""
    business_key: str = ""
    tenant_id: str = ""
    priority: int = 0
    retries: int | None = None
    suspended: bool = False
    error_message: str = ""
    error_details: str = ""
    variables: Variables = field(default_factory=dict)
    extension_properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Filters of a list of external tasks; None leaves a filter out."""

    worker_id: str | None = None
    topic: str | None = None
    locked: bool | None = None
    with_retries_left: bool | None = None
    process_instance_id: str | None = None
    process_definition_id: str | None = None
    activity_id: str | None = None
    tenant_ids: Sequence[str] = ()
    suspended: bool | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The tasks of one topic that a fetch could have now. ``oldest``: when its oldest task began, by the engine's
    clock; None where the engine does not say."""

    topic: str
    tasks: int
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a process definition."""

    id: str
    key: str
    version: int
    name: str = ""
    version_tag: str = ""
    tenant_id: str = ""
    deployment_id: str = ""
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Instance:
    """A running process instance."""

    id: str
    definition_id: str
    definition_key: str = ""
    business_key: str = ""
    tenant_id: str = ""
    suspended: bool = False


class Resource(StrEnum):
    """What permissions are given on."""

    PROCESS_DEFINITION = "process definition"
    PROCESS_INSTANCE = "process instance"
    DEPLOYMENT = "deployment"
    BATCH = "batch"


class Engine(Protocol):
    """The calls of the left bank, in the engine's own verbs. Task operations name the worker id that holds the lock."""

    def version(self) -> str:
        """The engine's version, for instance ``1.0.3``; also the cheapest question that needs credentials."""

    def may_fetch(self, *, definition_key: str | None = None) -> bool | None:
        """Whether our user may fetch tasks of this process (None: of every one), by the engine's own check.

        None when the engine asks nobody to log in.
        """

    def may(self, permission: str, *, on: Resource) -> bool | None:
        """Whether our user has ``permission`` (such as ``READ``) on all of a kind, by the engine's own check.

        None when the engine asks nobody to log in.
        """

    def fetch(self, request: FetchRequest) -> Sequence[ExternalTask]:
        """Fetch and lock. An unauthorised user gets an empty list, never an error."""

    def complete(
        self, task_id: str, *, worker_id: str, variables: Variables, local_variables: Variables | None = None
    ) -> None:
        """Report success. The engine goes on synchronously to the next wait state inside this call."""

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
        """Report failure; ``retries`` 0 makes an incident. The engine cuts ``message`` at 666 characters."""

    def throw(
        self, task_id: str, *, worker_id: str, code: str, message: str, variables: Variables | None = None
    ) -> None:
        """Throw a BPMN error. Not caught by the model, it ends the execution silently."""

    def extend(self, task_id: str, *, worker_id: str, duration: timedelta) -> None:
        """Set the lock to end ``duration`` (> 0) from now. LockRefused when it is another's or has expired."""

    def unlock(self, task_id: str) -> None:
        """Take the lock away, whoever holds it; wakes parked polls. Only right after a get() (design, rule 9)."""

    def set_retries(self, task_id: str, retries: int) -> None:
        """Set the number of retries left (≥ 0); more than 0 ends the incident."""

    def get(self, task_id: str) -> ExternalTask:
        """One external task without its variables; NotFound only when it is gone, NotAuthorized when it is hidden."""

    def list(self, query: TaskQuery, *, first: int = 0, maximum: int = 100) -> Sequence[ExternalTask]:
        """External tasks that match, by id."""

    def count(self, query: TaskQuery) -> int:
        """How many external tasks match."""

    def error_details(self, task_id: str) -> str:
        """The whole text of the last failure; empty when there is none."""

    def topic_names(
        self, *, locked: bool | None = None, unlocked: bool | None = None, with_retries_left: bool | None = None
    ) -> Sequence[str]:
        """Topics of the external tasks that exist now, filtered by one property at a time."""

    def waiting_topics(self, *, within: timedelta) -> Sequence[Waiting]:
        """The topics with tasks that nobody holds, that are not suspended and have retries left, by name.

        Only of tasks that we may read: without that right there are none, and no error. EngineUnavailable when not all
        was answered ``within`` this time.
        """

    def definitions(
        self,
        *,
        ids: Sequence[str] | None = None,
        key: str | None = None,
        version: int | None = None,
        latest: bool = False,
    ) -> Sequence[Definition]:
        """Process definitions that we may read; those that we may not are left out without a word."""

    def definition_xml(self, definition_id: str) -> str:
        """The BPMN of one definition."""

    def deploy(self, name: str, files: Mapping[str, bytes], *, tenant_id: str | None = None) -> str:
        """Deploy resources by file name, unchanged ones are skipped; answers the deployment id."""

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
        """Running process instances that match and that we may read, by id.

        ``ids`` leaves out all others (at least one), ``roots`` those that another one called.
        """

    def delete_instances(self, ids: Sequence[str], *, reason: str) -> str:
        """Let the engine delete these process instances (at least one) soon, by a batch; answers its id.

        What they called is deleted with them, and a call activity that one of them serves is cancelled. Listeners of
        the models are not run. Instances that are gone already are no error. ``reason`` stays in the history. Without
        the right to create the batch: NotAuthorized, and nothing is deleted.
        """

    def past_instances(
        self,
        *,
        definition_key: str | None = None,
        variable: TextVariable | None = None,
        roots: bool = False,
        first: int = 0,
        maximum: int = 100,
    ) -> Sequence[Instance]:
        """Process instances that match, running or ended, as far as the history is kept and we may read it.

        Without the right (READ_HISTORY on the process definition) or without history there are none: no error.
        """

    def caller(self, process_instance_id: str) -> Instance | None:
        """The instance whose call activity started this one; None for one that was not called."""

    def start(
        self,
        *,
        key: str | None = None,
        definition_id: str | None = None,
        business_key: str | None = None,
        variables: Variables | None = None,
        tenant_id: str | None = None,
    ) -> Instance:
        """Start an instance of the latest version of ``key`` or of exactly ``definition_id``."""

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
        """Deliver a message to the one waiting execution or start event; ``everywhere`` delivers to all."""

    def signal(self, name: str, *, variables: Variables | None = None, execution_id: str | None = None) -> None:
        """Broadcast a signal, or throw it into one execution."""

    def variables(self, process_instance_id: str, names: Sequence[str] | None = None) -> Variables:
        """Variables of a process instance, never deserialised at the engine; File values stay there."""

    def set_variables(self, process_instance_id: str, variables: Variables, *, execution_id: str | None = None) -> None:
        """Set variables of a process instance (needs UPDATE_VARIABLE or UPDATE).

        With the execution of an activity (needs READ too), those that are local to it, such as its input parameters,
        are set there: a variable of the instance with the same name would not be seen by it.
        """

    def file(self, name: str, *, process_instance_id: str, execution_id: str | None = None) -> bytes:
        """The bytes of a File or Bytes variable as seen from the execution, else from the instance."""

    def close(self) -> None:
        """Close kept connections."""

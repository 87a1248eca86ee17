"""The engine of tasks that have none: somebody asked for the work through the REST API and waits for its answer.

Reports are taken at once, because the stored outcome itself is the answer that the caller is given; the lock is ours
for as long as we want it. Whatever needs a process raises NoEngine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NoReturn

from bptl.engines.base import (
    Definition,
    ExternalTask,
    FetchRequest,
    Instance,
    NoEngine,
    Resource,
    TaskQuery,
    TextVariable,
    Variables,
    Waiting,
)


class Nobody:
    """A ``base.Engine`` behind which there is nothing. Safe to share between threads."""

    def complete(
        self, task_id: str, *, worker_id: str, variables: Variables, local_variables: Variables | None = None
    ) -> None:
        """Taken."""

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
        """Taken."""

    def throw(
        self, task_id: str, *, worker_id: str, code: str, message: str, variables: Variables | None = None
    ) -> None:
        """Taken."""

    def extend(self, task_id: str, *, worker_id: str, duration: timedelta) -> None:
        """Granted: nobody else can have it."""

    def unlock(self, task_id: str) -> None:
        """Nothing is locked."""

    def set_retries(self, task_id: str, retries: int) -> None:
        """Nobody retries but the caller, who repeats the call."""

    def close(self) -> None:
        """No connection is kept."""

    def version(self) -> str:
        """Raises NoEngine, as everything below does."""
        _refuse()

    def may_fetch(self, *, definition_key: str | None = None) -> bool | None:
        """There is nothing to fetch from."""
        _refuse()

    def may(self, permission: str, *, on: Resource) -> bool | None:
        """There is nobody to ask."""
        _refuse()

    def fetch(self, request: FetchRequest) -> Sequence[ExternalTask]:
        """There is nothing to fetch from."""
        _refuse()

    def get(self, task_id: str) -> ExternalTask:
        """Only our own row knows the task."""
        _refuse()

    def list(self, query: TaskQuery, *, first: int = 0, maximum: int = 100) -> Sequence[ExternalTask]:
        """Only our own rows know tasks."""
        _refuse()

    def count(self, query: TaskQuery) -> int:
        """Only our own rows know tasks."""
        _refuse()

    def error_details(self, task_id: str) -> str:
        """Only our own row knows the failure."""
        _refuse()

    def topic_names(
        self, *, locked: bool | None = None, unlocked: bool | None = None, with_retries_left: bool | None = None
    ) -> Sequence[str]:
        """Only our own rows know topics."""
        _refuse()

    def waiting_topics(self, *, within: timedelta) -> Sequence[Waiting]:
        """Nothing waits there."""
        _refuse()

    def definitions(
        self,
        *,
        ids: Sequence[str] | None = None,
        key: str | None = None,
        version: int | None = None,
        latest: bool = False,
    ) -> Sequence[Definition]:
        """There are no processes."""
        _refuse()

    def definition_xml(self, definition_id: str) -> str:
        """There are no processes."""
        _refuse()

    def deploy(self, name: str, files: Mapping[str, bytes], *, tenant_id: str | None = None) -> str:
        """There are no processes."""
        _refuse()

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
        """There are no processes."""
        _refuse()

    def delete_instances(self, ids: Sequence[str], *, reason: str) -> str:
        """There are no processes."""
        _refuse()

    def past_instances(
        self,
        *,
        definition_key: str | None = None,
        variable: TextVariable | None = None,
        roots: bool = False,
        first: int = 0,
        maximum: int = 100,
    ) -> Sequence[Instance]:
        """There are no processes."""
        _refuse()

    def caller(self, process_instance_id: str) -> Instance | None:
        """There are no processes."""
        _refuse()

    def start(
        self,
        *,
        key: str | None = None,
        definition_id: str | None = None,
        business_key: str | None = None,
        variables: Variables | None = None,
        tenant_id: str | None = None,
    ) -> Instance:
        """There are no processes."""
        _refuse()

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
        """There are no processes."""
        _refuse()

    def signal(self, name: str, *, variables: Variables | None = None, execution_id: str | None = None) -> None:
        """There are no processes."""
        _refuse()

    def variables(self, process_instance_id: str, names: Sequence[str] | None = None) -> Variables:
        """There are no processes."""
        _refuse()

    def set_variables(self, process_instance_id: str, variables: Variables, *, execution_id: str | None = None) -> None:
        """There are no processes."""
        _refuse()

    def file(self, name: str, *, process_instance_id: str, execution_id: str | None = None) -> bytes:
        """There are no processes."""
        _refuse()


def _refuse() -> NoReturn:
    raise NoEngine

"""Process instances of an engine as people see them, with their tasks here; and their deletion, at the engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Count

from bptl.accounts import audit
from bptl.accounts.audit import By
from bptl.connections import engines
from bptl.connections.models import Engine
from bptl.engines.base import EngineError, Instance, NotAuthorized
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import Task

PAGE = 50
"""Instances of a page, and most that are deleted at once."""

UNDER_WAY = (Status.QUEUED, Status.RUNNING, Status.WAITING, Status.PERFORMED, Status.UNCERTAIN)
"""Statuses of tasks in which BPTL holds something that the engine would still be told."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An instance with the name of its process (its key where we may not read it) and its tasks here by status."""

    instance: Instance
    process: str
    tasks: Mapping[str, int] = field(default_factory=dict)

    @property
    def task_count(self) -> int:
        """How many tasks it has here."""
        return sum(self.tasks.values())

    @property
    def under_way(self) -> int:
        """How many of them are not over here."""
        return sum(self.tasks.get(status, 0) for status in UNDER_WAY)


@dataclass(frozen=True, slots=True)
class Page:
    """Some instances, by id. ``nameless``: we may not read process definitions, so processes are named by their key."""

    rows: Sequence[Shown]
    more: bool = False
    nameless: bool = False


def page(engine: Engine, *, definition_key: str = "", business_key: str = "", first: int = 0) -> Page:
    """At most PAGE running instances, after the ``first`` ones. Raises EngineError and secrets.Undecryptable."""
    found = engines.client(engine).instances(
        definition_key=definition_key or None, business_key=business_key or None, first=first, maximum=PAGE + 1
    )
    return _page(engine, found[:PAGE], more=len(found) > PAGE)


def chosen(engine: Engine, ids: Collection[str]) -> Page:
    """Those of ``ids`` (at most PAGE) that still run. Raises EngineError and secrets.Undecryptable."""
    found = engines.client(engine).instances(ids=sorted(ids), maximum=PAGE) if ids else []
    return _page(engine, found)


def _page(engine: Engine, found: Sequence[Instance], *, more: bool = False) -> Page:
    names = _names(engine, sorted({instance.definition_id for instance in found})) if found else {}
    tasks: dict[str, dict[str, int]] = {}
    ours = Task.objects.filter(engine=engine, process_instance_id__in=[instance.id for instance in found])
    for row in ours.values("process_instance_id", "status").annotate(amount=Count("id")).order_by():
        tasks.setdefault(row["process_instance_id"], {})[row["status"]] = row["amount"]
    rows = [
        Shown(
            instance,
            (names or {}).get(instance.definition_id) or instance.definition_key or instance.definition_id,
            tasks.get(instance.id, {}),
        )
        for instance in found
    ]
    return Page(rows, more=more, nameless=names is None)


def _names(engine: Engine, ids: Sequence[str]) -> Mapping[str, str] | None:
    """Names of processes by the id of their definition; None when our user may not read definitions."""
    try:
        found = engines.client(engine).definitions(ids=ids)
    except NotAuthorized:
        return None
    # What a user may not read an engine leaves out without a word.
    return {definition.id: definition.name for definition in found} or None


def delete(engine: Engine, ids: Collection[str], *, by: By, reason: str) -> str:
    """Let the engine delete these instances (at most PAGE) by a batch; its id. In the audit log before it is asked.

    Raises EngineError, secrets.Undecryptable, and ValueError for none or too many.
    """
    if not 0 < len(ids) <= PAGE:
        raise ValueError(f"1 to {PAGE} instances are deleted at once, not {len(ids)}")
    client = engines.client(engine)
    detail = {"instances": sorted(ids)}
    audit.record("instances.deleted", by=by, about=engine, reason=reason, detail=detail)
    try:
        return client.delete_instances(sorted(ids), reason=f"{reason} (BPTL, {by.actor})")
    except EngineError as error:
        audit.record("instances.deletion_refused", by=by, about=engine, reason=error.message, detail=detail)
        raise

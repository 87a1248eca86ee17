"""What must be true after every step, seen in the rows, at the engine and at the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from bptl.tasks import sql
from bptl.tasks.lifecycle import MOVES, Outcome, Status, decide_new_lease
from tests.integration.model.actors import KEY, Facts

_ROWS = """
SELECT json_build_object(
    'tasks', (SELECT coalesce(json_agg(t ORDER BY t.id), '[]') FROM (
        SELECT id, external_id, topic, status, outcome, outcome_id, result, by_hand, lease_id, last_lease_id, attempts,
            assumed, parked, report_error FROM tasks_task) t),
    'leases', (SELECT coalesce(json_agg(l), '[]') FROM (
        SELECT id, task_id, ended_as, outcome, performed_at IS NOT NULL AS performed FROM tasks_lease) l),
    'effects', (SELECT coalesce(json_agg(e), '[]') FROM (
        SELECT id, task_id, key, lease_id, "end", known_by FROM tasks_effect) e)
)::text AS rows
"""
# One question: it is asked after every step.


@dataclass(frozen=True)
class Seen:
    """All rows at one moment, by their ids (those of leases are texts)."""

    tasks: Mapping[int, Any]
    leases: Mapping[str, Any]
    effects: Mapping[int, Any]

    @classmethod
    def now(cls) -> Seen:
        """The rows as they are."""
        found = json.loads(sql.query(_ROWS)[0].rows)
        return cls(
            *({row["id"]: SimpleNamespace(**row) for row in found[kind]} for kind in ("tasks", "leases", "effects"))
        )


def check(facts: Facts, before: Seen, after: Seen) -> None:
    """Everything; ``before`` is at most one statement or one call away."""
    for task in after.tasks.values():
        _one_live_lease(task, after)
        _moved_by_the_lifecycle(facts, before.tasks.get(task.id), task)
        _agrees_with_the_engine(facts, task)
    _no_write_of_an_ended_lease(before, after)
    _effects(facts, before, after)
    known = {task.external_id for task in after.tasks.values()}
    assert facts.world.there.completed.keys() <= known, "the engine was told of a task that has no row"
    for task_id, begun in facts.begun_tasks.items():
        assert begun <= after.tasks[task_id].attempts, "a unit was begun more often than its task was leased"
    assert set(facts.begun.values()) <= {1}, "a unit was begun twice under one lease"


def _one_live_lease(task: Any, seen: Seen) -> None:
    live = [lease.id for lease in seen.leases.values() if lease.task_id == task.id and not lease.ended_as]
    assert live == ([] if task.lease_id is None else [task.lease_id]), f"live leases {live}, the task says {task}"


def _moved_by_the_lifecycle(facts: Facts, old: Any, new: Any) -> None:
    if old is None:
        assert (new.status, new.outcome) == ("queued", "")
        return
    was, now = (Status(old.status), Outcome(old.outcome)), (Status(new.status), Outcome(new.outcome))
    if old.last_lease_id != new.last_lease_id:
        heard = any(failure.details.startswith(str(old.outcome_id)) for failure in facts.world.there.failures)
        decided = {decide_new_lease(*was, engine_knows_failure=known) for known in {False, heard}}
        assert now[0] in decided, f"a new lease made {now} of {was}"
        assert now[1] == (Outcome.NONE if now[0] is Status.QUEUED else was[1])
    elif was != now:
        moves = [name for name, rule in MOVES.items() if was in rule.sources and rule.target is now[0]]
        assert moves, f"{was} became {now}"
        if was[1] and was[1] is not now[1]:
            assert new.by_hand, f"the outcome {was[1]} became {now[1]}"
        if was[0] is Status.RUNNING and now[1]:
            assert new.outcome_id == old.lease_id, "an outcome of another lease than the live one was stored"


def _agrees_with_the_engine(facts: Facts, task: Any) -> None:
    there = facts.world.there
    told = there.completed.get(task.external_id)
    if told is not None:
        assert (task.outcome, task.status in {"performed", "delivered"}) == ("completed", True), f"{told} of {task}"
        assert {name: value["value"] for name, value in task.result["variables"].items()} == told
        assert told in ({"by_hand": True}, {"number": facts.world.service.number_of(task.external_id)})
    elif (task.status, task.outcome, task.assumed) == ("delivered", "completed", False):
        raise AssertionError(f"the engine was never told of {task}")
    if task.status == "lost":
        assert task.external_id not in there.tasks, f"lost, but the engine has it: {task}"


def _no_write_of_an_ended_lease(before: Seen, after: Seen) -> None:
    for lease in before.leases.values():
        if lease.ended_as:
            now = after.leases[lease.id]
            assert (now.ended_as, now.outcome, now.performed) == (lease.ended_as, lease.outcome, lease.performed)


def _effects(facts: Facts, before: Seen, after: Seen) -> None:
    for effect in after.effects.values():
        old = before.effects.get(effect.id)
        if old is None or (old.end and not effect.end):
            holder = before.tasks[effect.task_id]
            assert (holder.status, holder.lease_id) == ("running", effect.lease_id), "an intent without a live lease"
        elif old.end == "happened":
            assert effect.end == "happened"
    for act in facts.world.service.acts:
        row = after.effects.get(act.effect_id)
        assert row is not None, "an effect without a row in the ledger"
        assert (after.tasks[row.task_id].external_id, row.key) == (act.task, KEY)
    doubled = {task: times for task, times in facts.world.service.times().items() if times > 1}
    assert not doubled, f"effects that happened more than once: {doubled}"

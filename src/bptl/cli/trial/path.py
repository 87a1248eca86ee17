"""The path that instances have taken, read from the sandbox's own history after each action."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bptl.sandbox.engine import Engine
from bptl.sandbox.store import Row

_AROUND = {"subProcess", "callActivity", "multiInstanceBody"}
"""They are told when they begin, because what is inside them comes next."""

_COUNTERS = {"loopCounter", "nrOfInstances", "nrOfCompletedInstances", "nrOfActiveInstances"}


@dataclass(frozen=True, slots=True)
class Step:
    """One element that was passed; ``by`` says who or what moved it, ``variables`` what changed with it.

    ``seconds`` is the engine's time since the start.
    """

    element: str
    name: str
    type: str
    process: str
    seconds: float
    by: str = ""
    cancelled: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form for machines."""
        return asdict(self)


class Path:
    """Collects steps; ``read`` adds those that have come since the last time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._began = engine.clock.now()
        self._told: set[str] = set()
        self._seen: dict[str, str] = {}
        self.steps: list[Step] = []

    @property
    def seconds(self) -> float:
        """The engine's time since the start."""
        return round((self._engine.clock.now() - self._began) / 1000, 1)

    def read(self, by: str = "", *, task_id: str = "", changed: Mapping[str, Any] | None = None) -> list[Step]:
        """The new steps, that of ``task_id`` first; it, or else the first that was not cancelled, has what changed."""
        rows = self._engine.store.rows("SELECT * FROM past_activity ORDER BY position")
        new = [row for row in rows if row["id"] not in self._told and self._is_over(row)]
        new.sort(key=lambda row: (row["taskId"] != task_id, row["position"]))
        self._told |= {row["id"] for row in new}
        acted = [row for row in rows if row["taskId"] == task_id]
        steps = [self._step(row) for row in new or acted[-1:]]
        if steps:
            moved = 0 if task_id else next((n for n, step in enumerate(steps) if not step.cancelled), 0)
            changed = self.changes() if changed is None else changed
            steps[moved] = replace(steps[moved], by=by, variables=changed)
        self.steps += steps
        return steps

    def changes(self) -> dict[str, Any]:
        """The variables that are new or other than at the last time."""
        changed = {}
        for row in self._engine.store.rows("SELECT * FROM past_variable ORDER BY name"):
            if row["name"] not in _COUNTERS and self._seen.get(row["id"]) != row["typedJson"]:
                self._seen[row["id"]] = row["typedJson"]
                changed[row["name"]] = _plain(json.loads(row["typedJson"]))
        return changed

    def variables(self, instance_id: str) -> dict[str, Any]:
        """The variables of an instance, also when it has ended."""
        statement = "SELECT * FROM past_variable WHERE processInstanceId = ? AND executionId = ? ORDER BY name"
        rows = self._engine.store.rows(statement, [instance_id, instance_id])
        return {row["name"]: _plain(json.loads(row["typedJson"])) for row in rows}

    def position(self, task_id: str) -> int:
        """When an element was reached, counted over all; later ones have larger numbers."""
        row = self._engine.store.row("SELECT max(position) AS position FROM past_activity WHERE taskId = ?", [task_id])
        return int(row["position"] or 0) if row else 0

    @staticmethod
    def _is_over(row: Row) -> bool:
        return row["endTime"] is not None or row["activityType"] in _AROUND

    def _step(self, row: Row) -> Step:
        return Step(
            element=row["activityId"],
            name=" ".join((row["activityName"] or "").split()),
            type=row["activityType"],
            process=row["processDefinitionKey"],
            seconds=self.seconds,
            cancelled=bool(row["canceled"]),
        )


def _plain(typed: Mapping[str, Any]) -> Any:
    """The value as JSON."""
    value, info = typed["value"], typed["valueInfo"]
    if typed["type"] == "File":
        return f"(file {info.get('filename')})"
    is_json = typed["type"] == "Json" or info.get("serializationDataFormat") == "application/json"
    return json.loads(value) if is_json and isinstance(value, str) else value

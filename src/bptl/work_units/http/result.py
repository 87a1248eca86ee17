"""Where in an answer the variables of a process are found: JMESPath, which looks things up and can do nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import jmespath
from jmespath.exceptions import JMESPathError


@dataclass(frozen=True, slots=True)
class Mapped:
    """Variables, and what could not be computed, as pairs of a path and a reason."""

    variables: Mapping[str, Any]
    faults: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"variables": dict(self.variables), "faults": [list(fault) for fault in self.faults]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The reverse of to_json."""
        return cls(data["variables"], tuple((path, reason) for path, reason in data["faults"]))


def fault_of(expression: str) -> str:
    """What is wrong with the form of an expression; empty when nothing is."""
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        return f"is no JMESPath expression: {' '.join(str(error).split())}"
    return ""


def mapped(result: Mapping[str, str], *, status: int, headers: Mapping[str, str], body: Any) -> Mapped:
    """The variables that ``result`` (name → expression) finds in an answer; what is not there is None."""
    answer = {"status": status, "headers": {name.lower(): value for name, value in headers.items()}, "body": body}
    variables: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, expression in result.items():
        try:
            variables[name] = jmespath.search(expression, answer)
        except JMESPathError as error:
            # The answer is here, so the request was done: this must not look like a call without an end.
            faults.append((f"result.{name}", " ".join(str(error).split())))
    return Mapped(variables, tuple(faults))

"""The outcome of a task with what is reported of it, whoever found it: a run, somebody outside, a deadline. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bptl.tasks.error_groups import group_of
from bptl.tasks.lifecycle import Outcome
from bptl.tasks.retries import Retry

WROTE_OFF = "wrote_off"
"""Key in the error of a lease whose run did not end when it was told to."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of one run with what will be reported: JSON that rows keep.

    completed: ``variables`` (wire form). failed: ``message``, ``details``, ``retries``, ``wait_ms``, ``unit``.
    thrown: ``code``, ``message``, ``variables``, ``catcher``. ``error_group`` is that of a failure. ``wrote_off`` says
    that the run counts as a crash, because it did not end and cost its worker a place; ``quarantined`` that it is left
    to a person because of its crashes.
    """

    outcome: Outcome
    result: Mapping[str, Any]
    error_group: str = ""
    wrote_off: bool = False
    quarantined: bool = False

    @classmethod
    def completed(cls, variables: Mapping[str, Any]) -> Ending:
        """The work is done; ``variables`` in wire form."""
        return cls(Outcome.COMPLETED, {"variables": dict(variables)})

    @classmethod
    def failed(cls, message: str, details: str, retry: Retry, *, unit: str = "") -> Ending:
        """The work failed; ``retry`` says whether and when again, ``unit`` what ran, as far as that is known."""
        wait_ms = int(retry.wait / timedelta(milliseconds=1))
        result = {"message": message, "details": details, "retries": retry.left, "wait_ms": wait_ms, "unit": unit}
        return cls(Outcome.FAILED, result, group_of(unit, message).key)

    @classmethod
    def thrown(cls, code: str, message: str, variables: Mapping[str, Any], *, catcher: str) -> Ending:
        """A BPMN error; ``catcher`` says what is known of who catches it."""
        result = {"code": code, "message": message, "variables": dict(variables), "catcher": catcher}
        return cls(Outcome.THROWN, result)

    @property
    def error(self) -> dict[str, Any] | None:
        """What the lease's row remembers of a run that did not complete."""
        if self.outcome is Outcome.COMPLETED:
            return None
        error = {key: value for key, value in self.result.items() if key != "variables"}
        return {**error, WROTE_OFF: True} if self.wrote_off else error

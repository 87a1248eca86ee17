"""What a work unit raises on purpose, and what that means for its task.

    WorkError
    ├── TryAgain       transient: the retry plan decides when, unless ``delay`` says so
    │   └── DidNotHappen    an effect that certainly did not happen (never sent, rolled back, too late)
    ├── NeverAgain     permanent: an incident at once
    │   ├── Refused         an effect that was refused cleanly (a 4xx): it did not happen and will not by repeating
    │   ├── EffectChanged   an effect that has happened is wanted again with other arguments
    │   ├── InvalidInput    the process variables do not fit; lists every bad field
    │   ├── InvalidOutput   the unit answered something it does not declare
    │   ├── NotConnected    a service that may not be used, or that the mapping does not name
    │   ├── NoSuchTemplate  a mail template that nobody made
    │   ├── NotGranted      an application that is unknown, or for which the unit may not be run
    │   └── ProcessNotFound the engine knows no such process definition or instance
    ├── BusinessError  a BPMN error for the model: code, message, variables
    ├── Uncertain      an effect may have happened and nobody can be asked: a person decides
    └── LeaseEnded     our right to this task ended: stop, nothing that follows will be reported

A ServiceError of ``bptl.clients.errors`` says by itself whether it happened and whether to try again; a unit catches
only those that mean something to it. Any other exception is unexpected: it is retried by the plan and then becomes an
incident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bptl.work_units.validation import FieldFault

APPLICATION = "bptlAppId"
"""Process variable that names the application for which a task is done: whose credentials, whose rights."""

CALLBACK = "callbackUrl"
"""Process variable that names an address which is called when the task is done. It is BPTL's, not the unit's."""


class WorkError(Exception):
    """What a unit raises on purpose."""


class TryAgain(WorkError):
    """It may work later. ``delay`` overrides the retry plan's next wait."""

    def __init__(self, message: str, *, delay: timedelta | None = None) -> None:
        self.delay = delay
        super().__init__(message)


class NeverAgain(WorkError):
    """Repeating will not help: the model, the data or the configuration must change first."""


class DidNotHappen(TryAgain):
    """Raised inside an effect: it certainly did not happen (never sent, rolled back), so it may be tried again."""


class Refused(NeverAgain):
    """Raised inside an effect: refused cleanly, as by a 4xx. It did not happen and will not by repeating."""


class EffectChanged(NeverAgain):
    """The effect ``key`` has, or may have, happened with other arguments; ``differences`` holds both values of each."""

    def __init__(self, key: str, differences: Mapping[str, tuple[Any, Any]]) -> None:
        self.key = key
        self.differences = dict(differences)
        changes = "; ".join(f"{name}: then {then!r}, now {now!r}" for name, (then, now) in differences.items())
        super().__init__(
            f"effect {key!r} was recorded with other arguments ({changes}); it is not repeated: complete the task by "
            "hand, or give the variables back their values"
        )


def changed(key: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> EffectChanged:
    """The error that names every argument that differs."""
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return EffectChanged(key, {name: (then.get(name), now.get(name)) for name in names})


class InvalidInput(NeverAgain):
    """The process variables do not fit the unit's inputs; ``faults`` names every bad field."""

    def __init__(self, unit: str, faults: Sequence[FieldFault]) -> None:
        self.unit = unit
        self.faults = tuple(faults)
        super().__init__(f"input of {unit}: " + "; ".join(f"{path}: {reason}" for path, reason in faults))


class InvalidOutput(NeverAgain):
    """The unit's answer does not fit its declared outputs: a fault of the unit, after its work was done."""

    def __init__(self, unit: str, faults: Sequence[FieldFault]) -> None:
        self.unit = unit
        self.faults = tuple(faults)
        super().__init__(f"output of {unit}: " + "; ".join(f"{path}: {reason}" for path, reason in faults))


class NotConnected(NeverAgain):
    """A service cannot be used for this task: no such alias, no such right, an unknown application."""

    def __init__(self, alias: str, reason: str) -> None:
        self.alias = alias
        self.reason = reason
        super().__init__(f"service {alias!r} cannot be used: {reason}")


class NoSuchTemplate(NeverAgain):
    """There is no mail template ``name``; ``known`` are those that there are."""

    def __init__(self, name: str, *, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(f"there is no mail template {name!r}; there are {', '.join(self.known)}")


class NotGranted(NeverAgain):
    """The unit may not be run for the application of this task."""

    def __init__(self, application: str, reason: str) -> None:
        self.application = application
        self.reason = reason
        super().__init__(f"{APPLICATION} {application!r}: {reason}")


class ProcessNotFound(NeverAgain):
    """The task's engine knows no process definition ``key`` (in this ``version``), or no such instance."""

    def __init__(self, *, key: str = "", version: int | None = None, process_instance_id: str = "") -> None:
        self.key = key
        self.version = version
        self.process_instance_id = process_instance_id
        missing = f"instance {process_instance_id!r}" if process_instance_id else f"definition {key!r}"
        super().__init__(f"no process {missing}" + (f" in version {version}" if version else ""))


class BusinessError(WorkError):
    """A BPMN error that a boundary event of the model can catch by ``code``."""

    def __init__(self, code: str, message: str = "", *, variables: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.message = message
        self.variables = dict(variables or {})
        super().__init__(f"{code}: {message}" if message else code)


class Uncertain(WorkError):
    """The effect ``key`` may have happened and nobody can be asked: the task waits for a person."""

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"effect {key!r} may have happened: {reason}")


class LeaseEnded(WorkError):
    """Our lease on the task has ended; raised by the calls of ``work`` once it is cancelled."""

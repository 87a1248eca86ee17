"""The files among the variables of a task: what the engine gave stays there until it is read, what was answered is in
the row."""

from __future__ import annotations

from dataclasses import dataclass

from bptl.connections import engines
from bptl.engines.variables import File, Variable, VariableError, decode
from bptl.tasks.models import Task

TYPES = frozenset({"File", "Bytes"})
"""Types of variables that can be read as a file."""


class NoFile(Exception):
    """The task has no such variable, or it is no file."""


@dataclass(frozen=True, slots=True)
class Content:
    """A whole file. ``name`` is that of the file, or of the variable where it has none."""

    name: str
    data: bytes


def read(task_id: int, name: str, *, answered: bool) -> Content:
    """The file in variable ``name`` among those that came, or that were ``answered``.

    Raises Task.DoesNotExist, NoFile, base.EngineError (NotFound: its process has ended, or somebody removed the
    variable) and secrets.Undecryptable.
    """
    task = Task.objects.select_related("engine").get(id=task_id)
    variables = (task.result or {}).get("variables", {}) if answered else task.variables
    if name not in variables or variables[name].get("type") not in TYPES:
        raise NoFile(name)

    def load() -> bytes:
        client = engines.client(task.engine)
        return client.file(name, process_instance_id=task.process_instance_id, execution_id=task.execution_id or None)

    try:
        value = decode(Variable.from_json(variables[name]), name=name, load_file=load)
        if isinstance(value, File):
            return Content(value.name, value.read())
    except VariableError as error:
        raise NoFile(name) from error
    return Content(name, value if isinstance(value, bytes) else b"")

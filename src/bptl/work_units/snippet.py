"""A work unit as it stands in a process model: BPMN XML to paste, made from the unit's declaration."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from bptl.work_units.contract import APPLICATION, WorkUnit
from bptl.work_units.description import inputs_of


def snippet(unit: WorkUnit, *, topic: str = "") -> str:
    """A service task that gives each input that the unit requires from a process variable of the same name.

    Optional inputs are named in a comment. ``topic`` is the unit's name unless given. The prefixes ``bpmn`` and
    ``camunda`` are those that modellers declare.
    """
    variables = [variable for variable in inputs_of(unit) if variable.is_top]
    required = [variable.name for variable in variables if variable.required]
    if unit.needs_application and APPLICATION not in required:
        required.append(APPLICATION)
    optional = [variable.name for variable in variables if variable.name not in required]
    head = (
        f'<bpmn:serviceTask id="{unit.name.replace(".", "_")}" name={quoteattr(unit.summary.rstrip("."))} '
        f'camunda:type="external" camunda:topic={quoteattr(topic or unit.name)}'
    )
    if not required and not optional:
        return f"{head} />"
    lines = [f"{head}>", "  <bpmn:extensionElements>"]
    if required:
        given = [f"      <camunda:inputParameter name={quoteattr(name)}>{_read(name)}<" for name in required]
        lines += ["    <camunda:inputOutput>", *(f"{line}/camunda:inputParameter>" for line in given)]
        lines += ["    </camunda:inputOutput>"]
    if optional:
        lines.append(f"    <!-- optional: {', '.join(optional)} -->")
    return "\n".join([*lines, "  </bpmn:extensionElements>", "</bpmn:serviceTask>"])


def _read(name: str) -> str:
    return escape("${" + name + "}")

"""A work unit as an element template: what a modeller picks from a list instead of typing topic and variables by hand.

For Camunda 7, Operaton and CIB seven, in the Camunda Modeler and every other one that has the element templates of
bpmn-js. The format: https://docs.camunda.io/docs/components/modeler/element-templates/c7/c7-element-templates-overview/
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal, NamedTuple

from pydantic.fields import FieldInfo

from bptl.work_units.contract import APPLICATION, WorkUnit
from bptl.work_units.description import NAMED_BY_THE_MODEL, VariableDescription, inputs_of, outputs_of
from bptl.work_units.modeler_words import WORDS

READ = '${{execution.getVariableTyped("{name}", false)}}'
"""A variable as it is, or null where there is none. ``${name}`` fails where it is missing, and would deserialise a
file, an object or a long text into what the engine cannot store again."""

SIMPLE = {"whole number", "number", "true or false", "web address", "date", "date and time", "text", "UUID"}
"""Types of which ``${name}`` gives what the variable holds."""

SCHEMA = "https://unpkg.com/@camunda/element-templates-json-schema/resources/schema.json"
RETRY_CONFIG = "RETRY_CONFIG"

NEVER = "${false}"
"""The condition of a declared error. The engine throws what BPTL reports; a condition of the model adds nothing."""

EMPTY_TEXT = '${""}'
"""The engine reads an empty input as null."""

EXPRESSION = r"[$#]\{.+\}"
PATTERNS = {
    "whole number": r"-?\d+",
    "number": r"-?\d+([.]\d+)?([eE][+\-]?\d+)?",
    "date": r"\d{4}-\d\d-\d\d",
    "web address": r"https?://\S+",
}
"""What a text in a model must look like to be read as a type; an expression always may stand there instead."""


class _Input(NamedTuple):
    variable: VariableDescription
    field: FieldInfo | None
    inside: tuple[str, ...]


def template_id(unit: WorkUnit, topic: str) -> str:
    """What a model keeps to name its template: the same for every mapping of one topic to one unit."""
    return f"bptl:{unit.name}" if topic == unit.name else f"bptl:{unit.name}:{topic}"


def element_template(unit: WorkUnit, *, topic: str = "", page: str = "", language: str = "en") -> dict[str, Any]:
    """The template, as JSON: topic fixed (the unit's name unless given), inputs, outputs, retries, error codes.

    ``page`` is the http(s) address of the unit's page. ``language`` is ``en`` or ``nl``.
    """
    words = WORDS[language]
    topic = topic or unit.name
    inputs = [_input_property(one, words) for one in _inputs(unit, words)]
    used = {one["group"] for one in inputs} | {"task"}
    template: dict[str, Any] = {
        "$schema": SCHEMA,
        "name": unit.name if topic == unit.name else f"{topic} ({unit.name})",
        "id": template_id(unit, topic),
        "description": _description(unit, words, language),
        "keywords": [*unit.name.replace("_", " ").split("."), *unit.replaces],
        "appliesTo": ["bpmn:Task", "bpmn:ServiceTask"],
        "elementType": {"value": "bpmn:ServiceTask"},
        "groups": [{"id": name, "label": words[name]} for name in ("task", "inputs", "optional") if name in used],
        "properties": [
            *_fixed(topic, words),
            *inputs,
            *(_output_property(variable, words) for variable in outputs_of(unit) if _has_a_name(variable)),
            _retries(unit, words),
            *(_error_property(code) for code in sorted(unit.throws)),
        ],
    }
    if unit.throws:
        template["scopes"] = [_error_scope(code, meaning) for code, meaning in sorted(unit.throws.items())]
    if page:
        template["documentationRef"] = page
    return template


def _description(unit: WorkUnit, words: Mapping[str, str], language: str) -> str:
    parts = [unit.documented(language).partition("\n")[0]]
    if unit.throws:
        parts.append(words["errors"].format(codes=", ".join(sorted(unit.throws))))
    if any(variable.is_top and not _has_a_name(variable) for variable in outputs_of(unit)):
        parts.append(words["open"])
    return " ".join(parts)


def _fixed(topic: str, words: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    yield {"type": "Hidden", "value": "external", "binding": {"type": "property", "name": "camunda:type"}}
    yield {
        "label": words["topic"],
        "type": "String",
        "value": topic,
        "editable": False,
        "group": "task",
        "binding": {"type": "property", "name": "camunda:topic"},
    }


def _inputs(unit: WorkUnit, words: Mapping[str, str]) -> Iterator[_Input]:
    described = inputs_of(unit)
    top = [variable for variable in described if variable.is_top]
    for variable, field in zip(top, unit.inputs.model_fields.values(), strict=True):
        beginnings = (f"{variable.name}.", f"{variable.name}[].")
        inside = [one.name for one in described if one.name.startswith(beginnings)]
        yield _Input(variable, field, tuple(inside))
    if unit.needs_application and APPLICATION not in {variable.name for variable in top}:
        yield _Input(VariableDescription(APPLICATION, "text", True, None, words["application"]), None, ())


def _input_property(given: _Input, words: Mapping[str, str]) -> dict[str, Any]:
    variable = given.variable
    choices = _choices(given.field.annotation) if given.field else None
    simple = choices is not None or variable.type in SIMPLE
    plain = variable.required and simple and variable.name.isidentifier()
    read = "${" + variable.name + "}" if plain else READ.format(name=variable.name)
    default = "" if variable.required else _written(variable.default)
    found: dict[str, Any] = {
        "label": variable.name,
        "description": _input_description(given, words),
        "type": "String" if simple else "Text",
        # An empty field would hide a process variable of this name: the engine makes it a local one that is null.
        "value": default or read,
        "group": "inputs" if variable.required else "optional",
        "binding": {"type": "camunda:inputParameter", "name": variable.name},
    }
    if choices is not None:
        shown = [{"name": _word(value, words), "value": _written(value) or EMPTY_TEXT} for value in choices]
        from_variable = words["from_variable"].format(name=variable.name)
        return found | {"type": "Dropdown", "choices": [*shown, {"name": from_variable, "value": read}]}
    constraints: dict[str, Any] = {}
    if variable.required and not _may_be_empty(given.field):
        constraints["notEmpty"] = True
    if pattern := PATTERNS.get(variable.type):
        empty = "" if constraints else "|"
        message = words["pattern"].format(type=variable.type)
        constraints["pattern"] = {"value": f"^({pattern}|{EXPRESSION}{empty})$", "message": message}
    return found | ({"constraints": constraints} if constraints else {})


def _input_description(given: _Input, words: Mapping[str, str]) -> str:
    variable = given.variable
    parts = [variable.description, words["type"].format(type=variable.type)]
    if given.inside:
        parts.append(words["fields"].format(names=", ".join(given.inside)))
    if not variable.required and variable.default not in (None, "", [], {}):
        parts.append(words["default"].format(default=json.dumps(variable.default, ensure_ascii=False, default=str)))
    return _plain(" ".join(part for part in parts if part))


def _output_property(variable: VariableDescription, words: Mapping[str, str]) -> dict[str, Any]:
    parts = [variable.description, words["type"].format(type=variable.type)]
    if not variable.required:
        parts.append(words["not_always"])
    # Without a type the panel shows it with a switch. The engine maps outputs also when a timer or a BPMN error ends
    # the task, and then they are missing.
    return {
        "label": variable.name,
        "description": _plain(" ".join(part for part in parts if part)),
        "value": variable.name,
        "binding": {"type": "camunda:outputParameter", "source": READ.format(name=variable.name)},
    }


def _retries(unit: WorkUnit, words: Mapping[str, str]) -> dict[str, Any]:
    return {
        "label": words["retries"],
        "description": words["retries_help"].format(plan=unit.retry_plan or words["default_plan"]),
        "type": "String",
        "value": "",
        "group": "task",
        "binding": {"type": "camunda:property", "name": RETRY_CONFIG},
    }


def _error_property(code: str) -> dict[str, Any]:
    return {
        "type": "Hidden",
        "value": NEVER,
        "binding": {"type": "camunda:errorEventDefinition", "errorRef": _error_id(code)},
    }


def _error_scope(code: str, meaning: str) -> dict[str, Any]:
    says = {"errorCode": code, "name": code, "camunda:errorMessage": meaning}
    properties = [
        {"type": "Hidden", "value": value, "binding": {"type": "property", "name": name}}
        for name, value in says.items()
    ]
    return {"type": "bpmn:Error", "id": _error_id(code), "properties": properties}


def _error_id(code: str) -> str:
    """It becomes part of an id of XML."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", code)


def _choices(annotation: Any) -> tuple[Any, ...] | None:
    """The values of an annotation that allows nothing else; None is not among them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is bool:
        return (True, False)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(member.value for member in annotation)
    if origin is typing.Annotated:
        return _choices(arguments[0])
    if origin is Literal:
        return arguments
    if origin in (typing.Union, types.UnionType):
        parts = [_choices(part) for part in arguments if part is not type(None)]
        if all(part is not None for part in parts):
            return tuple(dict.fromkeys(value for part in parts for value in part or ()))
    return None


def _may_be_empty(field: FieldInfo | None) -> bool:
    return field is not None and type(None) in typing.get_args(field.annotation)


def _has_a_name(variable: VariableDescription) -> bool:
    """A variable, and not a field of one or what only the model can name."""
    return variable.is_top and variable != NAMED_BY_THE_MODEL


def _written(value: Any) -> str:
    """A value as text in a model; empty for what cannot be written so."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _word(value: Any, words: Mapping[str, str]) -> str:
    if isinstance(value, bool):
        return words["true" if value else "false"]
    return str(value) or words["empty"]


def _plain(text: str) -> str:
    """The panel reads a description as HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

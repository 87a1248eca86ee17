"""What a unit takes and answers, in words for people: for the command line, pages and documentation."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import AnyUrl, BaseModel, WithJsonSchema

from bptl.engines.variables import File, Xml
from bptl.work_units.contract import WorkUnit
from bptl.work_units.validation import names_of

WORDS: dict[Any, str] = {
    Any: "anything",
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    bytes: "bytes",
    datetime: "date and time",
    date: "date",
    time: "time",
    timedelta: "duration",
    UUID: "UUID",
    AnyUrl: "web address",
    File: "file",
    Xml: "XML document",
    dict: "object",
    list: "list",
}


ADDRESS = {"type": "string", "format": "uri"}
"""JSON schema (``WithJsonSchema``) of a text that is a web address and must stay as it was written."""


class VariableDescription(NamedTuple):
    """One process variable, or a field of one (``eigenschap.naam``, ``regels[].bedrag``).

    ``default`` is shown only where ``required`` is false; ``also`` are other names that are accepted.
    """

    name: str
    type: str
    required: bool
    default: Any
    description: str
    also: tuple[str, ...] = ()

    @property
    def is_top(self) -> bool:
        """True for a variable, false for a field inside one."""
        return "." not in self.name


def inputs_of(unit: WorkUnit) -> tuple[VariableDescription, ...]:
    """Every variable that the unit reads, fields of objects right behind their object."""
    return tuple(_described(unit.inputs))


def outputs_of(unit: WorkUnit) -> tuple[VariableDescription, ...]:
    """Every variable that the unit sets; not ``required`` ones may stay unset."""
    return tuple(_described(unit.outputs, answers=True)) if unit.outputs else ()


def type_in_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """The annotation of a field as a modeller says it: "whole number", "list of text", "'a' or 'b'"."""
    if any(isinstance(part, WithJsonSchema) and part.json_schema == ADDRESS for part in metadata):
        return WORDS[AnyUrl]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_in_words(arguments[0], arguments[1:])
    if origin is Literal:
        return " or ".join(repr(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_in_words(part) for part in arguments if part is not type(None)))
    if origin in (list, dict):
        return f"{WORDS[origin]} of {type_in_words(arguments[-1])}"
    return _class_in_words(annotation)


def _class_in_words(kind: Any) -> str:
    if isinstance(kind, type):
        if issubclass(kind, Enum):
            return " or ".join(repr(member.value) for member in kind)
        if issubclass(kind, BaseModel):
            return "object"
        if issubclass(kind, AnyUrl):
            return WORDS[AnyUrl]
    return WORDS.get(kind) or str(getattr(kind, "__name__", kind))


def _described(
    model: type[BaseModel], *, answers: bool = False, above: str = "", outer: tuple[type[BaseModel], ...] = ()
) -> Iterator[VariableDescription]:
    for field_name, field in model.model_fields.items():
        names = (field.serialization_alias or field_name,) if answers else names_of(field_name, field)
        required = field.is_required()
        yield VariableDescription(
            name=above + names[0],
            type=type_in_words(field.annotation, field.metadata),
            required=required,
            default=None if required else field.get_default(call_default_factory=True, validated_data={}),
            description=field.description or "",
            also=names[1:],
        )
        for inner, mark in _models_in(field.annotation):
            if inner not in (*outer, model):
                yield from _described(inner, answers=answers, above=f"{above}{names[0]}{mark}.", outer=(*outer, model))


def _models_in(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """Models inside an annotation, with the mark that tells a list of them from one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
        return
    mark = "[]" if typing.get_origin(annotation) is list else ""
    for part in typing.get_args(annotation):
        for model, inner_mark in _models_in(part):
            yield model, mark + inner_mark

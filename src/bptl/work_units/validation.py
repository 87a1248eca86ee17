"""How process variables become inputs and an answer becomes process variables.

Pydantic does the checking; this module says in a modeller's words what it found, every bad field at once, and holds
the little that process models need beyond pydantic: null and empty text count as absent where they are no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from bptl.engines.variables import File, Transient, Xml

SHOWN_LENGTH = 40
"""Characters of a bad value that a reason quotes: enough to recognise it, too few to leak a document."""

EXPECTED = {
    "int_": "a whole number",
    "float_": "a number",
    "finite_number": "a finite number",
    "decimal_": "a number",
    "bool_": "true or false",
    "string_type": "text",
    "bytes_": "bytes",
    "list_": "a list",
    "tuple_": "a list",
    "set_": "a list",
    "dict_": "an object",
    "mapping_": "an object",
    "model_": "an object",
    "datetime_": "a date and time such as 2026-01-31T12:00:00+01:00",
    "timezone_": "a date and time with a time zone",
    "date_": "a date such as 2026-01-31",
    "time_delta_": "a duration such as PT5M",
    "time_": "a time such as 12:00",
    "url_": "a web address such as https://example.com/",
    "uuid_": "a UUID",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters long",
    "string_too_short": "at least {min_length} characters long",
    "too_long": "at most {max_length} long",
    "too_short": "at least {min_length} long",
    "dataclass_type": "{class_name}",
}
"""What a field must be, by the beginning of pydantic's error type; the first that fits counts."""

KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((list, tuple), "a list"),
    (Mapping, "an object"),
    (bytes, "bytes"),
    (File, "a file"),
    (Xml, "an XML document"),
)
"""How a value is named whose content says nothing to a reader."""


class FieldFault(NamedTuple):
    """One bad field: its process-variable path and what is wrong with it."""

    path: str
    reason: str


class Inputs(BaseModel):
    """Base of a unit's inputs and of objects inside them: names (or aliases) are process-variable names.

    Other variables are ignored. Null, and empty text where text does not fit, count as absent. "5" is read as a whole
    number, "false" as false, 5 as text; true is never read as 1.
    """

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        arbitrary_types_allowed=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # tracebacks travel to the engine
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _read_as_models_write(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            read = handler(value)
        except ValidationError:
            if value is None or value == "":
                return _absent(cls.model_fields[info.field_name or ""], value, handler)
            raise
        if isinstance(value, bool) and type(read) in (int, float):
            raise PydanticCustomError("int_type", "a number cannot be true or false")
        return read

    @classmethod
    def from_variables(cls, values: Mapping[str, Any]) -> Self:
        """Read process variables by their aliases only; raises pydantic's ValidationError."""
        return cls.model_validate(dict(values), by_alias=True, by_name=False)


class Outputs(BaseModel):
    """Base of a unit's outputs: field names (or aliases) become process variables.

    A field whose default None was left alone becomes no variable; None that the unit gave becomes null.
    """

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # tracebacks travel to the engine
        revalidate_instances="always",
    )

    def to_variables(self) -> dict[str, Any]:
        """Process variables by alias: text, numbers, lists, dicts, datetime, bytes, File, Xml and Transient values.

        Raises pydantic_core.PydanticSerializationError for a value that no process variable can hold.
        """
        silent = {
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) is None and name not in self.model_fields_set and not field.is_required()
        }
        # These have a variable type of their own; turned into JSON they would lose it.
        typed = {
            name
            for name in type(self).model_fields
            if isinstance(getattr(self, name), datetime | bytes | File | Xml | Transient)
        }
        plain = self.model_dump(mode="json", by_alias=True, exclude=silent | typed)
        fields = type(self).model_fields
        return plain | {fields[name].serialization_alias or name: getattr(self, name) for name in typed}


class OpenOutputs(Outputs):
    """Base of outputs whose names the process model chooses: whatever else the unit gives, as JSON, is set too."""

    model_config = ConfigDict(extra="allow")


def variable_names(model: type[BaseModel]) -> tuple[str, ...]:
    """The process variables that ``model`` reads, every accepted alias included, in order of declaration."""
    return tuple(name for field_name, field in model.model_fields.items() for name in names_of(field_name, field))


def names_of(field_name: str, field: FieldInfo) -> tuple[str, ...]:
    """The variable names that one field accepts, the preferred one first."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias or field_name]
    names = [str(choice.path[0]) if isinstance(choice, AliasPath) else choice for choice in choices]
    return tuple(dict.fromkeys(names))


def faults_in(error: ValidationError, *, values: Mapping[str, Any] | None = None) -> tuple[FieldFault, ...]:
    """Everything that ``error`` found, one fault a field, in the order of the fields.

    With the ``values`` that were validated, paths lead through them; without, they are pydantic's own.
    """
    found: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_path(detail, values) or "(together)", []).append(detail)
    return tuple(FieldFault(path, _reason(details)) for path, details in found.items())


def _absent(field: FieldInfo, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if not field.is_required():
        return field.get_default(call_default_factory=True, validated_data={})
    if value == "":
        try:
            return handler(None)
        except ValidationError:
            pass
    raise PydanticCustomError("missing", "is empty")


def _path(detail: ErrorDetails, values: Mapping[str, Any] | None) -> str:
    parts = detail["loc"] if values is None else _steps(detail, values)
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _steps(detail: ErrorDetails, values: Mapping[str, Any]) -> Iterator[str | int]:
    """Walk the values along the error's location; labels that pydantic adds for unions are not in it and fall out."""
    current: Any = values
    for position, part in enumerate(detail["loc"]):
        absent = detail["type"] == "missing" and position == len(detail["loc"]) - 1
        if isinstance(part, int) and isinstance(current, Sequence):
            yield part
            current = current[part] if part < len(current) else None
        elif isinstance(current, Mapping) and (part in current or absent):
            yield part
            current = current.get(part)


def _reason(details: Sequence[ErrorDetails]) -> str:
    expectations = list(dict.fromkeys(_expectation(detail) for detail in details))
    if None in expectations:
        return "; ".join(dict.fromkeys(_plain(detail) for detail in details))
    return f"must be {' or '.join(str(text) for text in expectations)}, not {_shown(details[0]['input'])}"


def _expectation(detail: ErrorDetails) -> str | None:
    for beginning, expected in EXPECTED.items():
        if detail["type"].startswith(beginning):
            context = dict(detail.get("ctx") or {})
            context["class_name"] = {"File": "a file", "Xml": "an XML document"}.get(
                str(context.get("class_name")), "an object"
            )
            return expected.format_map(context) if "{" in expected else expected
    return None


def _plain(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "is empty" if detail["msg"] == "is empty" else "is missing"
    if detail["type"] == "extra_forbidden":
        return "is not declared"
    cause = (detail.get("ctx") or {}).get("error")
    expectation = _expectation(detail)
    if cause is not None and str(cause):
        return str(cause)
    return f"must be {expectation}" if expectation else detail["msg"].replace("Input should be", "must be")


def _shown(value: Any) -> str:
    for kind, name in KINDS:
        if isinstance(value, kind):
            return name
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str | int | float) else repr(str(value))
    return text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "…"

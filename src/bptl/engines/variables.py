"""Process variables: the typed form that engines speak, and Python values.

``Variable`` is the canonical form (type, JSON value, info), named as Camunda 7 names its types; it is what rows keep.
``decode`` and ``encode`` translate to and from Python values:

    Boolean ↔ bool · Short, Integer, Long ↔ int · Double ↔ float · String ↔ str · Null ↔ None · Bytes ↔ bytes
    Date ↔ aware datetime · Json ↔ dict, list, str, number … · Xml ↔ Xml · File ↔ File (read when wanted)
    Object as JSON → what the JSON says · Object as XML → Xml · Object as Java serialisation → UnreadableVariable
    only towards the engine: date, time, Decimal, UUID, URL → String · Enum → its value · pydantic model → Json

Source: the VariableValueDto of the Camunda 7 REST API (type, value, valueInfo).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import AnyUrl, BaseModel

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)
LONGEST_STRING = 4000
"""What the engine's text column holds, in UTF-16 units: Java's length, the strictest of the databases in use."""

JSON_FORMAT = "application/json"
XML_FORMAT = "application/xml"


@dataclass(frozen=True, slots=True)
class Variable:
    """One typed value as it travels: ``value`` is JSON, ``info`` the engine's valueInfo."""

    type: str
    value: Any = None
    info: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form that rows and requests carry."""
        return {"type": self.type, "value": self.value, "valueInfo": dict(self.info)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Variable:
        """The reverse of to_json; missing keys are empty."""
        return cls(type=data.get("type") or "Null", value=data.get("value"), info=data.get("valueInfo") or {})


@dataclass(frozen=True, slots=True)
class File:
    """A file variable. ``read()`` loads the bytes when they are wanted (from the engine for a fetched one)."""

    name: str
    mime_type: str = "application/octet-stream"
    encoding: str | None = None
    load: Callable[[], bytes] = field(default=bytes, compare=False)

    def read(self) -> bytes:
        """The whole content."""
        return self.load()


@dataclass(frozen=True, slots=True)
class Xml:
    """An XML document as text, sent with type Xml."""

    text: str


@dataclass(frozen=True, slots=True)
class Transient:
    """Wraps a value that the engine must not store."""

    value: Any


class VariableError(ValueError):
    """A variable that cannot be translated: which one (``name``), its ``type`` and the ``reason`` with the fix."""

    verb = "translated"

    def __init__(self, name: str, kind: str, reason: str) -> None:
        self.name = name
        self.type = kind
        self.reason = reason
        super().__init__(f"variable {name or '(unnamed)'} of type {kind} cannot be {self.verb}: {reason}")


class UnreadableVariable(VariableError):
    """The engine gave something that has no Python value."""

    verb = "read"


class UnsendableValue(VariableError):
    """A Python value that the engine cannot take; ``type`` is the Python type's name."""

    verb = "sent"


def decode(variable: Variable, *, name: str = "", load_file: Callable[[], bytes] | None = None) -> object:
    """The Python value of ``variable``; see the table of this module.

    ``load_file`` reads the bytes of a File, which the engine never includes; it is called by ``File.read()`` only.
    Raises UnreadableVariable, which names the variable by ``name``.
    """
    # Camunda capitalises type names on output and ignores the first letter's case on input.
    kind = variable.type[:1].upper() + variable.type[1:]
    if kind == "File":
        return _file(variable, name, load_file)
    if variable.value is None:
        return None
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise UnreadableVariable(name, variable.type, "BPTL does not know this type; store it as Json or String")
    try:
        return decoder(variable, name)
    except VariableError:
        raise
    except (ValueError, TypeError) as error:
        raise UnreadableVariable(name, variable.type, f"the engine's value does not fit its type: {error}") from error


def decode_all(
    variables: Mapping[str, Variable], *, load_file: Callable[[str], bytes] | None = None
) -> dict[str, object]:
    """``decode`` for every variable; ``load_file`` is given the variable's name."""
    return {
        name: decode(variable, name=name, load_file=partial(load_file, name) if load_file else None)
        for name, variable in variables.items()
    }


def encode(value: object, *, name: str = "") -> Variable:
    """The typed form of a Python value; see the table of this module. A ``Variable`` is passed on as it is.

    A str longer than 4,000 UTF-16 units travels as an Object of class java.lang.String in JSON: unlike Json it
    still is a string for ``${expressions}``. Raises UnsendableValue, which names the variable by ``name``.
    """
    for kinds, encoder in _ENCODERS:
        if isinstance(value, kinds):
            return encoder(value, name)
    raise UnsendableValue(
        name, type(value).__name__, "BPTL has no process-variable type for it; send a str, number, dict, list or model"
    )


def encode_all(values: Mapping[str, object]) -> dict[str, Variable]:
    """``encode`` for every value."""
    return {name: encode(value, name=name) for name, value in values.items()}


def _file(variable: Variable, name: str, load_file: Callable[[], bytes] | None) -> File:
    content = variable.value

    def not_loadable() -> bytes:
        raise UnreadableVariable(name, "File", "its bytes stay at the engine and nothing here can load them")

    load = load_file or not_loadable
    if content is not None:

        def load() -> bytes:
            return base64.b64decode(content)

    return File(
        name=variable.info.get("filename") or name or "file",
        mime_type=variable.info.get("mimeType") or "application/octet-stream",
        encoding=variable.info.get("encoding"),
        load=load,
    )


def _decode_date(variable: Variable, name: str) -> datetime:
    moment = datetime.fromisoformat(variable.value)
    if moment.tzinfo is None:
        raise UnreadableVariable(
            name, "Date", f"{variable.value!r} lacks an offset from UTC; set the engine's date format"
        )
    return moment


def _decode_object(variable: Variable, name: str) -> object:
    format_name = variable.info.get("serializationDataFormat")
    if not isinstance(variable.value, str):
        return variable.value  # Somebody had the engine deserialise it.
    if format_name == JSON_FORMAT:
        return json.loads(variable.value)
    if format_name == XML_FORMAT:
        return Xml(variable.value)
    raise UnreadableVariable(
        name,
        "Object",
        f"it is a {variable.info.get('objectTypeName') or 'Java object'} in format {format_name}, which only Java "
        "reads; set the engine's default-serialization-format to application/json, or store it as Json in the model",
    )


def _decode_bytes(variable: Variable, name: str) -> bytes:
    return base64.b64decode(variable.value, validate=True)


def _decode_boolean(variable: Variable, name: str) -> bool:
    if not isinstance(variable.value, bool):
        raise UnreadableVariable(name, variable.type, f"{variable.value!r} is neither true nor false")
    return variable.value


_DECODERS: Mapping[str, Callable[[Variable, str], object]] = {
    "Boolean": _decode_boolean,
    "Short": lambda variable, name: int(variable.value),
    "Integer": lambda variable, name: int(variable.value),
    "Long": lambda variable, name: int(variable.value),
    "Double": lambda variable, name: float(variable.value),
    "Number": lambda variable, name: variable.value,
    "String": lambda variable, name: str(variable.value),
    "Date": _decode_date,
    "Json": lambda variable, name: json.loads(variable.value),
    "Xml": lambda variable, name: Xml(str(variable.value)),
    "Object": _decode_object,
    "Bytes": _decode_bytes,
    "Null": lambda variable, name: None,
}


def _transient(value: Transient, name: str) -> Variable:
    inner = encode(value.value, name=name)
    return Variable(inner.type, inner.value, {**inner.info, "transient": True})


def _integer(value: int, name: str) -> Variable:
    number = int(value)
    if number in INT32:
        return Variable("Integer", number)
    if number in INT64:
        return Variable("Long", number)
    raise UnsendableValue(name, "int", "it does not fit in 64 bits; send it as a str")


def _double(value: float, name: str) -> Variable:
    if not math.isfinite(value):
        raise UnsendableValue(name, "float", f"{value} is no number in JSON; send None instead")
    return Variable("Double", float(value))


def _decimal(value: Decimal, name: str) -> Variable:
    if not value.is_finite():
        raise UnsendableValue(name, "Decimal", f"{value} is not a number; send None instead")
    return Variable("String", format(value, "f"))


def _string(value: str, name: str) -> Variable:
    try:
        units = len(value.encode("utf-16-le")) // 2
    except UnicodeEncodeError as error:
        raise UnsendableValue(name, "str", "it holds half a character (a lone surrogate)") from error
    if units <= LONGEST_STRING:
        return Variable("String", str(value))
    info = {"objectTypeName": "java.lang.String", "serializationDataFormat": JSON_FORMAT}
    return Variable("Object", json.dumps(value, ensure_ascii=False), info)


def _date(value: datetime, name: str) -> Variable:
    offset = value.utcoffset()
    if offset is None:
        raise UnsendableValue(name, "datetime", "it has no time zone; make it aware, for instance with tzinfo=UTC")
    if offset.seconds % 60 or offset.microseconds:
        value = value.astimezone(UTC)  # The engine's format has no seconds in an offset.
    text = value.isoformat(timespec="milliseconds")
    return Variable("Date", text[:-3] + text[-2:])  # The engine reads +0100, not +01:00.


def _file_content(value: File, name: str) -> Variable:
    if not value.name:
        raise UnsendableValue(name, "File", "the engine wants a file name")
    info = {"filename": value.name, "mimeType": value.mime_type}
    if value.encoding:
        info["encoding"] = value.encoding
    return Variable("File", base64.b64encode(value.read()).decode("ascii"), info)


def _json(value: object, name: str) -> Variable:
    kind = type(value).__name__
    try:
        text = json.dumps(_plain(value, name), ensure_ascii=False, allow_nan=False)
        text.encode()
    except VariableError:
        raise
    except UnicodeEncodeError as error:
        raise UnsendableValue(name, kind, "it holds half a character (a lone surrogate)") from error
    except (ValueError, RecursionError) as error:
        raise UnsendableValue(name, kind, f"it is no JSON: {error}") from error
    return Variable("Json", text)


def _plain(value: object, path: str) -> object:
    """``value`` in the terms of JSON. What JSON lacks is refused, not guessed: a secret must not leak as text."""
    if isinstance(value, Enum):
        return _plain(value.value, path)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID | AnyUrl):
        return encode(value, name=path).value
    raise UnsendableValue(path, type(value).__name__, "JSON cannot carry it; use str, numbers, dicts and lists inside")


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise UnsendableValue(path, "dict", f"JSON wants str as keys, not {key!r}")
    return key


# The first that fits counts: an Enum may be a str or int too, a bool is an int, a datetime is a date.
_ENCODERS: Sequence[tuple[Any, Callable[[Any, str], Variable]]] = (
    (Variable, lambda value, name: value),
    (Transient, _transient),
    (type(None), lambda value, name: Variable("Null")),
    (Enum, lambda value, name: encode(value.value, name=name)),
    (bool, lambda value, name: Variable("Boolean", value)),
    (int, _integer),
    (float, _double),
    (str, _string),
    ((bytes, bytearray, memoryview), lambda value, name: Variable("Bytes", base64.b64encode(value).decode("ascii"))),
    (datetime, _date),
    ((date, time), lambda value, name: Variable("String", value.isoformat())),
    ((UUID, AnyUrl), lambda value, name: _string(str(value), name)),
    (Decimal, _decimal),
    (Xml, lambda value, name: Variable("Xml", value.text)),
    (File, _file_content),
    ((BaseModel, Mapping, list, tuple, AbstractSet), _json),
)

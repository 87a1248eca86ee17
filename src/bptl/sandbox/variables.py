"""Typed process variables: the VariableValueDto of Camunda 7 ↔ stored values ↔ the Python values of expressions."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bptl.sandbox.clock import read, shown
from bptl.sandbox.errors import EngineError, Invalid

LONGEST_STRING = 4000
TOO_LONG = 10002
"""Camunda's code for a column that is too small."""

Typed = dict[str, Any]
"""``type``, ``value`` and ``valueInfo`` as they are stored."""

_RANGES = {"Short": 2**15, "Integer": 2**31, "Long": 2**63}
_JSON_OBJECT = {"objectTypeName": "java.lang.Object", "serializationDataFormat": "application/json"}


def received(name: str, data: Mapping[str, Any]) -> Typed:
    """What a request sends as variable ``name``, checked. Raises Invalid, and EngineError 10002 for a long String."""
    value, info = data.get("value"), dict(data.get("valueInfo") or {})
    kind = str(data.get("type") or "")
    if not kind:
        return {**of(value), "valueInfo": {**of(value)["valueInfo"], **info}}
    kind = kind[:1].upper() + kind[1:]
    reader = _READERS.get(kind)
    if reader is None:
        raise Invalid(f"Unsupported value type '{data['type']}'")
    try:
        value = reader(value, info) if value is not None or kind == "Object" else None
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise Invalid(f"Cannot convert value of variable '{name}' to type '{kind}': {error}") from error
    if kind == "File" and not info.get("filename"):
        raise Invalid(f"Cannot create file variable '{name}': valueInfo.filename is mandatory")
    if kind == "String" and value is not None and len(value.encode("utf-16-le", "surrogatepass")) // 2 > LONGEST_STRING:
        raise EngineError(f"variable '{name}' is longer than {LONGEST_STRING} characters", code=TOO_LONG)
    return {"type": kind, "value": value, "valueInfo": info}


def all_received(data: Mapping[str, Any] | None) -> dict[str, Typed]:
    """``received`` for every variable of a request."""
    return {name: received(name, value or {}) for name, value in (data or {}).items()}


def of(value: Any) -> Typed:
    """The typed form of a JSON or expression value; lists and maps become Objects in JSON."""
    kind = _kind(value)
    if kind == "Date":
        value = shown(round(value.timestamp() * 1000))
    elif kind == "Object":
        value = json.dumps(value)
    elif kind == "Bytes":
        value = base64.b64encode(value).decode()
    return {"type": kind, "value": value, "valueInfo": dict(_JSON_OBJECT) if kind == "Object" else {}}


def python(typed: Typed) -> Any:
    """The value that expressions see; raises ValueError for what only Java could read."""
    kind, value = typed["type"], typed["value"]
    if value is None and kind != "File":
        return None
    if kind == "Date":
        return datetime.fromtimestamp(read(value) / 1000, UTC)
    if kind == "Bytes":
        return base64.b64decode(value)
    if kind == "Json" or (kind == "Object" and typed["valueInfo"].get("serializationDataFormat") == "application/json"):
        return json.loads(value)
    if kind in {"Object", "File"}:
        raise ValueError(f"a variable of type {kind} has no value in the sandbox's expressions")
    return value


def dto(typed: Typed) -> Typed:
    """The VariableValueDto of an answer: the content of a file stays here."""
    return {**typed, "value": None} if typed["type"] == "File" else typed


def content(typed: Typed) -> bytes:
    """The bytes of a File or Bytes variable; raises Invalid for every other type."""
    if typed["type"] not in {"File", "Bytes"}:
        raise Invalid(f"Value of type {typed['type']} is not a binary value")
    return base64.b64decode(typed["value"] or "")


def _kind(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:
            raise Invalid(f"{value} does not fit in 64 bits")
        return "Integer" if -(2**31) <= value < 2**31 else "Long"
    kinds = {type(None): "Null", bool: "Boolean", float: "Double", str: "String", datetime: "Date", bytes: "Bytes"}
    return kinds.get(type(value), "Object")


def _boolean(value: Any, _info: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or str(value).lower() in {"true", "false"}:
        return value is True or str(value).lower() == "true"
    raise ValueError(f"{value!r} is neither true nor false")


def _whole(kind: str) -> Callable[[Any, Mapping[str, Any]], int]:
    def reader(value: Any, _info: Mapping[str, Any]) -> int:
        number = int(str(value))
        if not -_RANGES[kind] <= number < _RANGES[kind]:
            raise ValueError(f"{number} is out of range")
        return number

    return reader


def _text(value: Any, _info: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be text")  # noqa: TRY004 - one kind of error for all that does not fit
    return value


def _json(value: Any, info: Mapping[str, Any]) -> str:
    json.loads(_text(value, info))
    return str(value)


def _object(value: Any, info: Mapping[str, Any]) -> str | None:
    if not str(info.get("serializationDataFormat") or "").startswith("application/json"):
        raise ValueError("only objects serialised as application/json can be stored")
    return None if value is None else _json(value, info)


def _base64(value: Any, info: Mapping[str, Any]) -> str:
    base64.b64decode(_text(value, info), validate=True)
    return str(value)


_READERS: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "Null": lambda value, info: None,
    "Boolean": _boolean,
    "Short": _whole("Short"),
    "Integer": _whole("Integer"),
    "Long": _whole("Long"),
    "Double": lambda value, info: float(str(value)),
    "String": lambda value, info: value if isinstance(value, str) else json.dumps(value),
    "Xml": _text,
    "Date": lambda value, info: shown(read(_text(value, info))),
    "Json": _json,
    "Object": _object,
    "Bytes": _base64,
    "File": _base64,
}

"""Templates of http.request: text with placeholders, filled with process variables.

A placeholder is ``{name}``, or ``{name.field}`` for a field of an object; ``{{`` and ``}}`` stand for the braces
themselves. Nothing else is read: no expressions, no code. In a body or a query, a text that is one placeholder and
nothing else becomes the value with its type. The path follows RFC 6570: ``{name}`` is percent-encoded, and ``{+name}``
at its beginning is the address of something in the service, as services give it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import quote, unquote

from bptl.engines.variables import File, Xml
from bptl.work_units.contract import FieldFault

_NAME = r"[A-Za-z_][\w-]*(?:\.[\w-]+)*"
_PART = re.compile(rf"\{{\{{|\}}\}}|\{{(?P<address>\+?)(?P<name>{_NAME})\}}|[{{}}]")
_WHOLE = re.compile(rf"\{{(?P<name>{_NAME})\}}")
_LOST = object()


def is_placeholder(template: str) -> bool:
    """Whether the text is one placeholder and nothing else."""
    return _WHOLE.fullmatch(template) is not None


def names_in(template: Any) -> Iterator[str]:
    """The process variables that the texts in a template name. Keys of objects are no templates."""
    if isinstance(template, str):
        for part in _PART.finditer(template):
            if part["name"] and part[0] not in ("{{", "}}"):
                yield part["name"].partition(".")[0]
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from names_in(value)
    elif isinstance(template, list):
        for value in template:
            yield from names_in(value)


@dataclass(frozen=True, slots=True)
class Filling:
    """Fills templates from ``values``, and notes in ``faults`` whatever is wrong, so that all of it can be told.

    ``at`` is where a template stands in the inputs, such as ``body.bedrag``.
    """

    values: Mapping[str, Any]
    faults: list[FieldFault] = field(default_factory=list)

    def value(self, template: Any, *, at: str) -> Any:
        """A filled copy; JSON, if ``values`` are process variables. Files and bytes become base64."""
        if isinstance(template, str):
            if (whole := _WHOLE.fullmatch(template)) is None:
                return self.text(template, at=at)
            found = self._found(whole["name"], at=at)
            return None if found is _LOST else _json(found)
        if isinstance(template, Mapping):
            return {key: self.value(inner, at=f"{at}.{key}") for key, inner in template.items()}
        if isinstance(template, list):
            return [self.value(inner, at=f"{at}[{number}]") for number, inner in enumerate(template)]
        return template

    def text(self, template: str, *, at: str, write: Callable[[str], str] = str) -> str:
        """A filled text. Values must be text, numbers, true or false, dates or times; ``write`` escapes them."""
        return self._filled(template, at=at, write=write)

    def path(self, template: str, *, at: str) -> str:
        """A filled path, in which no value can add a step or leave one out."""
        if set(template) & set("?#\\"):
            self._fault(at, "must have no ?, # or \\: what follows a ? belongs in query")
        beginning, rest = "", template
        first = _PART.match(template)
        if first and first["address"]:
            beginning, rest = self._address(first["name"], at=at), template[first.end() :]
            if rest and not rest.startswith("/") and not beginning.endswith("/"):
                self._fault(at, f"must go on with / after {first[0]}")
        filled = self._filled(rest, at=at, write=lambda text: quote(text, safe=""), empty=False)
        if {".", ".."} & set(re.split(r"[/\\]", unquote(filled))):
            self._fault(at, "must have no step that is . or ..")
        return beginning + filled

    def _filled(self, template: str, *, at: str, write: Callable[[str], str], empty: bool = True) -> str:
        def fill(part: re.Match[str]) -> str:
            if part[0] in ("{{", "}}"):
                return part[0][0]
            if not part["name"]:
                self._fault(at, f"has a {part[0]} that belongs to no placeholder; write it double to mean it")
                return ""
            if part["address"]:
                self._fault(at, f"{part[0]} can only be the beginning of path")
                return ""
            found = self._found(part["name"], at=at)
            if found is _LOST:
                return ""
            text = _text(found)
            if text is None or (not text and not empty):
                self._fault(part["name"], f"is {_kind(found)}, which cannot be a part of {at}")
                return ""
            return write(text)

        return _PART.sub(fill, template)

    def _address(self, name: str, *, at: str) -> str:
        found = self._found(name, at=at)
        if found is _LOST:
            return ""
        if not isinstance(found, str) or not re.fullmatch(r"https?://[^\s?#\\]+", found):
            self._fault(name, f"must be the address of something in the service, for {at}: https://…, without ? and #")
            return ""
        return found

    def _found(self, name: str, *, at: str) -> Any:
        found: Any = self.values
        for step in name.split("."):
            if not isinstance(found, Mapping) or step not in found:
                self._fault(name, f"is missing: {at} needs it")
                return _LOST
            found = found[step]
        return found

    def _fault(self, path: str, reason: str) -> None:
        fault = FieldFault(path, reason)
        if fault not in self.faults:
            self.faults.append(fault)


def _text(value: Any) -> str | None:
    """A value as it is written into a text; None for what has no such form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, date):
        return value.isoformat()
    return value.text if isinstance(value, Xml) else None


def _json(value: Any) -> Any:
    if isinstance(value, File):
        return base64.b64encode(value.read()).decode()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_json(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else _text(value)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if value == "":
        return "empty"
    return {dict: "an object", list: "a list", File: "a file", bytes: "bytes"}.get(type(value), type(value).__name__)

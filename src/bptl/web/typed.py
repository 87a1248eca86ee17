"""Process variables as people type them in a form: rows of a name, a type and a text; only what was changed counts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bptl.engines.variables import INT32, INT64, Variable, VariableError, encode
from bptl.lib.redaction import without_own_keys
from bptl.work_units.description import NAMED_BY_THE_MODEL, VariableDescription

TYPES: Mapping[str, str | Promise] = {
    "String": gettext_lazy("text (String)"),
    "Integer": gettext_lazy("whole number (Integer)"),
    "Long": gettext_lazy("large whole number (Long)"),
    "Double": gettext_lazy("number with a point (Double)"),
    "Boolean": gettext_lazy("true or false (Boolean)"),
    "Date": gettext_lazy("date and time with offset (Date)"),
    "Json": gettext_lazy("JSON (Json)"),
    "Null": gettext_lazy("empty (Null)"),
}
"""The types that can be typed, by the engine's names."""

MOST_ROWS = 100
"""Variables that one form shows; Django takes at most 1,000 fields."""

LONGEST = 20_000
"""Characters of a value that a form shows."""

EMPTY_ROWS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One variable in a form. ``fixed``: its name is given; ``note`` explains it; ``error`` says what does not fit."""

    name: str = ""
    type: str = "String"
    text: str = ""
    fixed: bool = False
    note: str = ""
    error: str = ""


@dataclass(slots=True)
class VariableRows:
    """The rows of a form before and after somebody typed in them. ``left_out`` names what cannot be typed."""

    shown: Sequence[Row]
    left_out: Sequence[str] = ()
    typed: Sequence[Row] | None = None
    changed: dict[str, Variable] = field(default_factory=dict)
    """What was typed and differs from what was shown; complete only when ``valid``."""

    @property
    def rows(self) -> Sequence[Row]:
        """What the form shows now: what was typed, and a few empty rows."""
        rows = self.shown if self.typed is None else self.typed
        empty = sum(not row.fixed and not row.name and not row.text for row in rows)
        return [*rows, *[Row()] * (EMPTY_ROWS - empty)]

    @property
    def types(self) -> Mapping[str, str | Promise]:
        """What can be chosen."""
        return TYPES

    @property
    def valid(self) -> bool:
        """Whether nothing that was typed was refused."""
        return not any(row.error for row in self.typed or ())

    def read(self, data: QueryDict) -> None:
        """Take what a browser sent."""
        before = {row.name: row for row in self.shown}
        names, types, texts = (data.getlist(f"variable-{part}") for part in ("name", "type", "text"))
        self.typed = [
            self._read(before, name.strip(), kind, text.replace("\r\n", "\n"))
            for name, kind, text in zip(names, types, texts, strict=False)
        ]

    def _read(self, before: Mapping[str, Row], name: str, kind: str, text: str) -> Row:
        was = before.get(name)
        row = Row(name, kind, text, fixed=was is not None, note=was.note if was else "")
        if (was is not None and (kind, text) == (was.type, was.text)) or not (name or text):
            return row
        error = ""
        if not name:
            error = _("Give it a name.")
        elif name in self.changed:
            error = _("This name is there twice.")
        else:
            try:
                self.changed[name] = parsed(kind, text)
            except VariableError as problem:
                error = problem.reason
            except ValueError as problem:
                error = str(problem)
        return Row(name, kind, text, fixed=row.fixed, note=row.note, error=error)


def rows_of(variables: Mapping[str, Mapping[str, Any]], declared: Iterable[VariableDescription] = ()) -> VariableRows:
    """The rows of variables in the form that tasks keep (name → type, value, valueInfo), and of the ``declared`` ones
    that are not among them.
    """
    rows: list[Row] = []
    left_out = []
    for name, data in sorted(variables.items()):
        variable = Variable.from_json(data)
        text = _typed_text(variable)
        if text is None or len(text) > LONGEST or len(rows) == MOST_ROWS or text != without_own_keys(text):
            left_out.append(name)
        else:
            rows.append(Row(name, _kind(variable), text, fixed=True))
    rows += [
        Row(one.name, _kind_in(one.type), fixed=True, note=one.description)
        for one in declared
        if one.is_top and one.name not in variables and one is not NAMED_BY_THE_MODEL
    ]
    return VariableRows(rows, left_out)


def parsed(kind: str, text: str) -> Variable:
    """The variable that a text says. Raises ValueError, whose text is for the person who typed, or VariableError."""
    if kind not in _PARSERS:
        raise ValueError(_("Choose a type."))
    return _PARSERS[kind](text)


def _kind(variable: Variable) -> str:
    if variable.type == "Object":
        return "String"
    return "Integer" if variable.type == "Short" else variable.type


def _kind_in(words: str) -> str:
    """The type that fits what a unit declares, in words (``work_units.description``)."""
    if words.startswith(("list", "object")):
        return "Json"
    kinds = {"whole number": "Integer", "number": "Double", "true or false": "Boolean", "date and time": "Date"}
    return kinds.get(words, "String")


def _typed_text(variable: Variable) -> str | None:
    """The text of a variable in a form; None for what cannot be typed, such as a file."""
    value = variable.value
    match variable.type:
        case "Null":
            return ""
        case "String" | "Date" if isinstance(value, str):
            return value.replace("\r\n", "\n")
        case "Boolean" | "Short" | "Integer" | "Long" | "Double" if value is not None:
            return json.dumps(value)
        case "Json" if isinstance(value, str):
            return _indented(value)
        case "Object" if variable.info.get("objectTypeName") == "java.lang.String" and isinstance(value, str):
            text = json.loads(value)
            return text if isinstance(text, str) else None
    return None


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text


def _whole(kind: str, within: Collection[int]) -> Callable[[str], Variable]:
    def parse(text: str) -> Variable:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(_("Write a whole number, such as 12.")) from None
        if number not in within:
            raise ValueError(_("It is too large for this type."))
        return Variable(kind, number)

    return parse


def _double(text: str) -> Variable:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(_("Write a number with a point, such as 12.5."))
    return Variable("Double", number)


def _boolean(text: str) -> Variable:
    word = text.strip().lower()
    if word not in {"true", "false"}:
        raise ValueError(_("Write true or false."))
    return Variable("Boolean", word == "true")


def _date(text: str) -> Variable:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - it only has to be without a time zone
    if moment.tzinfo is None:
        raise ValueError(_("Write date, time and offset from UTC, such as 2026-11-26T09:00:00+01:00."))
    return encode(moment)


def _json(text: str) -> Variable:
    try:
        value = json.loads(text)
        kept = json.dumps(value, ensure_ascii=False, allow_nan=False)
        kept.encode()
    except ValueError:
        raise ValueError(_('This is not JSON. A text needs double quotes: "such as this".')) from None
    return Variable("Json", kept)


def _null(text: str) -> Variable:
    if text.strip():
        raise ValueError(_("This type has no value: choose another type, or empty the field."))
    return Variable("Null")


_PARSERS: Mapping[str, Callable[[str], Variable]] = {
    "String": encode,
    "Integer": _whole("Integer", INT32),
    "Long": _whole("Long", INT64),
    "Double": _double,
    "Boolean": _boolean,
    "Date": _date,
    "Json": _json,
    "Null": _null,
}

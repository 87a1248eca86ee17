"""Process variables as people read them: typed, JSON indented, files named, long ones folded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from bptl.engines.variables import Variable
from bptl.lib.redaction import without_own_keys
from bptl.tasks.files import TYPES

LONGEST_OPEN = 160
"""Characters of a value that are shown without unfolding."""

LONGEST_SHOWN = 100_000
"""Characters of a value that a page carries at all."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One variable: ``text`` is the whole value, ``beginning`` what a folded one shows, empty when it is not folded.
    ``is_file``: it can be downloaded."""

    name: str
    type: str
    text: str
    beginning: str = ""
    is_file: bool = False


def shown(variables: Mapping[str, Any], *, values: bool, find: str = "") -> Sequence[Shown]:
    """Variables in the form that rows keep (name → type, value, valueInfo), by name; without their ``values`` for who
    may not read personal data. ``find``: only those that have this text in what is shown of them, in any case.
    """
    found = ((name, Variable.from_json(data)) for name, data in sorted(variables.items()))
    rows = [_shown(name, variable) if values else Shown(name, variable.type, "") for name, variable in found]
    return [row for row in rows if find.casefold() in f"{row.name}\n{row.type}\n{row.text}".casefold()]


def _shown(name: str, variable: Variable) -> Shown:
    if variable.type in TYPES:
        return Shown(name, variable.type, _text(variable), is_file=True)
    text = _text(variable)
    if len(text) > LONGEST_SHOWN:
        text = text[:LONGEST_SHOWN] + " …"
    one_line = " ".join(text.split())
    folded = len(text) > LONGEST_OPEN or text.count("\n") > 4
    return Shown(name, variable.type, text, one_line[:LONGEST_OPEN] + " …" if folded else "")


def _text(variable: Variable) -> str:
    # A model passes the address of a waiting task on in a variable: who looks at the page is not who may answer.
    return without_own_keys(_whole_text(variable))


def _whole_text(variable: Variable) -> str:
    value = variable.value
    match variable.type:
        case "File":
            filename = variable.info.get("filename", "")
            mime_type = variable.info.get("mimetype") or variable.info.get("mimeType") or ""
            return " ".join(part for part in (_("file"), filename, f"({mime_type})" if mime_type else "") if part)
        case "Bytes":
            return _("bytes")
    if value is None:
        return _("empty (null)")
    if isinstance(value, str):
        return _indented(value) if variable.type in {"Json", "Object"} else value
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text

"""Grants of work units in words: ``zgw.create_zaak`` is one unit, ``zgw.*`` a theme, ``*`` all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALL = "*"
THEME = ".*"


class UnknownGrant(Exception):
    """No registered unit is meant by ``text``."""

    def __init__(self, text: str, *, known: Iterable[str]) -> None:
        self.text = text
        close = difflib.get_close_matches(text, list(known), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "write a unit, a theme such as zgw.*, or *"
        super().__init__(f"no work unit is called {text!r}; {hint}")


def normalised(texts: Iterable[str]) -> list[str]:
    """The grants in one order, each once, by the units' names of today. Raises UnknownGrant."""
    # Here, because every process has rows of applications, and few have units.
    from bptl.work_units import registry

    units = registry.load()
    themes = {name.partition(".")[0] + THEME for name in units.names()}
    found = set()
    for text in (text.strip() for text in texts):
        if text == ALL or text in themes:
            found.add(text)
        elif text in units:
            found.add(units.get(text).name)
        else:
            raise UnknownGrant(text, known=[*units.names(), *themes])
    return sorted(found)


def covers(grants: Iterable[str], unit: str) -> bool:
    """Whether one of ``grants`` means the unit called ``unit``."""
    wanted = {ALL, unit.partition(".")[0] + THEME, unit}
    return any(grant in wanted for grant in grants)

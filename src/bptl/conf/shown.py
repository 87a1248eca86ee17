"""The settings in force, as people may see them: each variable with its value unless it is secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bptl.conf.env import Declared


@dataclass(frozen=True, slots=True)
class Shown:
    """One variable. ``value`` is empty for a secret and for what is not set; ``source`` is the name that set it."""

    name: str
    help: str
    default: str
    value: str
    source: str
    secret: bool


def settings(declared: Iterable[Declared], source: Mapping[str, str]) -> list[Shown]:
    """All variables in the order in which they are read; a value that is none of the default's has a ``source``."""
    return [_shown(one, source) for one in declared]


def _shown(one: Declared, source: Mapping[str, str]) -> Shown:
    names = [one.name, *one.old_names]
    if one.secret:
        names += [f"{name}_FILE" for name in names]
    by = next((name for name in names if source.get(name, "").strip()), "")
    value = "" if one.secret else (source[by].strip() if by else one.default)
    return Shown(one.name, one.help, "" if one.secret else one.default, value, by, one.secret)

"""The page of the environment variables, made from their readers: ``python -m bptl.conf.reference`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from bptl.conf.env import Declared

HEAD = """\
# Environment variables

Made from the readers in `src/bptl/conf/settings.py` by `./run docs`; change them there.

An empty variable counts as not set. BPTL refuses to start with a value that is missing or wrong, and names every fault
at once. A *secret* may also stand in a file whose path is in `NAME_FILE` instead of `NAME`.

| Variable | Value | Default | What it is |
|---|---|---|---|
"""


def page(declared: Iterable[Declared]) -> str:
    """The whole page in Markdown; variables in the order in which they are read."""
    return HEAD + "".join(
        f"| {_name(one)} | {_kind(one)} | {_default(one)} | {_cell(one.help)} |\n" for one in declared
    )


def _name(one: Declared) -> str:
    old = ", ".join(f"`{name}`" for name in one.old_names)
    return f"`{one.name}`" + (f" (old name {old})" if old else "")


def _kind(one: Declared) -> str:
    return f"*{_cell(one.kind)}*" if one.secret else _cell(one.kind)


def _default(one: Declared) -> str:
    if one.required:
        return "**required**"
    return f"`{_cell(one.default)}`" if one.default else "empty"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    # Reads the environment, which must be fit to start with.
    from bptl.conf.settings import environment

    sys.stdout.write(page(environment.declared))

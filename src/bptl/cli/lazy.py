"""A group of commands that imports a command when it is called, not to list it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import click


class Verb(NamedTuple):
    """A command: its name, the module with a click command of that name, and its line in the list.

    ``attribute`` is what the module calls it where the name is none of Python's.
    """

    name: str
    module: str
    summary: str
    attribute: str = ""


class LazyGroup(click.Group):
    """Shows its verbs in the given order from their summaries alone."""

    def __init__(self, *args: Any, verbs: Sequence[Verb] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = {verb.name: verb for verb in verbs}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were given."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None when there is no such verb."""
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        command = getattr(importlib.import_module(verb.module), verb.attribute or verb.name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{verb.module}.{verb.attribute or verb.name} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb.name, verb.summary) for verb in self._verbs.values()])

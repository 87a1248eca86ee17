"""``bptl manage``: Django's own commands with our settings."""

from __future__ import annotations

import click
from django.core.management import execute_from_command_line

from bptl.cli.start import start_django


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def manage(arguments: tuple[str, ...]) -> None:
    """Run a command of Django, for instance ``bptl manage migrate``."""
    start_django()
    execute_from_command_line(["bptl manage", *arguments])

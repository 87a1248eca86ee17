"""``bptl secrets``: the keys under which secrets are stored."""

from __future__ import annotations

import click

from bptl.cli.start import start_django


@click.group()
def secrets() -> None:
    """The keys under which secrets are stored."""


@secrets.command()
def rotate() -> None:
    """Encrypt all secrets with the first of BPTL_ENCRYPTION_KEYS, so that the others can be retired."""
    start_django()
    # Here, because it needs the models.
    from bptl.connections import rotation

    try:
        count = rotation.rotate()
    except rotation.Unreadable as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"encrypted {count} secrets with the first key")

"""``bptl breakers``: which services and engines are known to be down, and maintenance windows.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from bptl.cli.start import start_django

FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]


@click.group()
def breakers() -> None:
    """Circuit breakers: nothing is fetched that needs a service, or an engine, that is known to be down."""


def _about(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say of which service or engine."""
    command = click.option("--engine", "engine_name", metavar="NAME", help="Of an engine.")(command)
    return click.option("--service", "service_name", metavar="NAME", help="Of a service.")(command)


def _subject(service_name: str | None, engine_name: str | None) -> Any:
    from bptl.cli import rows

    if service_name and not engine_name:
        return rows.service(service_name)
    if engine_name and not service_name:
        return rows.engine(engine_name)
    raise click.UsageError("name one: --service NAME or --engine NAME")


@breakers.command("list")
@_about
def list_breakers(service_name: str | None, engine_name: str | None) -> None:
    """Show what is open now; of one service or engine its last openings."""
    start_django()
    from bptl.cli import table
    from bptl.connections import breakers as circuit

    if service_name or engine_name:
        found = circuit.history(_subject(service_name, engine_name))
    else:
        opened = circuit.open_now()
        found = [*opened.services.values(), *opened.engines.values()]
    rows = [
        (
            "service" if opening.breaker.service_id else "engine",
            opening.breaker.name,
            "closed" if opening.closed_at else "open",
            _moment(opening.opened_at),
            opening.opened_by or "-",
            opening.reason,
            _moment(opening.until),
            _moment(opening.next_probe_at),
            opening.last_probe or "-",
            _moment(opening.closed_at),
            opening.closed_by or "-",
            opening.closed_reason or "-",
        )
        for opening in found
    ]
    if not rows and not (service_name or engine_name):
        click.echo("all breakers are closed")
        return
    table.show(
        (
            *("of", "name", "state", "since", "by", "reason", "until", "next probe", "last probe"),
            *("closed", "closed by", "because"),
        ),
        rows,
    )


def _moment(at: datetime | None) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else "-"


@breakers.command("open")
@_about
@click.option("--until", type=click.DateTime(FORMATS), required=True, help="End of the window, local time.")
@click.option("--reason", required=True, help="Why; shown on its page and kept in the audit log.")
def open_breaker(service_name: str | None, engine_name: str | None, until: datetime, reason: str) -> None:
    """Begin a maintenance window: fetch nothing that needs it; it is probed at the end, and closes when it answers."""
    start_django()
    from django.core.exceptions import ValidationError
    from django.utils import timezone

    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.cli import rows
    from bptl.tasks import breaker_changes

    subject = _subject(service_name, engine_name)
    try:
        opening = breaker_changes.open_window(
            subject, by=By(COMMAND_LINE), reason=reason, until=timezone.make_aware(until)
        )
    except ValidationError as error:
        raise click.UsageError(rows.faults(error)) from error
    click.echo(f"{subject} is open until {_moment(opening.until)}: {opening.reason}")


@breakers.command("close")
@_about
@click.option("--reason", required=True, help="Why; kept in the audit log.")
def close_breaker(service_name: str | None, engine_name: str | None, reason: str) -> None:
    """Fetch again at once, without a probe; should it be down still, it opens again by itself."""
    start_django()
    from django.core.exceptions import ValidationError

    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.cli import rows
    from bptl.tasks import breaker_changes

    subject = _subject(service_name, engine_name)
    try:
        ended = breaker_changes.close_now(subject, by=By(COMMAND_LINE), reason=reason)
    except ValidationError as error:
        raise click.UsageError(rows.faults(error)) from error
    click.echo(f"{subject} is closed" if ended else f"{subject} was closed already")

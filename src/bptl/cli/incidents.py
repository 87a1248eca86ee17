"""``bptl incidents``: what goes wrong, and whom was told.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration.
"""

from __future__ import annotations

import json as text_json

import click

from bptl.cli.start import start_django


@click.group()
def incidents() -> None:
    """What goes wrong, and what was told of it."""


@incidents.command("list")
@click.option("--ended", is_flag=True, help="Those that are over instead, the last 50.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one array.")
def list_incidents(ended: bool, as_json: bool) -> None:
    """Show what goes wrong now, newest first."""
    start_django()
    from bptl.cli import table
    from bptl.telling import owners, queries

    found = queries.ended().incidents if ended else queries.open_incidents()
    rows = [
        {
            "id": incident.pk,
            "kind": incident.kind,
            "engine": incident.engine.name if incident.engine else "",
            "topic": incident.topic,
            "cause": incident.cause,
            "tasks": incident.count if incident.of_tasks else None,
            "since": incident.began_at.isoformat(timespec="seconds"),
            "until": incident.ended_at.isoformat(timespec="seconds") if incident.ended_at else "",
            "told": incident.told_at.isoformat(timespec="seconds") if incident.told_at else "",
            "to": [target.address for target in owners.of_incident(incident)],
            "muted_until": incident.muted_until.isoformat(timespec="seconds") if incident.muted_until else "",
        }
        for incident in found
    ]
    if as_json:
        click.echo(text_json.dumps(rows, ensure_ascii=False, indent=2))
        return
    shown = [
        tuple(", ".join(value) if isinstance(value, list) else str(value or "-") for value in row.values())
        for row in rows
    ]
    table.show(
        ("id", "kind", "engine", "topic", "cause", "tasks", "since", "until", "told", "to", "muted until"), shown
    )


@incidents.command()
def test() -> None:
    """Send a test to the addresses of the settings; ends with 1 when one of them does not take it."""
    start_django()
    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.telling import acts

    tried = acts.test(None, by=By(COMMAND_LINE))
    if not tried:
        raise click.ClickException("nobody is told: set BPTL_INCIDENT_MAIL or BPTL_INCIDENT_WEBHOOK")
    for message in tried:
        click.echo(f"{message.recipient}: {message.error or 'taken'}")
    if any(message.sent_at is None for message in tried):
        raise click.ClickException("not every address took it")

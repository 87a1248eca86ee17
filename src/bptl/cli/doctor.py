"""``bptl doctor``: is everything there, and may we do our work? Each finding says what to do about it."""

from __future__ import annotations

import json
import sys

import click

from bptl.cli.start import start_django


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def doctor(as_json: bool) -> None:
    """Check everything and say what to do.

    Marks: ok; doubt, worth a look; bad, needs action. The exit code is 1 when something is bad.
    """
    start_django()
    from bptl.cli import checkup
    from bptl.connections.findings import Mark

    found = []
    for checked in checkup.everything():
        found.append(checked)
        if not as_json:
            click.echo(f"{checked.finding.mark:<6} {checked.about}: {checked.finding.text}")
    bad, doubtful = (sum(checked.finding.mark is mark for checked in found) for mark in (Mark.BAD, Mark.DOUBT))
    if as_json:
        rows = [
            {"about": checked.about, "mark": checked.finding.mark, "text": checked.finding.text} for checked in found
        ]
        click.echo(json.dumps({"bad": bad, "doubt": doubtful, "findings": rows}, indent=2, ensure_ascii=False))
    else:
        click.echo(f"\nneed action: {bad}, worth a look: {doubtful}")
    sys.exit(1 if bad else 0)

"""``bptl poll | work | beat | flower``: the processes of the fleet besides the web."""

from __future__ import annotations

import sys

import click

from bptl.cli.start import PAGES, SCHEDULE, choose_settings, start_process


@click.command()
def poll() -> None:
    """Fetch work from the engines, in long polls (queue long-polling)."""
    start_process("poll", without=PAGES | SCHEDULE)
    from bptl.workers import start

    sys.exit(start.poll())


@click.command()
@click.option("--places", type=click.IntRange(min=1), help="Units at once; default CELERY_WORKER_CONCURRENCY.")
def work(places: int | None) -> None:
    """Run work units and report their outcomes (queue celery)."""
    start_process("work", without=PAGES | SCHEDULE)
    from bptl.workers import start

    sys.exit(start.work(places=places))


@click.command()
def beat() -> None:
    """Kick off the long poll and the sweep, again and again."""
    start_process("beat", without=PAGES)
    from bptl.workers import schedule

    sys.exit(schedule.run())


@click.command()
def flower() -> None:
    """Show workers and jobs to operators (Flower), behind a password; nothing can be changed there.

    Give users in FLOWER_BASIC_AUTH (user:password) or in the file that FLOWER_BASIC_AUTH_FILE names.
    """
    choose_settings()
    from bptl.workers import monitor

    sys.exit(monitor.run())

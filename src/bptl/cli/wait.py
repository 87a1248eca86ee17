"""``bptl wait``: what the entry scripts of the image do before they become the process of their container."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import click

from bptl.cli.start import start_django
from bptl.lib.log import get_logger

WAITED_IN_VAIN = 75
"""EX_TEMPFAIL of sysexits.h: start it again later. gunicorn ends with 3 and 4 for reasons of its own."""

MIGRATING = 0x6270_746C
"""Key of the PostgreSQL advisory lock that is held while migrations are applied ("bptl" in ASCII)."""

EVERY_SECONDS = 1.0
SAID_EVERY_SECONDS = 10.0

log = get_logger(__name__)


class StayedAway(click.ClickException):
    """Something that the process needs did not come in time."""

    exit_code = WAITED_IN_VAIN

    def __init__(self, what: str, *, reason: str, seconds: float) -> None:
        self.what = what
        self.reason = reason
        super().__init__(f"waited {seconds:g} s (BPTL_WAIT_SECONDS) for {what} in vain: {reason}")


class Patience:
    """Asks again and again, aloud, until one deadline for everything."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def until(self, what: str, missing: Callable[[], str]) -> None:
        """Return when ``missing`` answers an empty text; its text is the reason that is said. Raises StayedAway."""
        said = float("-inf")
        while reason := missing():
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise StayedAway(what, reason=reason, seconds=self._seconds)
            if time.monotonic() - said >= SAID_EVERY_SECONDS:
                said = time.monotonic()
                log.info("start.awaited", what=what, reason=reason, seconds_left=round(left))
            time.sleep(min(EVERY_SECONDS, left))


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--migrate", is_flag=True, help="Apply missing migrations, one process at a time, instead of waiting.")
@click.option("--broker", is_flag=True, help="Wait for the broker too.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def wait(migrate: bool, broker: bool, command: tuple[str, ...]) -> None:
    """Wait for the database and its migrations, then become COMMAND.

    At most BPTL_WAIT_SECONDS, saying what is missing; then the exit code is 75.
    """
    start_django()
    from django.conf import settings
    from django.db import connection

    patience = Patience(settings.BPTL_WAIT_SECONDS)
    patience.until("the database", _database_missing)
    if migrate:
        _migrate(patience)
    else:
        patience.until("migrations, which the web process or bptl wait --migrate applies", _migrations_missing)
    connection.close()
    if broker:
        patience.until("the broker", _broker_missing)
    if command:
        sys.stdout.flush()
        os.execvp(command[0], command)


def _database_missing() -> str:
    from django.db import DatabaseError, connection

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        connection.close()
        return " ".join(str(error).split())
    return ""


def _migrations_missing() -> str:
    from django.db import DatabaseError, connection

    from bptl.web.health import migrated

    try:
        return "" if migrated() else "not all are applied"
    except DatabaseError as error:
        connection.close()
        return " ".join(str(error).split())


def _broker_missing() -> str:
    from bptl.workers import broker

    try:
        broker.ping()
    except broker.BrokerAway as error:
        return str(error)
    return ""


def _migrate(patience: Patience) -> None:
    """Apply what is missing. The lock lives and dies with the connection that migrates."""
    from django.core.management import call_command
    from django.db import connection

    def lock_missing() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATING])
            return "" if cursor.fetchone()[0] else "another process applies them"

    # Where nothing is missing no lock is needed, nor the right to change tables.
    if not _migrations_missing():
        return
    patience.until("the migrations' lock", lock_missing)
    try:
        if _migrations_missing():
            call_command("migrate", interactive=False, verbosity=0)
            log.info("migrations.applied")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])

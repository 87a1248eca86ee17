"""Known faults in the words of an operator; imported only when something went wrong."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, ProgrammingError

from bptl.connections.secrets import Undecryptable
from bptl.engines.base import EngineError

CONFIGURATION = 2
FAILED = 1


class Explained(NamedTuple):
    """What to print, line by line, and the exit code of the process."""

    lines: list[str]
    exit_code: int


def explain(error: Exception) -> Explained | None:
    """What ``error`` means and what to do about it; None when it is not a fault that we know."""
    if isinstance(error, ImproperlyConfigured):
        return Explained(str(error).splitlines(), CONFIGURATION)
    if isinstance(error, OperationalError):
        database = settings.DATABASES["default"]
        where = f"database {database['NAME']} of {database['USER']} at {database['HOST']}:{database['PORT']}"
        advice = "start it, or correct DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD"
        return Explained([f"{where}: {_first_line(error)}", advice], FAILED)
    if isinstance(error, ProgrammingError) and "does not exist" in str(error):
        return Explained([f"{_first_line(error)}: the database is not up to date; run: bptl manage migrate"], FAILED)
    if isinstance(error, DatabaseError):
        return None
    if isinstance(error, Undecryptable):
        return Explained([str(error)], CONFIGURATION)
    if isinstance(error, EngineError):
        return Explained([f"engine: {type(error).__name__}: {error.message}"], FAILED)
    return None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)

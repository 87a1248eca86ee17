"""The one way in which the heart runs its own statements: set-based, guarded, answering rows as named tuples.

They are prepared on their connection: to plan one took PostgreSQL a third as long as to run it.
"""

from __future__ import annotations

import json
import time
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from django.db import (
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    close_old_connections,
    connection,
)

from bptl.lib.log import get_logger

log = get_logger(__name__)

T = TypeVar("T")


@lru_cache(maxsize=256)
def _row_type(columns: tuple[str, ...]) -> Any:
    return namedtuple("Row", columns)


def query(statement: str, params: Sequence[Any] = ()) -> list[Any]:
    """Run one statement and read all rows; jsonb arrives as Python values. Raises Django's database errors."""
    with connection.cursor() as cursor:
        # Django's own cursor writes the values into the text, which then is another statement each time.
        cursor.cursor = psycopg.Cursor(cursor.cursor.connection)
        try:
            cursor.execute(statement, params)
        except NotSupportedError:
            # A migration changed a column under a prepared statement: the next connection prepares it anew.
            connection.close_at = 0
            raise
        if cursor.description is None:
            return []
        row_type = _row_type(tuple(column.name for column in cursor.description))
        json_columns = [i for i, column in enumerate(cursor.description) if column.type_code == _JSONB]
        rows = cursor.fetchall()
    if not json_columns:
        return [row_type(*row) for row in rows]
    return [row_type(*_parsed(row, json_columns)) for row in rows]


def steadily(ask: Callable[[], T], *, wait: Callable[[float], None], seconds: float | None = None) -> T:
    """Ask again while the database does not answer (for ``seconds``, if given): what is asked may be repeated.

    The connection of a place may have died long before; that and an outage must not cost a unit an attempt, and what
    has happened must not be forgotten.
    """
    begun = time.monotonic()
    while True:
        try:
            return ask()
        except (OperationalError, InterfaceError, InternalError) as error:
            # Internal: it was read-only, or ended the transaction of a process that had been silent.
            if seconds is not None and time.monotonic() - begun > seconds:
                raise
            log.warning("ledger.without_database", error=str(error))
            close_old_connections()
            wait(0.25)


_JSONB = 3802


def _parsed(row: Sequence[Any], json_columns: Sequence[int]) -> list[Any]:
    # Django registers no loader for jsonb on its connections: the text comes as it is.
    values = list(row)
    for index in json_columns:
        if isinstance(values[index], str | bytes):
            values[index] = json.loads(values[index])
    return values

"""Statements of the heart are prepared, and a connection whose prepared statements went stale is replaced."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError, close_old_connections, connection

from bptl.tasks import sql

PREPARED = "SELECT count(*) AS statements FROM pg_prepared_statements WHERE statement LIKE '%pace_of_life%'"


def test_a_statement_that_returns_is_planned_once(db: None) -> None:
    statement = "SELECT %s::int AS pace_of_life"
    answers = [sql.query(statement, [number])[0].pace_of_life for number in range(6)]
    assert answers == [0, 1, 2, 3, 4, 5]
    with connection.cursor() as cursor:
        cursor.execute(PREPARED)
        assert cursor.fetchone() == (1,)


def test_after_a_migration_changed_a_column_the_next_connection_prepares_anew(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changing (name varchar(8))")
    try:
        statement = "SELECT name FROM changing"
        for _ in range(4):
            sql.query(statement)
        with connection.cursor() as cursor:
            # Somebody else's connection: psycopg forgets what it prepared when it sees an ALTER of its own.
            cursor.execute("DO $$ BEGIN ALTER TABLE changing ALTER name TYPE varchar(80); END $$")
        with pytest.raises(NotSupportedError):
            sql.query(statement)
        close_old_connections()  # what every loop does after a failure
        assert sql.query(statement) == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE changing")

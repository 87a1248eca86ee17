"""Every database session of ours: a transaction whose process falls silent ends, so that its rows hinder nobody.

A paused process, or a machine that lost power without a word, leaves its connection open. Within a transaction it keeps
rows locked: the sweep, which would mend what it left, and the poller, which fetches the same task again, would wait
for it without end.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

IDLE_IN_TRANSACTION = "15s"
"""As long as a process may be silent (DEAD_AFTER): then its transaction ends as its leases do."""


def limit(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Receiver of ``connection_created``.

    Said here and not among the options of the connection: those are refused by poolers that do not know them.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [IDLE_IN_TRANSACTION])


def walk_indexes(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Receiver of ``connection_created`` in processes of the road: walk indexes row by row, whatever the tables weigh.

    Every statement of the road takes few rows by an index that rows enter and leave all the time. A walk marks the
    entries of rows that left, so that the next one skips them; a bitmap reads them all again until the next vacuum.
    And a prepared statement keeps its plan until the next ANALYZE: one made for an empty table must fit a full one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config(name, 'off', false) FROM unnest(ARRAY['enable_bitmapscan', 'enable_seqscan']) AS name"
        )

"""Hears what PostgreSQL tells (LISTEN and NOTIFY), over a connection of its own that is opened again when it is cut."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
from django.db import Error, connection

from bptl.lib.log import get_logger

log = get_logger(__name__)

RETRY_SECONDS = 1.0

WORK_CHANNEL = "bptl_work"
"""What workers listen to: there is work, or (by the same triggers) a limit has changed."""

FETCH_CHANNEL = "bptl_fetch"
"""What polling lines listen to: a task is offered again that no engine tells them of, or (by triggers of the database)
an engine, a mapping or a service has changed."""


def listen(
    channel: str,
    *,
    heard: Callable[[str], None],
    can_hear: Callable[[bool], None],
    ends: Callable[[], bool],
    look_every: float,
) -> None:
    """Call ``heard`` with the payload of every notice on ``channel``, in this thread, until ``ends`` says so.

    ``can_hear`` is told True whenever listening begins: what was said before that was not heard; and False when the
    connection is lost. ``look_every`` (seconds) is how often ``ends`` is asked and the connection is tried.
    """
    while not ends():
        try:
            with closing(psycopg.connect(**_parameters(), autocommit=True)) as ear:
                ear.execute(f"LISTEN {channel}")
                can_hear(True)
                while not ends():
                    _await(ear, seconds=look_every, heard=heard)
                    ear.execute("SELECT 1")  # A cut that nobody told of shows here.
                return
        except psycopg.Error as error:
            can_hear(False)
            log.warning("channel.not_heard", channel=channel, error=str(error))
            time.sleep(RETRY_SECONDS)


def say(channel: str) -> None:
    """Say a word on ``channel``; within a transaction it is heard when that is committed. A database error is logged:
    who listens looks by itself as well."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_NOTIFY if connection.in_atomic_block else _NOTIFY_AT_ONCE, [channel])
    except Error as error:
        log.warning("word.not_said", channel=channel, error=str(error))


_NOTIFY = "SELECT pg_notify(%s, '')"
_NOTIFY_AT_ONCE = "SELECT pg_notify(%s, ''), set_config('synchronous_commit', 'off', true)"
"""In a transaction of its own: nothing is written that a crash could lose, so nobody waits for the disk."""


def _await(ear: psycopg.Connection[Any], *, seconds: float, heard: Callable[[str], None]) -> None:
    """Pass on what is said within ``seconds``, asleep meanwhile: psycopg's own wait looks ten times a second."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as ready:
        ready.register(ear, selectors.EVENT_READ)
        while True:
            # First what is here: what came with the answer to a statement wakes no selector.
            for notice in ear.notifies(timeout=0):
                heard(notice.payload)
            left = deadline - time.monotonic()
            if left <= 0:
                return
            ready.select(left)


def _parameters() -> dict[str, Any]:
    """How Django connects, for a connection that is not Django's: it listens for as long as the process lives."""
    parameters = connection.get_connection_params()
    return {name: value for name, value in parameters.items() if name not in {"cursor_factory", "context"}}

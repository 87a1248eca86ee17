"""Live engine clients by the engine's id, for loops that know only rows."""

from __future__ import annotations

import threading
import time

from django.db import DatabaseError, close_old_connections

from bptl.connections import engines
from bptl.connections.models import Engine
from bptl.connections.secrets import Undecryptable
from bptl.engines import base
from bptl.engines.base import EngineUnavailable
from bptl.tasks import metrics

FRESH = 5.0
"""Seconds for which an engine's row is believed: changed credentials are used after at most this."""


class Clients:
    """Callable: engine id (None: no engine) → live client. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, tuple[float, Engine]] = {}

    def __call__(self, engine_id: int | None) -> base.Engine:
        """The client of an engine. A row that was read before serves while the database is away.

        Raises EngineUnavailable when its secret cannot be read: that stops this engine and no other.
        """
        if engine_id is None:
            return engines.client(None)
        with self._lock:
            known = self._rows.get(engine_id)
        if known is None or known[0] < time.monotonic() - FRESH:
            known = self._read(engine_id, known)
        try:
            return engines.client(known[1])
        except Undecryptable as error:
            raise EngineUnavailable(f"engine {known[1].name}: {error}", sent=False) from error

    def _read(self, engine_id: int, known: tuple[float, Engine] | None) -> tuple[float, Engine]:
        try:
            row = (time.monotonic(), Engine.objects.get(id=engine_id))
        except DatabaseError:
            if known is None:
                raise
            close_old_connections()
            return known
        metrics.name_engine(engine_id, row[1].name)
        with self._lock:
            self._rows[engine_id] = row
        return row

"""A row becomes a live client: one per engine and process, shared by all threads, made anew when the row is changed."""

from __future__ import annotations

import threading
from datetime import datetime

from django.conf import settings

from bptl.connections import models
from bptl.engines import base
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.camunda7.credentials import Basic, Bearer
from bptl.engines.nobody import Nobody

SPARE_CONNECTIONS = 16
"""Polls, upkeep and delivery talk to the engine beside the places that run units."""

_lock = threading.Lock()
_nobody = Nobody()
_clients: dict[int, tuple[datetime, Camunda7]] = {}


def client(engine: models.Engine | None) -> base.Engine:
    """The client of a saved ``engine`` as the row is now, with its connections kept open; None: of no engine at all.

    The client of an older row is closed; calls that still use it end normally. Somebody who still holds the older row
    gets the newer client, so that two readers cannot take turns in replacing it. Raises secrets.Undecryptable.
    """
    if engine is None:
        return _nobody
    with _lock:
        known = _clients.get(engine.pk)
        if known is not None and known[0] >= engine.updated_at:
            return known[1]
        made = _build(engine)
        _clients[engine.pk] = (engine.updated_at, made)
    if known is not None:
        known[1].close()
    return made


def anonymous(engine: models.Engine) -> base.Engine:
    """A new client of the same address that does not log in, to see what the engine asks of strangers; close it."""
    return Camunda7(engine.address, connections=1)


def _build(engine: models.Engine) -> Camunda7:
    return Camunda7(
        engine.address,
        credentials=_credentials(engine),
        connections=settings.CELERY_WORKER_CONCURRENCY + SPARE_CONNECTIONS,
    )


def _credentials(engine: models.Engine) -> Basic | Bearer | None:
    match engine.authentication:
        case models.Authentication.BASIC:
            return Basic(engine.username, engine.secret)
        case models.Authentication.BEARER:
            return Bearer(engine.secret)
    return None

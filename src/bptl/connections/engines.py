"""A row becomes a live client: one per engine and process, shared by all threads, made anew when the row is changed."""

from __future__ import annotations

import threading
from datetime import datetime

from django.conf import settings

from bptl.connections import models, pem_files
from bptl.engines import base
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.camunda7.credentials import Basic, Bearer, ClientCredentials, Credentials
from bptl.engines.nobody import Nobody
from bptl.lib.http import Tls
from bptl.lib.oauth2 import TokenSource

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
    return Camunda7(engine.address, connections=1, tls=_tls(engine))


def _build(engine: models.Engine) -> Camunda7:
    tls = _tls(engine)
    return Camunda7(
        engine.address,
        credentials=_credentials(engine, tls),
        connections=settings.CELERY_WORKER_CONCURRENCY + SPARE_CONNECTIONS,
        tls=tls,
    )


def _tls(engine: models.Engine) -> Tls:
    def file(pem: str) -> str | None:
        return pem_files.path(pem) if pem else None

    return Tls(authorities=file(engine.authorities), certificate=file(engine.certificate), key=file(engine.key))


def _credentials(engine: models.Engine, tls: Tls) -> Credentials | None:
    match engine.authentication:
        case models.Authentication.BASIC:
            return Basic(engine.username, engine.secret)
        case models.Authentication.BEARER:
            return Bearer(engine.secret)
        case models.Authentication.OAUTH2:
            source = TokenSource(
                engine.token_address,
                client_id=engine.username,
                secret=engine.secret,
                scope=engine.scope,
                authorities=tls.authorities,
                certificate=(tls.certificate, tls.key) if tls.certificate and tls.key else None,
            )
            return ClientCredentials(source)
    return None

"""Rows become live: one session for a version of a service, one login for a version of its credentials, by process.

Sessions keep connections and are shared by all applications and threads; a login keeps the tokens of one application.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime
from typing import Generic, TypeVar

from django.conf import settings
from requests import Session
from requests.auth import AuthBase

from bptl.clients.access import Access, Anonymous, DataClass, Kind
from bptl.clients.credentials import ApiKey, OAuth2, ZgwToken
from bptl.clients.session import open_session
from bptl.connections import pem_files
from bptl.connections.service_models import Service, ServiceAuthentication, ServiceGrant
from bptl.lib.oauth2 import TokenSource

SPARE_CONNECTIONS = 4
"""Beside one for every place that runs a unit."""

DATA_CLASSES = {
    Kind.CATALOGI: DataClass.ORDINARY,
    Kind.AUTORISATIES: DataClass.ORDINARY,
    Kind.NOTIFICATIES: DataClass.ORDINARY,
}
"""What is recorded of a service that says nothing about it; without personal data where a kind is not named."""

Live = TypeVar("Live")


class Lives(Generic[Live]):
    """What rows have become, made anew when a row is changed. Who still holds an older row gets what the newer made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[tuple[datetime, ...], Live]] = {}

    def of(self, key: Hashable, versions: tuple[datetime, ...], make: Callable[[], Live]) -> tuple[Live, Live | None]:
        """What lives for ``key``, and what it takes the place of, if it was made now."""
        known = self._known.get(key)
        if known is not None and known[0] >= versions:
            return known[1], None
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] >= versions:
                return known[1], None
            made = make()
            self._known[key] = (versions, made)
        return made, known[1] if known is not None else None


_sessions: Lives[Session] = Lives()
_logins: Lives[AuthBase] = Lives()


def access(service: Service, grant: ServiceGrant | None) -> Access:
    """``service`` with the credentials of ``grant``; None: with its own. Raises secrets.Undecryptable."""
    return replace(stranger(service), auth=login(service, grant))


def stranger(service: Service) -> Access:
    """``service`` without credentials."""
    return Access(
        service.name,
        Kind(service.kind),
        service.address,
        session(service),
        outway=service.outway,
        timeout=float(service.timeout_seconds),
        slow_after=service.slow_after,
        data_class=data_class(service),
    )


def data_class(service: Service) -> DataClass:
    """How much of what is said to and by the service is kept."""
    if service.data_class:
        return DataClass(service.data_class)
    return DATA_CLASSES.get(Kind(service.kind), DataClass.PERSONAL)


def session(service: Service) -> Session:
    """The kept connections of a saved service as its row is now."""
    found, former = _sessions.of(service.pk, (service.updated_at,), lambda: _open(service))
    if former is not None:
        former.close()  # calls that still use it end normally
    return found


def login(service: Service, grant: ServiceGrant | None) -> AuthBase:
    """What adds the credentials of ``grant``, or the service's own, to a request."""
    if grant is None or grant.as_service:
        key, versions = (service.pk, None), (service.updated_at,)
        found, _ = _logins.of(key, versions, lambda: _login(service, service))
    else:
        own: ServiceGrant = grant
        found, _ = _logins.of((service.pk, own.pk), _versions(service, own), lambda: _login(service, own))
    return found


def _versions(service: Service, grant: ServiceGrant) -> tuple[datetime, ...]:
    return (service.updated_at, grant.updated_at)


def _open(service: Service) -> Session:
    hash_ = service.fsc_grant_hash
    return open_session(
        service.outway or service.address,
        connections=settings.CELERY_WORKER_CONCURRENCY + SPARE_CONNECTIONS,
        verify=authorities(service) or True,
        certificate=certificate(service),
        headers={"Fsc-Grant-Hash": hash_} if hash_ else {},
    )


def authorities(service: Service) -> str | None:
    """The file of the service's own certificate authorities."""
    return pem_files.path(service.authorities) if service.encrypted_authorities else None


def certificate(service: Service) -> tuple[str, str] | None:
    """The files of our certificate and its key."""
    if not service.encrypted_certificate:
        return None
    return pem_files.path(service.certificate), pem_files.path(service.key)


def _login(service: Service, whose: Service | ServiceGrant) -> AuthBase:
    match service.authentication:
        case ServiceAuthentication.API_KEY:
            return ApiKey(service.header, whose.secret)
        case ServiceAuthentication.ZGW:
            return ZgwToken(
                whose.client_id,
                whose.secret,
                user_id=whose.user_id or service.user_id,
                user_representation=whose.user_representation or service.user_representation,
            )
        case ServiceAuthentication.OAUTH2:
            source = TokenSource(
                service.token_address,
                client_id=whose.client_id,
                secret=whose.secret,
                scope=service.scope,
                authorities=authorities(service),
                certificate=certificate(service),
            )
            return OAuth2(service.name, source)
    return Anonymous()

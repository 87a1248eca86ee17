"""Can we work with a service? Asked as a task would ask, with each login that tasks may use; nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from django.utils.translation import gettext as _
from requests import PreparedRequest, Response
from requests.auth import AuthBase

from bptl.clients.access import Access, Kind
from bptl.clients.client import ServiceClient
from bptl.clients.errors import (
    Busy,
    Failed,
    NoAnswer,
    NotFound,
    NotSent,
    Redirected,
    Rejected,
    ServiceError,
)
from bptl.clients.gate import OpenGate
from bptl.connections import diagnosis, sessions
from bptl.connections.findings import Finding, Mark, of_certificates
from bptl.connections.secrets import Undecryptable
from bptl.connections.service_models import Service, ServiceAuthentication, ServiceGrant

PATHS = {
    Kind.ZAKEN: "zaken",
    Kind.CATALOGI: "catalogussen",
    Kind.DOCUMENTEN: "enkelvoudiginformatieobjecten",
    Kind.BESLUITEN: "besluiten",
    Kind.AUTORISATIES: "applicaties",
    Kind.NOTIFICATIES: "kanaal",
    Kind.CONTACTMOMENTEN: "contactmomenten",
    Kind.KLANTEN: "klanten",
    Kind.VERZOEKEN: "verzoeken",
    Kind.OTHER: "",
}
"""A list that each API has, and that only somebody with a login may see."""

HEADERS = {Kind.ZAKEN: {"Accept-Crs": "EPSG:4326"}}
SLOW = 0.5
"""Part of the time-out that is called slow."""

SKEW = 30.0
"""Seconds by which clocks may differ before it is remarked on."""

SHORTEST_SECRET = 32
"""Bytes of a key for HS256 (RFC 7518, 3.2)."""


class Witness(AuthBase):
    """Adds the login of another one, and sees what came back."""

    def __init__(self, login: AuthBase) -> None:
        self._login = login
        self.kind = ""
        self.skew = 0.0

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request with the login."""
        request = self._login(request)
        request.register_hook("response", self._see)  # type: ignore[no-untyped-call]
        return request

    def _see(self, response: Response, **_: object) -> None:
        self.kind = response.headers.get("Content-Type", "")
        try:
            there = parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return
        if there.tzinfo is not None:
            self.skew = (datetime.now(UTC) - there).total_seconds()


def check(service: Service) -> list[Finding]:
    """What a saved ``service`` answers to its own login and to those of the applications that bring one."""
    try:
        return list(_findings(service))
    except Undecryptable as error:
        return [Finding(Mark.BAD, str(error))]


def usable(findings: list[Finding]) -> bool:
    """Whether nothing bad was found."""
    return all(finding.mark is not Mark.BAD for finding in findings)


def _findings(service: Service) -> Iterator[Finding]:
    if not service.active:
        yield Finding(Mark.DOUBT, _("it is not active: no task calls it"))
    yield from of_certificates(service)
    grants = list(service.grants.filter(as_service=False).select_related("application", "service"))
    logins: list[ServiceGrant | None] = [None] if service.has_credentials else []
    logins += grants
    if not logins:
        text = _(
            "it has no credentials of its own, and no application brings any: enter them here or at an application"
        )
        yield Finding(Mark.BAD, text)
        return
    reached = False
    for grant in logins:
        found = list(_ask(service, grant))
        yield from found
        reached = reached or usable(found)
        yield from _secret(service, grant)
    if reached:
        yield from _manners(service)


def _ask(service: Service, grant: ServiceGrant | None) -> Iterator[Finding]:
    access = sessions.access(service, grant)
    witness = Witness(access.auth)
    began = time.monotonic()
    try:
        call(service, replace(access, auth=witness))
    except ServiceError as error:
        yield _refusal(service, grant, error, witness)
    else:
        seconds = time.monotonic() - began
        if "html" in witness.kind:
            yield Finding(Mark.BAD, _("%(address)s answers a web page, not an API: correct the address") % _of(service))
            return
        told = {**_of(service), "whose": _whose(grant), "ms": round(seconds * 1000)}
        yield Finding(Mark.GOOD, _("%(address)s answers to %(whose)s in %(ms)s ms") % told)
        if seconds > service.timeout_seconds * SLOW:
            text = _("that is slow: calls are given up after %(seconds)s s; raise its time-out")
            yield Finding(Mark.DOUBT, text % {"seconds": service.timeout_seconds})
    if abs(witness.skew) > SKEW:
        yield Finding(
            Mark.DOUBT,
            _("our clock and that of the service differ by %(seconds)s s: set both by NTP")
            % {"seconds": round(abs(witness.skew))},
        )


def call(service: Service, access: Access, *, timeout: float | None = None) -> None:
    """Ask for the list of the test; ``timeout`` (seconds) replaces the service's. Raises ServiceError."""
    headers = HEADERS.get(access.kind, {})
    path = service.test_path or PATHS[access.kind]
    ServiceClient(access, OpenGate(), headers=headers).call("GET", path, timeout=timeout)


def _refusal(service: Service, grant: ServiceGrant | None, error: ServiceError, witness: Witness) -> Finding:
    told = {**_of(service), "whose": _whose(grant), "status": error.status, "error": str(error)}
    if service.token_address and error.url == service.token_address:
        why = diagnosis.reason(error, service.token_address) or str(error)
        return _bad(_("no token for %(whose)s: %(why)s") % {**told, "why": why})
    match error:
        case NotSent() | NoAnswer():
            why = diagnosis.reason(error, service.outway or service.address) or str(error)
            return _bad(_("%(address)s gives no answer: %(why)s") % {**told, "why": why})
        case NotFound() if "html" not in witness.kind and service.kind == Kind.OTHER and not service.test_path:
            text = _("%(address)s answers, but has nothing at its root: enter a path for this test to be sure") % told
            return Finding(Mark.DOUBT, text)
        case NotFound():
            return _bad(_("%(url)s is not there (404): correct the address of the service") % {"url": error.url})
        case Redirected():
            return _bad(str(error))
        case Busy():
            return Finding(Mark.DOUBT, _("%(address)s has no time for us now (%(status)s): try again later") % told)
        case Failed():
            return _bad(_("%(address)s fails itself (%(status)s): its log says why; %(error)s") % told)
        case Rejected():
            return _rejected(error, told)
    return _bad(str(error))


def _rejected(error: Rejected, told: dict[str, object]) -> Finding:
    told |= {"code": error.code, "detail": error.detail or error.code}
    meaning = {
        "jwt-expired": _(
            "its clock and ours differ too much, so that tokens have ended when they come: set both by NTP"
        ),
        "invalid-jwt-signature": _("the secret is not the one that it has for this client id: enter it again"),
        "invalid-client-identifier": _("it knows no such client id: register it there, or correct it"),
        "not_authenticated": _("it saw no login: something between us takes the header away"),
        "permission_denied": _("the login is good, and may not do this: give the application rights there"),
    }.get(error.code, "")
    if error.status in {401, 403} and meaning:
        text = _("%(address)s refuses %(whose)s (%(status)s, %(code)s): %(meaning)s")
        return _bad(text % {**told, "meaning": meaning})
    if error.status == 401:
        return _bad(_("%(address)s does not accept %(whose)s (401): correct them") % told)
    if error.status == 403:
        text = _("%(address)s refuses %(whose)s (403): %(detail)s; correct them, or give them rights there")
        return _bad(text % told)
    if error.status in {406, 412}:
        text = _(
            "%(address)s wants another coordinate system, or does not get our header Accept-Crs (%(status)s): let what "
            "stands between us pass it on"
        )
        return _bad(text % told)
    return _bad(str(told["error"]))


def _secret(service: Service, grant: ServiceGrant | None) -> Iterator[Finding]:
    if service.authentication != ServiceAuthentication.ZGW:
        return
    secret = (grant or service).secret
    if len(secret.encode()) < SHORTEST_SECRET:
        text = _("the secret of %(whose)s is shorter than 32 bytes, so that it may be guessed (RFC 7518, 3.2)")
        yield Finding(Mark.DOUBT, text % {"whose": _whose(grant)})


def _manners(service: Service) -> Iterator[Finding]:
    """Whether a stranger is sent away: a login that is not looked at protects nobody."""
    if service.authentication == ServiceAuthentication.NONE:
        return
    try:
        call(service, sessions.stranger(service))
    except Rejected:
        yield Finding(Mark.GOOD, _("the login is looked at: the same question without it was refused"))
    except ServiceError:
        return
    else:
        yield Finding(Mark.DOUBT, _("the login was not needed: the same question without it was answered"))


def _whose(grant: ServiceGrant | None) -> str:
    if grant is None:
        return _("its own credentials")
    return _("the credentials of application %(label)s") % {"label": grant.application.label}


def _of(service: Service) -> dict[str, object]:
    return {"address": service.outway or service.address}


def _bad(text: str) -> Finding:
    return Finding(Mark.BAD, text)

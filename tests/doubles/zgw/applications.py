"""Who may call: applications with a secret and rights, the JWT of the ZGW standard, the tokens of the Objects API."""

from __future__ import annotations

import time
from dataclasses import dataclass

import jwt

from tests.doubles.zgw.messages import Refusal

LIFETIME = 3600
"""Seconds that a token lives from its ``iat``."""

LEEWAY = 5
"""Seconds that a clock may be ahead."""

EVERYDAY = frozenset(
    {
        *("zaken.lezen", "zaken.aanmaken", "zaken.bijwerken", "zaken.verwijderen", "zaken.statussen.toevoegen"),
        *("catalogi.lezen", "documenten.lezen", "documenten.aanmaken", "documenten.bijwerken", "documenten.lock"),
        *("documenten.verwijderen", "besluiten.lezen", "besluiten.aanmaken", "besluiten.bijwerken"),
        *("besluiten.verwijderen", "autorisaties.lezen"),
    }
)
"""Rights of a limited application: not ``zaken.geforceerd-bijwerken``, ``zaken.heropenen`` and
``documenten.geforceerd-unlock``, which only one with all rights has.
"""


@dataclass(frozen=True)
class Application:
    """``token`` is for the Objects and Objecttypes APIs. With ``all_rights`` the scopes do not matter."""

    client_id: str
    secret: str
    token: str
    all_rights: bool = False
    scopes: frozenset[str] = EVERYDAY

    def may(self, scope: str) -> bool:
        """Whether it has a right."""
        return self.all_rights or scope in self.scopes


def bearer(
    application: Application, *, issued_at: float | None = None, user_id: str = "", user_representation: str = ""
) -> str:
    """A token that an application makes for itself."""
    claims = {
        "iss": application.client_id,
        "iat": int(time.time() if issued_at is None else issued_at),
        "client_id": application.client_id,
        "user_id": user_id,
        "user_representation": user_representation,
    }
    return jwt.encode(claims, application.secret, algorithm="HS256")


def of_bearer(header: str, applications: dict[str, Application], *, now: float) -> Application:
    """The application whose JWT this is; every failure is a 403, never a 401."""
    kind, _, token = header.partition(" ")
    if kind != "Bearer" or not token:
        raise Refusal(403, "permission_denied", "Je hebt geen toestemming om deze actie uit te voeren.")
    try:
        client_id = jwt.decode(token, options={"verify_signature": False}).get("client_id")
    except jwt.DecodeError:
        raise Refusal(403, "jwt-decode-error", "JWT did not validate, try checking the `iat` and `nbf`.") from None
    if not client_id:
        raise Refusal(403, "missing-client-identifier", "Client identifier is niet aanwezig in JWT")
    application = applications.get(client_id)
    if application is None:
        raise Refusal(403, "invalid-client-identifier", "Client identifier bestaat niet")
    try:
        # The clock of the double may have been moved: times are checked below.
        claims = jwt.decode(
            token, application.secret, algorithms=["HS256"], options={"verify_iat": False, "verify_exp": False}
        )
    except jwt.InvalidTokenError:
        raise Refusal(403, "invalid-jwt-signature", "Client credentials zijn niet geldig") from None
    issued_at = claims.get("iat")
    if not isinstance(issued_at, int | float):
        raise Refusal(403, "jwt-missing-iat", "iat is niet aanwezig in JWT")
    if issued_at > now + LEEWAY:
        raise Refusal(403, "jwt-not-yet-valid", "The JWT is not yet valid (iat)")
    if issued_at + LIFETIME <= now or claims.get("exp", now + 1) <= now:
        raise Refusal(403, "jwt-expired", "The JWT used for this request is expired")
    return application


def of_token(header: str, applications: dict[str, Application]) -> Application:
    """The application whose token of the Objects API this is; here a failure is a 401."""
    kind, _, token = header.partition(" ")
    challenge = {"WWW-Authenticate": "Token"}
    if kind != "Token" or not token:
        raise Refusal(401, "not_authenticated", "Authentication credentials were not provided.", headers=challenge)
    for application in applications.values():
        if application.token == token:
            return application
    raise Refusal(401, "authentication_failed", "Invalid token.", headers=challenge)

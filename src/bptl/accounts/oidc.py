"""Logging in by an identity provider (OpenID Connect): its addresses come from its issuer, roles from its groups."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from bptl.accounts import audit, people
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.lib.log import get_logger

log = get_logger(__name__)

KEPT_SECONDS = 3600.0
"""How long the addresses of the provider are remembered."""

_ADDRESSES = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "authorization_endpoint",
    "OIDC_OP_TOKEN_ENDPOINT": "token_endpoint",
    "OIDC_OP_USER_ENDPOINT": "userinfo_endpoint",
    "OIDC_OP_JWKS_ENDPOINT": "jwks_uri",
}


class ProviderUnavailable(Exception):
    """The provider, or its description, cannot be reached; ``reason`` is for the log."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the identity provider cannot be used: {reason}")


_lock = threading.Lock()
_known: dict[str, tuple[float, Mapping[str, Any]]] = {}


def configured() -> bool:
    """Whether people can log in by a provider at all."""
    return bool(settings.BPTL_OIDC_ISSUER)


def description() -> Mapping[str, Any]:
    """What the provider says of itself (OpenID Connect Discovery 1.0); raises ProviderUnavailable."""
    issuer = settings.BPTL_OIDC_ISSUER
    with _lock:
        until, kept = _known.get(issuer, (0.0, {}))
    if time.monotonic() < until:
        return kept
    try:
        answer = requests.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", timeout=settings.OIDC_TIMEOUT)
        answer.raise_for_status()
        found = dict(answer.json())
        if found["issuer"] != issuer:
            raise ProviderUnavailable(f"it calls itself {found['issuer']!r}; set BPTL_OIDC_ISSUER to exactly that")
        missing = [name for name in _ADDRESSES.values() if not found.get(name)]
        if missing:
            raise ProviderUnavailable(f"its description lacks {', '.join(missing)}")
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise ProviderUnavailable(str(error)) from error
    with _lock:
        _known[issuer] = (time.monotonic() + KEPT_SECONDS, found)
    return found


def setting(name: str, *default: Any) -> Any:
    """A setting of mozilla-django-oidc; the addresses are those that the provider names."""
    if name in _ADDRESSES:
        return description()[_ADDRESSES[name]]
    try:
        return getattr(settings, name, *default)
    except AttributeError as error:
        raise ImproperlyConfigured(f"Setting {name} not found") from error


def logout_address(back: str) -> str:
    """Where the provider ends its own session, and comes back from; empty when it cannot, or is away."""
    try:
        ends = description().get("end_session_endpoint")
    except ProviderUnavailable:
        return ""
    wanted = {"client_id": settings.OIDC_RP_CLIENT_ID, "post_logout_redirect_uri": back}
    return f"{ends}?{urlencode(wanted)}" if ends else ""


class Backend(OIDCAuthenticationBackend):  # type: ignore[misc] # has no types
    """Makes users of the claims of a provider, known by its *subject*, never by name or mail."""

    def __init__(self) -> None:
        # Not the library's: Django makes every backend for every request, and this one must not ask the provider then.
        self.UserModel = get_user_model()
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID
        self.OIDC_RP_CLIENT_SECRET = settings.OIDC_RP_CLIENT_SECRET
        self.OIDC_RP_SIGN_ALGO = settings.OIDC_RP_SIGN_ALGO
        self.OIDC_RP_IDP_SIGN_KEY = None

    get_settings = staticmethod(setting)

    @property
    def OIDC_OP_TOKEN_ENDPOINT(self) -> str:  # noqa: N802 - the library's name
        """Where a code becomes a token."""
        return str(setting("OIDC_OP_TOKEN_ENDPOINT"))

    @property
    def OIDC_OP_USER_ENDPOINT(self) -> str:  # noqa: N802 - the library's name
        """Where the claims are."""
        return str(setting("OIDC_OP_USER_ENDPOINT"))

    @property
    def OIDC_OP_JWKS_ENDPOINT(self) -> str:  # noqa: N802 - the library's name
        """Where the keys of its signatures are."""
        return str(setting("OIDC_OP_JWKS_ENDPOINT"))

    def authenticate(self, request: Any, **kwargs: Any) -> User | None:
        """The user of a callback; None for a login with a password, which has no nonce. Raises ProviderUnavailable."""
        if "nonce" not in kwargs or not configured():
            return None
        try:
            user: User | None = super().authenticate(request, **kwargs)
        except (requests.RequestException, jwt.InvalidTokenError, KeyError) as error:
            raise ProviderUnavailable(f"{type(error).__name__}: {error}") from error
        return user if user is not None and user.is_active else None

    def verify_token(self, token: str, **kwargs: Any) -> Any:
        """The claims of an id token; the library looks at signature and nonce, this at who made it and for whom."""
        payload = super().verify_token(token, **kwargs)
        audience = payload.get("aud")
        if self.OIDC_RP_CLIENT_ID not in (audience if isinstance(audience, list) else [audience]):
            raise SuspiciousOperation("the id token is not for us")
        if payload.get("iss") != settings.BPTL_OIDC_ISSUER:
            raise SuspiciousOperation("the id token is not of our provider")
        return payload

    def retrieve_matching_jwk(self, token: str) -> jwt.PyJWK:
        """The key that the token names. The library refuses providers that have one key, and therefore name none."""
        algorithm, wanted = self.OIDC_RP_SIGN_ALGO, jwt.get_unverified_header(token).get("kid")
        answer = requests.get(self.OIDC_OP_JWKS_ENDPOINT, timeout=settings.OIDC_TIMEOUT)
        answer.raise_for_status()
        fit = [
            key
            for key in answer.json()["keys"]
            if key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm
            if wanted is None or key.get("kid") == wanted
        ]
        if len(fit) != 1:
            raise SuspiciousOperation(f"the provider has {len(fit)} keys that could be meant by {wanted!r}")
        return jwt.PyJWK(fit[0], algorithm=algorithm)

    def get_userinfo(self, access_token: str, id_token: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Claims of the userinfo address over those of the id token; raises when they are of somebody else."""
        claims = super().get_userinfo(access_token, id_token, payload)
        if claims.get("sub") != payload.get("sub") or not payload.get("sub"):
            raise SuspiciousOperation("the claims are of somebody else")
        return {**payload, **claims}

    def verify_claims(self, claims: Mapping[str, Any]) -> bool:
        """The subject is enough."""
        return bool(claims.get("sub"))

    def filter_users_by_claims(self, claims: Mapping[str, Any]) -> Any:
        """Who came by this provider with this subject before."""
        return User.objects.filter(subject=_subject(claims))

    def create_user(self, claims: Mapping[str, Any]) -> User:
        """Somebody who is new here: a name that is taken is made different, for it belongs to somebody else."""
        wanted = str(claims.get(settings.BPTL_OIDC_USERNAME_CLAIM) or claims["sub"])
        username = "".join(letter if letter.isalnum() or letter in "@.+-_" else "_" for letter in wanted)[:100]
        if User.objects.filter(username=username).exists():
            username = f"{username}@{urlsplit(settings.BPTL_OIDC_ISSUER).hostname}"[:150]
        if User.objects.filter(username=username).exists():
            username = str(claims["sub"])[:150]
        user = User.objects.create_user(username, subject=_subject(claims))
        audit.record("user.came", by=_by(user), about=user, detail={"provider": settings.BPTL_OIDC_ISSUER})
        return self.update_user(user, claims)

    def update_user(self, user: User, claims: Mapping[str, Any]) -> User:
        """Name, mail and role follow the provider at each login."""
        user.first_name = str(claims.get("given_name") or "")[:150]
        user.last_name = str(claims.get("family_name") or "")[:150]
        user.email = str(claims.get("email") or "")[:254]
        user.save(update_fields=["first_name", "last_name", "email"])
        _follow_groups(user, claims)
        return user

    def get_user(self, user_id: int) -> User | None:
        """The user of a session, while they are active."""
        return User.objects.filter(pk=user_id, is_active=True).first()


def role_of(claims: Mapping[str, Any]) -> Role | None:
    """The highest role whose groups the claims name."""
    found = claims.get(settings.BPTL_OIDC_GROUPS_CLAIM) or []
    groups = {found} if isinstance(found, str) else {str(group) for group in found}
    return next((role for role in reversed(Role) if groups & set(settings.BPTL_OIDC_GROUPS[role])), None)


def _follow_groups(user: User, claims: Mapping[str, Any]) -> None:
    if not any(settings.BPTL_OIDC_GROUPS.values()):
        return
    role = role_of(claims)
    if role == user.role:
        return
    try:
        people.set_role(user, role, by=_by(user), reason=f"groups of {settings.BPTL_OIDC_ISSUER}")
    except people.LastAdministrator:
        log.warning("role.kept", username=user.username, reason="the last administrator")


def _subject(claims: Mapping[str, Any]) -> str:
    return f"{settings.BPTL_OIDC_ISSUER} {claims['sub']}"[:300]


def _by(user: User) -> audit.By:
    return audit.By(user.username)

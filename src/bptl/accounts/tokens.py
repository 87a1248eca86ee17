"""Tokens of the REST API: made, found by their key, revoked. A key is random, so a plain digest of it is safe."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from bptl.accounts import audit
from bptl.accounts.models import Token, User
from bptl.accounts.scopes import Scope
from bptl.lib.log import get_logger

log = get_logger(__name__)

PREFIX = "bptl_"
"""Lets people, and programs that look for leaked secrets, see what a key is."""

RANDOM_BYTES = 32
SHOWN_LENGTH = 10

USED_EVERY = timedelta(minutes=1)
"""How exactly the last use is kept: a busy token must not cost an UPDATE a call."""


class State(StrEnum):
    """Whether the key of a token is taken, and if not why."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USER_KEPT_OUT = "user-kept-out"


def state(token: Token) -> State:
    """Where a token stands, to be shown; ``find`` decides by PostgreSQL's clock."""
    if token.revoked_at is not None:
        return State.REVOKED
    if token.expires_at is not None and token.expires_at <= timezone.now():
        return State.EXPIRED
    return State.VALID if token.user.is_active else State.USER_KEPT_OUT


def without_effect(token: Token) -> list[Scope]:
    """Its scopes that do nothing, because its user lacks the role that they need."""
    scopes = [Scope(scope) for scope in token.scopes]
    return [scope for scope in scopes if scope.role is not None and not token.user.may(scope.role)]


@dataclass(frozen=True, slots=True)
class Made:
    """A new token with its key, which nobody can show again."""

    token: Token
    key: str


@transaction.atomic
def create(
    user: User, *, name: str, scopes: Collection[Scope], expires_at: datetime | None = None, by: audit.By
) -> Made:
    """Make a token that acts as ``user`` within ``scopes``, until ``expires_at`` or for ever.

    Raises ValidationError when its name is empty or in use, or there is no scope.
    """
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    token = Token(
        user=user,
        name=name,
        scopes=[scope.value for scope in Scope if scope in scopes],
        expires_at=expires_at,
        beginning=key[:SHOWN_LENGTH],
        digest=_digest(key),
    )
    token.full_clean()
    token.save()
    audit.record("token.created", by=by, about=token, detail={"user": user.username, "scopes": token.scopes})
    log.info("token.created", token=token.pk, name=name, user=user.username)
    return Made(token, key)


@transaction.atomic
def revoke(token: Token, *, by: audit.By, reason: str = "") -> None:
    """From now on its key is refused."""
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now()):
        audit.record("token.revoked", by=by, about=token, reason=reason)
        log.info("token.revoked", token=token.pk, name=token.name)


def find(key: str) -> Token | None:
    """The valid token of a key with its user, who is active; None when there is none. Notes that it is used."""
    valid = Q(expires_at=None) | Q(expires_at__gt=Now())
    token = (
        Token.objects.select_related("user")
        .filter(valid, digest=_digest(key), revoked_at=None, user__is_active=True)
        .first()
    )
    if token is not None:
        stale = Q(used_at=None) | Q(used_at__lt=Now() - USED_EVERY)
        Token.objects.filter(stale, pk=token.pk).update(used_at=Now())
    return token


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

"""Tokens of the REST API: made, found by their key, revoked. A key is random, so a plain digest of it is safe."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from bptl.accounts.models import Token, User
from bptl.lib.log import get_logger

log = get_logger(__name__)

PREFIX = "bptl_"
"""Lets people, and programs that look for leaked secrets, see what a key is."""

RANDOM_BYTES = 32
SHOWN_LENGTH = 10

USED_EVERY = timedelta(minutes=1)
"""How exactly the last use is kept: a busy token must not cost an UPDATE a call."""


@dataclass(frozen=True, slots=True)
class Made:
    """A new token with its key, which nobody can show again."""

    token: Token
    key: str


def create(user: User, *, name: str) -> Made:
    """Make a token that acts as ``user``; raises ValidationError when its name is empty or in use."""
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    token = Token(user=user, name=name, beginning=key[:SHOWN_LENGTH], digest=_digest(key))
    token.full_clean()
    token.save()
    log.info("token.created", token=token.pk, name=name, user=user.username)
    return Made(token, key)


def revoke(token: Token) -> None:
    """From now on its key is refused."""
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now()):
        log.info("token.revoked", token=token.pk, name=token.name)


def find(key: str) -> Token | None:
    """The valid token of a key with its user, who is active; None when there is none. Notes that it is used."""
    token = (
        Token.objects.select_related("user").filter(digest=_digest(key), revoked_at=None, user__is_active=True).first()
    )
    if token is not None:
        stale = Q(used_at=None) | Q(used_at__lt=Now() - USED_EVERY)
        Token.objects.filter(stale, pk=token.pk).update(used_at=Now())
    return token


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

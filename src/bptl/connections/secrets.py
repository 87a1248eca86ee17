"""Secrets at rest: the first of ``BPTL_ENCRYPTION_KEYS`` encrypts, every one of them decrypts.

Each one that is seen in clear is remembered, so that no log, row or page of this process repeats it.
"""

from __future__ import annotations

import functools

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from bptl.lib.redaction import remember


class Undecryptable(Exception):
    """A stored secret that none of the keys opens."""

    def __init__(self) -> None:
        super().__init__(
            "a stored secret cannot be read with any of BPTL_ENCRYPTION_KEYS: "
            "add the key that encrypted it to BPTL_ENCRYPTION_KEYS, or enter the secret again"
        )


def encrypt(secret: str) -> str:
    """``secret`` as a token that only our keys open; two calls never give the same token."""
    remember(secret)
    return _keys().encrypt(secret.encode()).decode("ascii")


def decrypt(token: str) -> str:
    """The secret in ``token``; raises Undecryptable when no key fits or it was damaged."""
    try:
        secret = _keys().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Undecryptable from error
    remember(secret)
    return secret


def reencrypt(token: str) -> str:
    """The same secret under the first key, so that an old key can be retired; raises Undecryptable."""
    try:
        return _keys().rotate(token.encode()).decode("ascii")
    except InvalidToken as error:
        raise Undecryptable from error


def _keys() -> MultiFernet:
    return _fernet(tuple(settings.BPTL_ENCRYPTION_KEYS))


@functools.lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])

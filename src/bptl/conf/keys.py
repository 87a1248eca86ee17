"""What makes a key unfit, and which words of a secret setting must never be seen; no message repeats a key."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

SHORTEST_SECRET_KEY = 32


def weaknesses_of_secret_key(key: str) -> Iterator[str]:
    """Say what makes ``key`` guessable, with the fix; nothing when it is fit."""
    if len(key) < SHORTEST_SECRET_KEY or len(set(key)) < 8 or key.startswith("django-insecure-"):
        yield (
            f"is easy to guess; use at least {SHORTEST_SECRET_KEY} random characters "
            "(make one with: openssl rand -base64 48)"
        )


def faults_of_encryption_keys(keys: Sequence[str]) -> Iterator[str]:
    """Say which of ``keys`` (by position, from 1) is no Fernet key, with the fix; nothing when all are."""
    for position, key in enumerate(keys, start=1):
        try:
            fit = len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
        except (binascii.Error, ValueError):
            fit = False
        if not fit:
            yield (
                f"key {position} is not 32 bytes in url-safe base64 "
                "(make one with: openssl rand -base64 32 | tr '+/' '-_')"
            )


def words_of(secret: str) -> Iterator[str]:
    """The parts of a secret setting that are secret by themselves.

    Of an address its login (``redis://:PASSWORD@host``), else the whole, each of several (``KEY1,KEY2``), and what
    follows a name (``user:PASSWORD``, ``header=KEY``).
    """
    if "://" in secret:
        login = urlsplit(secret).netloc.rpartition("@")[0]
        written = login.partition(":")[2] or login
        yield from {written, unquote(written)}
        return
    yield secret
    for part in secret.split(","):
        yield part.strip()
        for sign in ":=":
            yield unquote(part.partition(sign)[2].strip())

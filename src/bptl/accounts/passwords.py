"""Passwords of callers: hashing is slow on purpose, so a right one is remembered, and wrong ones are counted."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import authenticate
from django.core.cache import cache
from django.utils.crypto import salted_hmac
from redis.exceptions import RedisError

from bptl.accounts.models import User
from bptl.lib.log import get_logger

log = get_logger(__name__)

MOST_WRONG = 10
WINDOW = timedelta(minutes=5)
"""So many wrong passwords of one sender for one username in this time, and it is refused without being asked."""

REMEMBERED = timedelta(minutes=5)
MOST_REMEMBERED = 1000


class TooManyTries(Exception):
    """Refused without a look at the password; ``wait`` says for how long."""

    def __init__(self, username: str, *, wait: timedelta) -> None:
        self.username = username
        self.wait = wait
        super().__init__(f"too many wrong passwords for {username!r}")


@dataclass(frozen=True, slots=True)
class _Right:
    """A password that was right: for whom, as long as the stored hash is still the same, until monotonic seconds."""

    user_id: int
    stored: str
    until: float


_lock = threading.Lock()
_right: dict[str, _Right] = {}


def check(username: str, password: str, *, sender: str) -> User | None:
    """The active user of these; None when they are wrong. ``sender`` is an address. Raises TooManyTries.

    What is remembered is a keyed digest in the memory of this process, never the password.
    """
    tries = "password-tries:" + hashlib.sha256(f"{sender}\0{username}".encode()).hexdigest()
    if _counted(tries) >= MOST_WRONG:
        raise TooManyTries(username, wait=WINDOW)
    seal = salted_hmac("bptl.accounts.passwords", f"{username}\0{password}", algorithm="sha256").hexdigest()
    if (known := _known(seal)) is not None:
        return known
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        _count(tries)
        log.warning("password.refused", username=username, sender=sender)
        return None
    with _lock:
        if len(_right) >= MOST_REMEMBERED:
            _right.clear()
        _right[seal] = _Right(user.pk, user.password, time.monotonic() + REMEMBERED.total_seconds())
    return user


def _known(seal: str) -> User | None:
    with _lock:
        right = _right.get(seal)
    if right is None or right.until < time.monotonic():
        return None
    return User.objects.filter(pk=right.user_id, password=right.stored, is_active=True).first()


def _counted(key: str) -> int:
    try:
        return int(cache.get(key, 0))
    except RedisError as error:
        # A cache that is away must stop no caller; hashing alone still slows a guesser down.
        log.warning("passwords.not_counted", error=str(error))
        return 0


def _count(key: str) -> None:
    try:
        cache.add(key, 0, timeout=WINDOW.total_seconds())
        cache.incr(key)
    except (RedisError, ValueError) as error:
        log.warning("passwords.not_counted", error=str(error))

"""Passwords of callers: hashing is slow on purpose, so a right one is remembered; django-axes counts wrong ones."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from bptl.accounts import lockout
from bptl.accounts.models import User
from bptl.lib.log import get_logger

log = get_logger(__name__)

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


def check(username: str, password: str, *, request: HttpRequest) -> User | None:
    """The active user of these; None when they are wrong. Raises TooManyTries.

    What is remembered is a keyed digest in the memory of this process, never the password.
    """
    seal = salted_hmac("bptl.accounts.passwords", f"{username}\0{password}", algorithm="sha256").hexdigest()
    if (known := _known(seal)) is not None:
        return known
    user = authenticate(request, username=username, password=password)
    if isinstance(user, User):
        with _lock:
            if len(_right) >= MOST_REMEMBERED:
                _right.clear()
            _right[seal] = _Right(user.pk, user.password, time.monotonic() + REMEMBERED.total_seconds())
        return user
    if getattr(request, "axes_locked_out", False):
        until = lockout.until(username, str(request.META.get("REMOTE_ADDR", "")))
        raise TooManyTries(username, wait=max(until - timezone.now(), timedelta(seconds=1)))
    log.warning("password.refused", username=username)
    return None


def _known(seal: str) -> User | None:
    with _lock:
        right = _right.get(seal)
    if right is None or right.until < time.monotonic():
        return None
    return User.objects.filter(pk=right.user_id, password=right.stored, is_active=True).first()

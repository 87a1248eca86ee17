"""The people who log in."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """Somebody with a login; a table of our own, so that it can grow without moving people."""

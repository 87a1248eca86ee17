"""How we make ourselves known to an engine: each gives the Authorization header of a request."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol


class Credentials(Protocol):
    """Anything that can say who we are; asked before every request, so a token may change between two."""

    def header(self) -> str:
        """The value of the Authorization header."""


@dataclass(frozen=True, slots=True)
class Basic:
    """A user of the engine and its password (HTTP Basic, UTF-8)."""

    username: str
    password: str = field(repr=False)

    def header(self) -> str:
        """``Basic …``."""
        return _basic(self.username, self.password)


@lru_cache(maxsize=64)
def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A fixed token (OAuth 2 bearer)."""

    token: str = field(repr=False)

    def header(self) -> str:
        """``Bearer …``."""
        return f"Bearer {self.token}"

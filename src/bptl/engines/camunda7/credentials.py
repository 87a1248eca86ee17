"""How we make ourselves known to an engine: each gives the Authorization header of a request."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from bptl.engines.base import EngineError, EngineUnavailable, NotAuthenticated
from bptl.lib.oauth2 import TokenError, TokenRefused, TokenSource
from bptl.lib.redaction import remember


class Credentials(Protocol):
    """Anything that can say who we are; asked before every request, so a token may change between two."""

    def header(self, *, refused: str = "") -> str:
        """The value of the Authorization header; another one than ``refused``, if we can have another.

        Raises EngineError when there is none.
        """


@dataclass(frozen=True, slots=True)
class Basic:
    """A user of the engine and its password (HTTP Basic, UTF-8)."""

    username: str
    password: str = field(repr=False)

    def header(self, *, refused: str = "") -> str:
        """``Basic …``."""
        return _basic(self.username, self.password)


@lru_cache(maxsize=64)
def _basic(username: str, password: str) -> str:
    login = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    remember(login)
    return f"Basic {login}"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A fixed token (OAuth 2 bearer)."""

    token: str = field(repr=False)

    def header(self, *, refused: str = "") -> str:
        """``Bearer …``."""
        return f"Bearer {self.token}"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Tokens of the OAuth 2 client credentials grant, renewed before they end."""

    source: TokenSource

    def header(self, *, refused: str = "") -> str:
        """``Bearer …``."""
        try:
            return f"Bearer {self.source.token(refused=refused.removeprefix('Bearer '))}"
        except TokenError as error:
            raise _no_token(error) from error


def _no_token(error: TokenError) -> EngineError:
    if isinstance(error, TokenRefused):
        return NotAuthenticated(str(error), status=error.status)
    return EngineUnavailable(str(error), sent=False)

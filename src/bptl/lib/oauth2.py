"""Access tokens by the client credentials grant (RFC 6749, 4.4): asked for when needed, kept in memory, shared.

TokenError
├── TokenRefused     the server says no: asking again will not help
└── TokenMissing     no answer, or one without a token: perhaps later
"""

from __future__ import annotations

import threading
import time

import requests
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from bptl.lib.log import quiet
from bptl.lib.redaction import remember

# At DEBUG they tell every token.
quiet("requests_oauthlib", "oauthlib")

EARLY = 30.0
"""Seconds before its end at which a token is renewed, or a fifth of its life where that is less."""

UNSAID = 300.0
"""Seconds for which a token is used whose server does not say how long it lives."""

TIMEOUT = 10.0


class TokenError(Exception):
    """There is no token. The message holds no secret."""


class TokenRefused(TokenError):
    """The server refuses to give one; ``code`` is the error of RFC 6749, 5.2, or empty; ``status`` that of HTTP."""

    def __init__(self, message: str, code: str, status: int | None) -> None:
        self.code = code
        self.status = status
        super().__init__(message, code, status)

    def __str__(self) -> str:
        return str(self.args[0])


class TokenMissing(TokenError):
    """The server could not be reached, or answered no token."""


class TokenSource:
    """Tokens of one client at one server; safe to share between threads, of which one asks while the others wait.

    ``authorities`` is a file of certificate authorities instead of the system's, ``certificate`` our own with its key,
    as files.
    """

    def __init__(
        self,
        address: str,
        *,
        client_id: str,
        secret: str,
        scope: str = "",
        authorities: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self.address = address
        self._client_id = client_id
        self._secret = secret
        self._scope = scope
        self._verify: str | bool = authorities or True
        self._certificate = certificate
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._failure: TokenError | None = None
        self._failed_at = 0.0

    def token(self, *, refused: str = "") -> str:
        """A token that is still good for a while; another one than ``refused``. Raises TokenError."""
        asked = time.monotonic()
        with self._lock:
            if self._token and self._token != refused and time.monotonic() < self._renew_at:
                return self._token
            if self._failure is not None and self._failed_at >= asked:
                # Somebody asked in vain while we waited: a queue of the same question helps nobody.
                raise type(self._failure)(*self._failure.args) from self._failure
            try:
                self._renew()
            except TokenError as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
            self._failure = None
            return self._token

    def _renew(self) -> None:
        asked = time.monotonic()
        # The scope goes with the request only: a client that knew it would refuse a token with another one, and servers
        # may give what they see fit (RFC 6749, 3.3).
        status: list[int] = []
        with OAuth2Session(client=BackendApplicationClient(self._client_id)) as session:
            session.register_compliance_hook("access_token_response", lambda response: _noted(response, status))
            try:
                answer = session.fetch_token(
                    self.address,
                    auth=HTTPBasicAuth(self._client_id, self._secret),
                    timeout=TIMEOUT,
                    verify=self._verify,  # type: ignore[arg-type]  # requests takes a file too
                    cert=self._certificate,
                    scope=self._scope or None,
                )
            except OAuth2Error as error:
                self._raise(error, status[0] if status else None)
            except (requests.RequestException, ValueError) as error:
                raise TokenMissing(f"no token from {self.address}: {type(error).__name__}: {error}") from error
        self._token = str(answer["access_token"])
        remember(self._token)
        lives = answer.get("expires_in")
        seconds = float(lives) if isinstance(lives, int | float | str) and str(lives).isdigit() else UNSAID
        self._renew_at = asked + seconds - min(EARLY, seconds / 5)

    def _raise(self, error: OAuth2Error, status: int | None) -> None:
        # oauthlib's messages repeat what the server said, never what we sent.
        told = f"{self.address} gives no token: {error.error}" + (
            f" ({error.description})" if error.description else ""
        )
        if status is not None and 400 <= status < 500:
            raise TokenRefused(told, str(error.error or ""), status) from error
        raise TokenMissing(f"{told}; it answered {status}") from error


def _noted(response: requests.Response, status: list[int]) -> requests.Response:
    status.append(response.status_code)
    return response

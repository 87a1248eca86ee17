"""How an application makes itself known to a service: each adds its header to a request, in memory only."""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

import jwt
from requests import PreparedRequest, Response
from requests.auth import AuthBase

from bptl.clients.errors import NotSent, Rejected, ServiceError
from bptl.lib.oauth2 import TokenError, TokenRefused, TokenSource

LIVES = 600
"""Seconds for which a ZGW token is good; services take none that is older than 3600 s."""

RENEWED = 300
"""Seconds after which a new one is made: whoever is given one has at least as much left for its call."""

BACK = 30
"""Seconds by which a token is dated back: a service whose clock is behind ours refuses what comes from its future."""

UNAUTHORIZED = 401

# How long a secret is was decided at the service; the test of its connection remarks on it, not every token.
warnings.filterwarnings("ignore", message="The HMAC key is", module="jwt")


class ApiKey(AuthBase):
    """A fixed text in a header."""

    def __init__(self, header: str, value: str) -> None:
        self._header = header or "Authorization"
        self._value = value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add it."""
        request.headers[self._header] = self._value
        return request


class ZgwToken(AuthBase):
    """The JWT of the ZGW APIs: signed with HS256, ``iss`` and ``client_id`` name us, short-lived and made anew."""

    def __init__(self, client_id: str, secret: str, *, user_id: str = "", user_representation: str = "") -> None:
        self._claims = {
            "iss": client_id,
            "client_id": client_id,
            "user_id": user_id,
            "user_representation": user_representation,
        }
        self._secret = secret
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add a token that is good for some minutes."""
        request.headers["Authorization"] = f"Bearer {self._fresh()}"
        return request

    def _fresh(self) -> str:
        with self._lock:
            if time.monotonic() >= self._renew_at:
                now = int(time.time())
                self._token = jwt.encode(
                    {**self._claims, "iat": now - BACK, "exp": now + LIVES}, self._secret, algorithm="HS256"
                )
                self._renew_at = time.monotonic() + RENEWED
            return self._token


class OAuth2(AuthBase):
    """Tokens of the client credentials grant; one that is refused (401) is replaced and the request sent once more."""

    def __init__(self, service: str, source: TokenSource) -> None:
        self._service = service
        self._source = source

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add a token. Raises ServiceError when there is none: nothing was sent."""
        token = self._token()
        request.headers["Authorization"] = f"Bearer {token}"
        request.register_hook("response", lambda response, **options: self._again(response, token, **options))  # type: ignore[no-untyped-call]
        return request

    def _again(self, response: Response, token: str, **options: Any) -> Response:
        if response.status_code != UNAUTHORIZED:
            return response
        response.content  # noqa: B018 - read, so that its connection serves again
        response.close()
        request = response.request.copy()
        request.headers["Authorization"] = f"Bearer {self._token(refused=token)}"
        again: Response = response.connection.send(request, **options)
        again.history.append(response)
        again.request = request
        return again

    def _token(self, *, refused: str = "") -> str:
        try:
            return self._source.token(refused=refused)
        except TokenRefused as error:
            raise Rejected(
                f"{self._service} cannot be called: {error}",
                service=self._service,
                method="POST",
                url=self._source.address,
                status=error.status or UNAUTHORIZED,
                code=error.code,
                detail=str(error),
            ) from error
        except TokenError as error:
            raise self._not_sent(error) from error

    def _not_sent(self, error: TokenError) -> ServiceError:
        text = f"{self._service} cannot be called: {error}"
        return NotSent(text, service=self._service, method="POST", url=self._source.address)

"""Who calls: a token, or username and password."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, BasicAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from bptl.accounts import passwords, second_factor, tokens
from bptl.accounts.models import Token, User


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Token <key>``."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        """The user of the token; None when there is no such header. Raises AuthenticationFailed."""
        scheme, _blank, key = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"token":
            return None
        try:
            token = tokens.find(key.strip().decode("ascii"))
        except UnicodeDecodeError:
            token = None
        if token is None:
            raise AuthenticationFailed(
                _("This token is not known, was revoked, or belongs to a user who is not active.")
            )
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Token"


class PasswordAuthentication(BasicAuthentication):
    """HTTP Basic. Wrong passwords are counted: after some, the same sender is refused for a while, unasked."""

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> tuple[AbstractBaseUser, None]:
        """The user; raises AuthenticationFailed, and Throttled with the seconds to wait."""
        # Signals and the counting of wrong passwords know Django's own request only.
        asked = request._request if isinstance(request, Request) else HttpRequest()
        try:
            user = passwords.check(userid, password, request=asked)
        except passwords.TooManyTries as error:
            raise Throttled(wait=error.wait.total_seconds()) from error
        if user is None:
            raise AuthenticationFailed(_("Username or password is wrong, or the user is not active."))
        if second_factor.enrolled(user):
            # A password alone must not open here what it does not open on the pages.
            raise AuthenticationFailed(_("This user has a second factor: call with a token."))
        return user, None

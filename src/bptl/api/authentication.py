"""Who calls: a token, or username and password."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, BasicAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from bptl.accounts import passwords, tokens
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
        sender = str(request.META.get("REMOTE_ADDR", "")) if request else ""
        try:
            user = passwords.check(userid, password, sender=sender)
        except passwords.TooManyTries as error:
            raise Throttled(wait=error.wait.total_seconds()) from error
        if user is None:
            raise AuthenticationFailed(_("Username or password is wrong, or the user is not active."))
        return user, None

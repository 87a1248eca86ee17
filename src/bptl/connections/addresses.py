"""Addresses that administrators enter: one form for all of them, so that equal addresses are equal texts."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

ROOT = r"^https?://[^/?#@\s\\]+/([^?#\s\\]*/)?$"
"""What the database demands of the root of an API: http(s), nobody's login, no query, a slash at the end."""

SECURE = r"^https://[^/?#@\s\\]+/[^#\s\\]*$"
"""What the database demands of an address to which a secret itself is sent."""


def root(text: str) -> str:
    """The root of an API in its one form: scheme and host in lower case, a slash at the end.

    Raises ValidationError.
    """
    address = text.strip().rstrip("/") + "/"
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() or letter == "\\" for letter in address):
        raise ValidationError(_("Enter an http(s) address, such as https://host/engine-rest/."))
    if "@" in parts.netloc:
        raise ValidationError(_("Leave username and password out of the address: there they would be stored in clear."))
    if "?" in address or "#" in address:
        raise ValidationError(_("Enter the root of the REST API, without ? and #."))
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


def secure(text: str) -> str:
    """An https address of anything, where a secret is sent. Raises ValidationError."""
    address = text.strip()
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.fragment or "@" in parts.netloc or any(part.isspace() for part in address):
        raise ValidationError(_("Enter an https address: the secret itself is sent there."))
    return f"https://{parts.netloc.lower()}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")


def webhook(text: str) -> str:
    """An http(s) address that is called, with path and query; without a login. Raises ValidationError."""
    address = text.strip()
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.fragment or "\\" in address or any(letter.isspace() for letter in address):
        raise ValidationError(_("Enter an http(s) address, such as https://host/hooks/bptl."))
    if "@" in parts.netloc:
        raise ValidationError(_("Leave username and password out of the address: there they would be stored in clear."))
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")


def checked(field: str, check: Callable[[str], str], value: str) -> str:
    """``check`` of a value, with its fault under the name of its field. Raises ValidationError."""
    try:
        return check(value)
    except ValidationError as error:
        raise ValidationError({field: error.messages}) from error

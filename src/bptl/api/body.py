"""The body of a call: JSON, of known length, not larger than it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser


class BodyTooLarge(APIException):
    """413: more bytes than BPTL_CALL_BYTES."""

    status_code = 413
    default_code = "too_large"

    def __init__(self, length: int) -> None:
        self.length = length
        limit = settings.BPTL_CALL_BYTES
        text = _("The body has %(length)d bytes; at most %(limit)d are accepted (BPTL_CALL_BYTES).")
        super().__init__(text % {"length": length, "limit": limit})


class LengthMissing(APIException):
    """411: the body comes in chunks, so nobody knows how large it will be."""

    status_code = 411
    default_code = "length_missing"
    default_detail = _("Send the length of the body (Content-Length); a body in chunks is not accepted.")


def check_length(headers: Mapping[str, Any]) -> None:
    """Refuse a body before it is read; ``headers`` are those of WSGI. Raises BodyTooLarge and LengthMissing."""
    if headers.get("HTTP_TRANSFER_ENCODING") and not headers.get("CONTENT_LENGTH"):
        raise LengthMissing
    text = str(headers.get("CONTENT_LENGTH") or "0")
    length = int(text) if text.isdigit() else 0
    if length > settings.BPTL_CALL_BYTES:
        raise BodyTooLarge(length)


class LimitedJSONParser(JSONParser):
    """Reads no body that is too large, and refuses one whose nesting Python cannot follow."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The JSON of the body; raises BodyTooLarge, LengthMissing and ParseError."""
        request = (parser_context or {}).get("request")
        if request is not None:
            check_length(request.META)
        try:
            return super().parse(stream, media_type, dict(parser_context or {}))
        except RecursionError as error:
            raise ParseError(_("The JSON of the body is nested too deeply.")) from error

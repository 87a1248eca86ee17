"""What every page tells the browser: run and load only what comes from here, keep no copy of what is shown."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# bpmn-js and the administration write style attributes; nothing writes style elements or inline scripts.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class ProtectionMiddleware:
    """Sets Content-Security-Policy, and Cache-Control where a view said nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        # Pages show personal data: after logging out the back button must not show them again.
        response.headers.setdefault("Cache-Control", "no-store")
        return response

"""Pages of errors: each says what happened and what to do, without JavaScript and in both languages.

Without the database there is no session and nobody is known, so those of 500, 503 and 400 are made of nothing but their
template and the language of the request.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.debug import SafeExceptionReporterFilter

AWAY = ("08", "57P", "53", "25006")
"""Beginnings of SQLSTATE: no connection, shutting down, no room for us, read-only (a failover)."""

GONE: Mapping[str, tuple[str, str | Promise, str | Promise]] = {
    "tasks": (
        "tasks",
        _("There is no such task. Tasks that ended long ago are not kept: how long is a setting of BPTL."),
        _("To the tasks"),
    ),
    "engines": ("engines", _("There is no such engine. Perhaps somebody has removed it."), _("To the engines")),
    "services": ("services", _("There is no such service. Perhaps somebody has removed it."), _("To the services")),
    "applications": (
        "applications",
        _("There is no such application, or no such right. Perhaps somebody has removed it."),
        _("To the applications"),
    ),
    "mappings": ("mappings", _("There is no such mapping. Perhaps somebody has removed it."), _("To the mappings")),
    "people": (
        "people",
        _("There is no such person. Nobody is ever removed: the address is wrong."),
        _("To the people"),
    ),
}
"""First part of an address → the list to which it belongs, what may have happened, and the words of the link."""


class HidesSecrets(SafeExceptionReporterFilter):
    """For the page that DEBUG shows to a developer: hides addresses with a password in them as well."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|BROKER|LOCATION|_URL$|DSN", re.IGNORECASE
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: what may have happened to it, and the list where it would be."""
    first = request.path_info.strip("/").partition("/")[0]
    name, happened, words = GONE.get(first, ("", "", ""))
    user = getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    context = {"happened": happened if known else "", "list": reverse(name) if name and known else "", "words": words}
    return render(request, "404.html", context, status=HTTPStatus.NOT_FOUND)


def failed(request: HttpRequest) -> HttpResponse:
    """500; 503 while the database is away, which is no fault of the page and ends by itself."""
    error = sys.exc_info()[1]
    if isinstance(error, DatabaseError | InterfaceError) and is_away(error):
        return _plain("503.html", HTTPStatus.SERVICE_UNAVAILABLE, {"again": request.get_full_path()}, retry=True)
    return _plain("500.html", HTTPStatus.INTERNAL_SERVER_ERROR, {})


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400; 413 for more than BPTL takes at once."""
    too_large = isinstance(exception, RequestDataTooBig | TooManyFieldsSent)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
    return _plain("400.html", status, {"too_large": too_large})


def is_away(error: DatabaseError | InterfaceError) -> bool:
    """Whether a database error says that the database cannot be used at all, rather than that it refuses something."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return str(state).startswith(AWAY)


def _plain(template: str, status: HTTPStatus, context: Mapping[str, object], *, retry: bool = False) -> HttpResponse:
    answer = HttpResponse(render_to_string(template, dict(context)), status=status)
    if retry:
        answer["Retry-After"] = "30"
    return answer


class FormsOnlyMiddleware:
    """Gives a page to who opens an address that only takes forms, as happens after a login in the middle of one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self._get_response(request)
        wanted = answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method == "GET"
        if wanted and not answer.content and request.accepts("text/html"):
            page = render(request, "405.html", status=HTTPStatus.METHOD_NOT_ALLOWED)
            page["Allow"] = answer["Allow"]
            return page
        return answer

"""The icon of a browser's tab, for pages that name none, such as the administration."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static


def favicon(request: HttpRequest) -> HttpResponse:
    """Where the icon is: browsers ask for /favicon.ico by themselves."""
    return redirect(static("web/mark.svg"))

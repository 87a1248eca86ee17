"""Which settings hold in this process. For administrators; secrets are never shown, not even whether they are good."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from bptl import __version__
from bptl.accounts.roles import Role
from bptl.web.rights import needs


@needs(Role.ADMINISTRATOR)
@require_safe
def settings_in_force(request: HttpRequest) -> HttpResponse:
    """The page."""
    context = {"settings": settings.BPTL_SHOWN, "retired": settings.BPTL_RETIRED_NAMES, "version": __version__}
    return render(request, "web/settings.html", context)

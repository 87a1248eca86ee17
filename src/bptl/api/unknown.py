"""Addresses and versions that the REST API does not have."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def unknown(request: HttpRequest, address: str) -> JsonResponse:
    """404 in JSON, whatever the method: a machine cannot read a page, and is not sent to one for people."""
    text = _("There is nothing here. The REST API has version 1 only; its addresses are listed at /api/v1/.")
    return JsonResponse({"detail": text}, status=404)

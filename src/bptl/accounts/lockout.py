"""Wrong passwords are counted by django-axes, for each name and address; this says what people need to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone


def until(username: str, address: str) -> datetime:
    """When somebody who is locked out may try again; now when nothing is counted."""
    last = (
        AccessAttempt.objects.filter(username=username, ip_address=address or None)
        .order_by("-attempt_time")
        .values_list("attempt_time", flat=True)
        .first()
    )
    return last + settings.AXES_COOLOFF_TIME if last else timezone.now()


def without_name(request: HttpRequest, credentials: Mapping[str, Any] | None = None) -> bool:
    """Whether an attempt names nobody: that of an identity provider, which counts wrong passwords itself."""
    return not (credentials or {}).get("username")

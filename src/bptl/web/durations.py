"""Spans of time in words, short enough for a table."""

from __future__ import annotations

from datetime import timedelta

from django.utils import formats
from django.utils.translation import gettext as _


def duration(value: timedelta | float) -> str:
    """A span (a float is seconds) in its one or two greatest useful units: 12 ms, 1.5 s, 3 min, 2 h 5 min, 4 d 3 h."""
    seconds = max(value.total_seconds() if isinstance(value, timedelta) else value, 0.0)
    if seconds < 1:
        return _("%(number)d ms") % {"number": round(seconds * 1000)}
    if seconds < 60:
        return _("%(number)s s") % {"number": formats.number_format(seconds, 1 if seconds < 10 else 0)}
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours < 1:
        return _("%(number)d min") % {"number": minutes}
    if days < 1:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes % 60}
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours % 24}

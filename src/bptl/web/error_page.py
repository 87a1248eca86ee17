"""The page of an error that DEBUG shows to a developer."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class HidesSecrets(SafeExceptionReporterFilter):
    """Hides addresses with a password in them as well: those of the broker and of the cache."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|BROKER|LOCATION|_URL$|DSN", re.IGNORECASE
    )

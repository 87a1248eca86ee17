"""The Django app of this package."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    """Registers the package with Django."""

    name = "bptl.api"
    label = "api"
    verbose_name = _("REST API")

    def ready(self) -> None:
        """Tell the description of the API how callers log in."""
        from bptl.api import description  # noqa: F401 - importing registers it

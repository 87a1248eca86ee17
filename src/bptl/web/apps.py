"""The Django app of this package."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebConfig(AppConfig):
    """Registers the package with Django."""

    name = "bptl.web"
    label = "web"
    verbose_name = _("pages")

    def ready(self) -> None:
        """Begin to note logins."""
        from bptl.web import login_events  # noqa: F401 - importing connects it

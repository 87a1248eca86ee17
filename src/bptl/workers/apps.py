"""The Django app of this package."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorkersConfig(AppConfig):
    """Registers the package with Django."""

    name = "bptl.workers"
    label = "workers"
    verbose_name = _("workers")

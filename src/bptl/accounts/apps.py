"""The Django app of this package."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Registers the package with Django."""

    name = "bptl.accounts"
    label = "accounts"
    verbose_name = _("accounts")

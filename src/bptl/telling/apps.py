"""Django's name for what people are told."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TellingConfig(AppConfig):
    """Incidents and messages."""

    name = "bptl.telling"
    label = "telling"
    verbose_name = _("incidents")
    default_auto_field = "django.db.models.BigAutoField"

"""Django's name for the heart."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TasksConfig(AppConfig):
    """Tasks, leases, fetches and processes."""

    name = "bptl.tasks"
    label = "tasks"
    verbose_name = _("tasks")
    default_auto_field = "django.db.models.BigAutoField"

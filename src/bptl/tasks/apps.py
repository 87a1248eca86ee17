"""Django's name for the heart."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.utils.translation import gettext_lazy as _

from bptl.tasks import sessions


class TasksConfig(AppConfig):
    """Tasks, leases, fetches and processes."""

    name = "bptl.tasks"
    label = "tasks"
    verbose_name = _("tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let no session of ours keep rows from others for ever."""
        connection_created.connect(sessions.limit)

"""The Celery application. Jobs carry no task ids: they only say when, PostgreSQL says what (design, section 1)."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals
from django.conf import settings

from bptl.lib.log import quiet

LONG_POLLING = "long-polling"
WORK = "celery"
"""The two queues, with the names that deployments of the existing BPTL use."""

PREFIX = "CELERY_"


def configuration() -> dict[str, Any]:
    """Celery's own settings in its own words.

    Never the whole module of settings: a worker shows its configuration to whoever asks (Flower does), and Celery hides
    the secrets among its own settings only.
    """
    names = [name for name in dir(settings) if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX).lower(): getattr(settings, name) for name in names}


app = Celery("bptl")
app.config_from_object(configuration())
app.conf.task_default_queue = WORK
app.conf.task_routes = {"bptl.poll": {"queue": LONG_POLLING}}
app.conf.imports = ("bptl.workers.jobs",)


@signals.setup_logging.connect(weak=False)
def keep_our_logging(**_: Any) -> None:
    """Listening to this signal keeps Celery from setting up logging of its own; it would tell of every message."""
    quiet("celery.app.trace", "celery.worker.strategy", "celery.beat")

"""The Celery application. Jobs carry no task ids: they only say when, PostgreSQL says what (design, section 1)."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.db import close_old_connections

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


# Without Celery's help for Django, which runs Django's checks in every process (they import all pages to look at their
# addresses) and opens a connection to the database for every job.
app = Celery("bptl", fixups=[])
app.config_from_object(configuration())
app.conf.task_default_queue = WORK
app.conf.task_routes = {"bptl.poll": {"queue": LONG_POLLING}}


@signals.setup_logging.connect(weak=False)
def keep_our_logging(**_: Any) -> None:
    """Listening to this signal keeps Celery from setting up logging of its own; it would tell of every message."""
    quiet("celery.app.trace", "celery.worker.strategy", "celery.beat")


@signals.task_prerun.connect(weak=False)
@signals.task_postrun.connect(weak=False)
def close_spent_connections(**_: Any) -> None:
    """As around a request: a connection that broke, or is older than DB_CONN_MAX_AGE, serves no further job."""
    close_old_connections()

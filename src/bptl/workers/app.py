"""The Celery application. Jobs carry no task ids: they only say when, PostgreSQL says what (design, section 1)."""

from __future__ import annotations

import os
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


# Celery would run Django's checks in every process, which import all pages to look at their addresses. They judge code,
# and `./run check` has judged it. Celery reads this and nothing else.
os.environ["CELERY_SKIP_CHECKS"] = "true"

app = Celery("bptl")
app.config_from_object(configuration())
app.conf.task_default_queue = WORK
app.conf.task_routes = {"bptl.poll": {"queue": LONG_POLLING}}


@signals.setup_logging.connect(weak=False)
def keep_our_logging(**_: Any) -> None:
    """Listening to this signal keeps Celery from setting up logging of its own; it would tell of every message."""
    quiet("celery.app.trace", "celery.worker.strategy", "celery.beat")

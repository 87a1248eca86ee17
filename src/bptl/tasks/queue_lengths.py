"""How many messages wait in the queues of the broker: asked in the background, so that nobody waits for it long."""

from __future__ import annotations

from django.conf import settings

from bptl.lib import redis_lists
from bptl.lib.latest import Latest

QUEUES = (settings.CELERY_TASK_DEFAULT_QUEUE, "long-polling")
BROKER_SECONDS = 2.0

_lengths: Latest[str, dict[str, int] | redis_lists.ListsAway] = Latest(fresh=4.0, shown=30.0, threads=1)


def lengths(*, within: float) -> dict[str, int] | redis_lists.ListsAway | None:
    """Messages by queue, or why the broker does not say it; None when it has not within so many seconds."""
    return _lengths.get({"": _ask}, within=within)[""]


def _ask() -> dict[str, int] | redis_lists.ListsAway:
    try:
        return redis_lists.lengths(settings.CELERY_BROKER_URL, QUEUES, timeout=BROKER_SECONDS)
    except redis_lists.ListsAway as away:
        return away

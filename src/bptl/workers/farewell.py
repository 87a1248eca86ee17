"""A worker that stops does not wait for one more message.

Celery's transport for Redis keeps a BRPOP under way and, when it closes, reads its answer: that comes with the next
message, or when the polling interval is over. A deployment would wait so long before its units even begin to drain.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps


class Farewell(bootsteps.StartStopStep):
    """Stopped before the consumer closes its connection, because it is started after it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def stop(self, consumer: Any) -> None:
        """Leave the answer alone. A message that it may have held is lost, as any may be (decision 0001)."""
        if consumer.task_consumer is not None:
            consumer.task_consumer.channel._in_poll = None

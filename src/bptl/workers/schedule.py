"""``bptl beat`` with the schedule that ships: a fresh installation polls and sweeps, with nobody touching a page.

Beat names jobs and never does one: nothing here may import ``jobs``, or what they do (decision 0020).
"""

from __future__ import annotations

import math
import signal
import time
import uuid
from typing import Any

from amqp.exceptions import ChannelError
from celery.apps.beat import Beat
from celery.beat import ScheduleEntry, Service
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django_celery_beat.schedulers import DatabaseScheduler

from bptl.lib.log import configure, get_logger
from bptl.tasks import metrics
from bptl.tasks.models import ProcessKind
from bptl.tasks.upkeep import processes
from bptl.workers import alive, loops, metrics_port
from bptl.workers.app import LONG_POLLING, WORK, app
from bptl.workers.stopping import Stopping

log = get_logger(__name__)

POLL_EVERY = 8.0
SWEEP_EVERY = 4.0
"""Seconds. A dead process is found when it has been silent for 15 s: what comes on top of that is this interval."""

RETAIN_EVERY = 60.0
TELL_EVERY = 30.0

LOOK_EVERY = 4.0
"""Seconds between heartbeats, and between looks for a changed schedule."""

MOST_WAITING = 100
"""Messages in a queue at which beat sends no more: nobody takes them, and a broker's memory is small. Not an expiry in
each message: that goes by the clock of the worker, and one that runs fast would throw away every poll."""

app.conf.beat_schedule = {
    "poll": {"task": "bptl.poll", "schedule": POLL_EVERY, "options": {"queue": LONG_POLLING}},
    "sweep": {"task": "bptl.sweep", "schedule": SWEEP_EVERY, "options": {"queue": WORK}},
    "telling": {"task": "bptl.tell", "schedule": TELL_EVERY, "options": {"queue": WORK}},
    "retention": {"task": "bptl.retain", "schedule": RETAIN_EVERY, "options": {"queue": WORK}},
}
_ticks = loops.Turning("beat")
_beats = loops.Turning(metrics_port.HEARTBEAT)

SCHEDULER = "bptl.workers.schedule:Scheduler"

app.conf.beat_max_loop_interval = LOOK_EVERY


def run() -> int:
    """Run beat with the shipped schedule until it is told to stop; answers the exit code."""
    configure(level=settings.CELERY_LOGLEVEL, form="console" if settings.BPTL_LOG_FORMAT == "console" else "json")
    stopping = Stopping()
    with metrics_port.opened(ProcessKind.BEAT, draining=lambda: stopping.told):
        _run(stopping)
    log.info("process.stopped", kind="beat")
    return 0


def _run(stopping: Stopping) -> None:
    loops.show(_ticks)
    failures = 0
    current: list[PunctualBeat] = []

    def stop() -> None:
        for punctual in current:
            punctual.stop()

    stopping.obey(stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopping.tell)
    while not stopping.told:
        current[:] = [PunctualBeat(stopping=stopping)]
        try:
            current[0].run()
        except Exception:
            # Beat gives up when the database is away at the wrong moment; the fleet needs it to come back by itself.
            failures += 1
            metrics.LOOP_FAILURES.add(_ticks.name)
            alive.show()
            log.exception("beat.failed", failures=failures)
            close_old_connections()
            stopping.wait(loops.backoff(failures))


class PunctualBeat(Beat):
    """Beat that is stopped between two rounds.

    Celery's own writes its last words from inside the signal's handler. When that comes while a statement is under way,
    the handler waits for the connection that its own thread is using, for ever. ``stopping`` is told before ``stop``.
    """

    def __init__(self, *, stopping: Stopping) -> None:
        self._stopping = stopping
        self._service: Service | None = None
        level = settings.CELERY_LOGLEVEL
        super().__init__(app=app, scheduler=SCHEDULER, loglevel=level, quiet=True, redirect_stdouts=False)

    def install_sync_handler(self, service: Service) -> None:
        """Install none: remember what is to be stopped."""
        self._service = service
        if self._stopping.told:
            service.stop()

    def stop(self) -> None:
        """End after the round under way."""
        if self._service is not None:
            self._service.stop()


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """django-celery-beat's scheduler; its ticks are this process's heartbeat, so that it tells the truth."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._process_id: uuid.UUID | None = None
        self._beat_at = self._looked_at = -math.inf
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One round of the loop; answers the seconds until the next."""
        alive.show()
        _ticks.begin()
        try:
            # Every message that is due is a tick, and one more follows it; an UPDATE for each would be far too many.
            if (now := time.monotonic()) >= self._beat_at + LOOK_EVERY:
                if self._process_id is None or not processes.beat(self._process_id):
                    self._process_id = processes.register(ProcessKind.BEAT)
                self._beat_at = now
                _beats.went_well(rest=LOOK_EVERY)
                loops.show(_beats)
        except DatabaseError:
            log.exception("beat.without_database")
        wait: float = super().tick(*args, **kwargs)
        _ticks.went_well(rest=wait)
        return wait

    def schedule_changed(self) -> bool:
        """Whether somebody changed the schedule, looked up once in a while: each tick asks several times."""
        if (now := time.monotonic()) < self._looked_at + LOOK_EVERY:
            return False
        self._looked_at = now
        return bool(super().schedule_changed())

    def apply_entry(self, entry: ScheduleEntry, producer: Any) -> None:
        """Send the message of one entry that is due, unless its queue is full of messages that nobody takes."""
        queue = (entry.options or {}).get("queue") or WORK
        try:
            full = waiting(queue, producer) >= MOST_WAITING
        except producer.connection.connection_errors as error:
            log.warning("beat.without_broker", error=str(error))
            return
        if full:
            log.warning("beat.held_back", job=entry.task, queue=queue, waiting=MOST_WAITING)
        else:
            super().apply_entry(entry, producer=producer)

    def close(self) -> None:
        """Sign off."""
        if self._process_id is not None:
            processes.sign_off(self._process_id)
        super().close()


def waiting(queue: str, producer: Any) -> int:
    """How many messages wait in a queue; raises the connection errors of the producer's (kombu's) broker."""
    try:
        return int(producer.channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        return 0  # Redis keeps no empty queue.

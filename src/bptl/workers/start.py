"""Starts the processes ``bptl poll`` and ``bptl work``, inside which Celery's Worker runs."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import signals
from celery.utils import nodenames
from django.conf import settings
from django.db.backends.signals import connection_created

from bptl import __version__
from bptl.lib import memory, tracing
from bptl.lib.log import LogFormat, configure, get_logger
from bptl.tasks import sessions, wake
from bptl.tasks.execution import service_calls
from bptl.tasks.limits import CHANGED, ROOM
from bptl.tasks.listening import FETCH_CHANNEL
from bptl.tasks.models import ProcessKind
from bptl.workers import jobs as _jobs  # noqa: F401 - importing registers them
from bptl.workers import leadership, local, metrics_port
from bptl.workers.app import LONG_POLLING, WORK, app
from bptl.workers.clients import Clients
from bptl.workers.ear import Ear
from bptl.workers.farewell import Farewell
from bptl.workers.floor import Floor
from bptl.workers.give_back import give_back_all
from bptl.workers.keeper import Keeper
from bptl.workers.loops import backoff
from bptl.workers.member import Member
from bptl.workers.poller import Poller
from bptl.workers.restart import Restart
from bptl.workers.stand_in import StandIn
from bptl.workers.stopping import Stopping
from bptl.workers.waker import Waker

log = get_logger(__name__)

JOBS_AT_ONCE = 3
"""Celery's own threads: most jobs only poke the places. Retention and a mail server that does not answer take seconds,
and the sweep waits for neither; a second poll message must find somebody to refuse it."""

LONGEST_FAREWELL = 5.0
"""Seconds for telling the fleet that this process takes no new work. While the database is away it stops without."""

TELL_EVERY = 15.0
"""Seconds between the events by which Celery's monitoring knows a process: Celery's own 2 are felt in an idle fleet.
Flower calls a worker offline after twice this time; our own pages know it by its row, sooner."""


def poll() -> int:
    """Run a long-polling worker until it is told to stop; answers the exit code."""
    _observe("poll")
    memory.give_large_blocks_back()
    stopping = Stopping()
    with metrics_port.opened(ProcessKind.POLL, draining=lambda: stopping.told):
        return _poll(stopping)


def _poll(stopping: Stopping) -> int:
    connection_created.connect(sessions.walk_indexes)
    member = Member(ProcessKind.POLL, on_death=leadership.release)
    clients = Clients()
    poller = Poller(
        member,
        clients,
        longest_wait=timedelta(seconds=settings.BPTL_LONG_POLL_SECONDS),
        grace=timedelta(seconds=settings.BPTL_GRACE_SECONDS),
    )
    keeper = Keeper(member, clients, on_lost=lambda lease_id, reason: None)
    stand_in = StandIn(member, clients)
    metrics_port.tell_locks(keeper)
    local.here.member, local.here.poller = member, poller
    waker = _waker()
    ear = Ear(poller.look, channel=FETCH_CHANNEL, instead={ROOM: poller.look_for_room}, on_hearing=poller.hears)
    member.start()
    keeper.start()
    poller.start()
    stand_in.start()
    ear.start()

    def stop() -> None:
        ear.stop()
        poller.stop()
        member.drain()

    stopping.obey(stop)
    code = _celery(LONG_POLLING, stopping, first_job="bptl.poll")
    poller.stop()
    poller.join()
    stand_in.stop()
    keeper.stop()
    give_back_all(member.id, clients, reason="the long-polling worker stopped")
    waker.stop()
    member.leave()
    log.info("process.stopped", kind="poll")
    _observed()
    return code


def work(*, places: int | None = None) -> int:
    """Run a worker with ``places`` places (CELERY_WORKER_CONCURRENCY) until told to stop; answers the exit code."""
    _observe("work")
    stopping = Stopping()
    with metrics_port.opened(ProcessKind.WORK, draining=lambda: stopping.told):
        return _work(places or settings.CELERY_WORKER_CONCURRENCY, stopping)


def _work(places: int, stopping: Stopping) -> int:
    connection_created.connect(sessions.walk_indexes)
    restart = Restart()
    member = Member(
        ProcessKind.WORK, places=places, on_death=lambda _: floor.cancel_all("this process was declared dead")
    )
    # Python cannot end a thread: a fresh process takes the place of this one once its other units have ended.
    floor = Floor(member, Clients(), places=places, on_worn_out=restart.want)
    metrics_port.tell_places(floor)
    local.here.member, local.here.floor = member, floor
    waker = _waker()
    ear = Ear(floor.wake, instead={CHANGED: floor.look_at_limits}, on_hearing=floor.hears)
    member.start()
    floor.start()
    ear.start()

    def stop() -> None:
        ear.stop()
        floor.stop_claiming()
        member.drain()

    stopping.obey(stop)
    code = _celery(WORK, stopping, on_word=restart.told)
    floor.drain(grace=settings.BPTL_GRACE_SECONDS)
    service_calls.stop()
    waker.stop()
    member.leave()
    log.info("process.stopped", kind="work", restarts=restart.due)
    _observed()
    if restart.due:
        os.execv(sys.executable, sys.orig_argv)
    if floor.stuck:
        os._exit(code)  # a unit that does not end would keep the interpreter from ending
    return code


def _observe(kind: str) -> None:
    form: LogFormat = "console" if settings.BPTL_LOG_FORMAT == "console" else "json"
    configure(level=settings.CELERY_LOGLEVEL, form=form)
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        tracing.start(service=f"bptl-{kind}", version=__version__, headers=settings.OTEL_EXPORTER_OTLP_HEADERS)


def _observed() -> None:
    """Send what has been seen and is not on its way yet."""
    tracing.stop()
    if settings.SENTRY_DSN:
        from bptl.lib import sentry

        sentry.flush()


def _waker() -> Waker:
    waker = Waker()
    waker.start()
    wake.use(waker.send)
    return waker


def _celery(queue: str, stopping: Stopping, *, on_word: Callable[[], None] = lambda: None, first_job: str = "") -> int:
    """Celery's Worker for one queue in this process, until SIGTERM or SIGINT; answers its exit code.

    A Worker ends by itself on errors that it does not expect, such as those of its broker's client when the broker is
    lost at the wrong moment. The places, locks and reports of this process live on, and get another one.
    """

    def told(**_: Any) -> None:
        on_word()
        stopping.tell()

    signals.worker_shutting_down.connect(told, weak=False)
    if first_job:

        def send_first(**_: Any) -> None:
            app.send_task(first_job, retry=False)

        signals.worker_ready.connect(send_first, weak=False)
    failures = 0
    while True:
        worker = _worker(queue)
        _keep_what_is_loaded()
        worker.start()
        if stopping.told:
            if not stopping.join(LONGEST_FAREWELL):
                log.warning("process.drains_unannounced", queue=queue, after=LONGEST_FAREWELL)
            return worker.exitcode or 0
        failures += 1
        wait = backoff(failures)
        log.error("celery.gave_up", queue=queue, failures=failures, wait=round(wait, 2))
        stopping.wait(wait)


def _keep_what_is_loaded() -> None:
    """What is loaded by now lives as long as the process: the collector of garbage need not walk it over and over."""
    gc.collect()
    gc.freeze()


def _worker(queue: str) -> Any:
    app.steps["consumer"].add(Farewell)
    return app.Worker(
        queues=[queue],
        hostname=nodenames.host_format(settings.BPTL_WORKER_NAME or f"{queue}-{os.getpid()}@{socket.gethostname()}"),
        pool="threads",
        concurrency=JOBS_AT_ONCE,
        loglevel=settings.CELERY_LOGLEVEL,
        heartbeat_interval=TELL_EVERY,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
        redirect_stdouts=False,
    )

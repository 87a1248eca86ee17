"""The jobs: interfaces that make one call. Keyword-only and tolerant of arguments of older or newer messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings

from bptl.connections import breaker_probes, breakers
from bptl.tasks import mapping_changes
from bptl.tasks.delivery import callbacks
from bptl.tasks.upkeep import minutes, retention
from bptl.tasks.upkeep import sweep as sweeping
from bptl.tasks.wake import wake
from bptl.telling import rounds
from bptl.workers import local
from bptl.workers.app import app

RETENTION_SECONDS = 20.0
"""Longest run of retention: far less than the time between two (``schedule.RETAIN_EVERY``)."""


@app.task(name="bptl.poll")
def poll(**_: Any) -> None:
    """Long-poll the engines, for LONG_POLLING_TIMEOUT_MINUTES at most; beat starts it again."""
    local.poller().run(duration=timedelta(minutes=settings.LONG_POLLING_TIMEOUT_MINUTES))


@app.task(name="bptl.work")
def work(**_: Any) -> None:
    """Tell this worker's places that there is work."""
    local.floor().wake()


@app.task(name="bptl.sweep")
def sweep(**_: Any) -> None:
    """End what died, ask about what nobody holds, free what ghosts locked, wake workers for what is due; then probe
    what is known to be down."""
    floor = local.floor()
    swept = sweeping.sweep(local.member().id, floor.clients)
    if swept.due:
        floor.wake()
        wake(swept.due)
    if swept.probes:
        breaker_probes.run()


@app.task(name="bptl.retain")
def retain(**_: Any) -> None:
    """Count what ended, and take away what has been kept long enough; ends when this worker stops."""
    floor = local.floor()
    minutes.count()
    mapping_changes.resume_due()
    breakers.remove_older(timedelta(days=settings.BPTL_RETENTION_INCIDENT_DAYS))
    sweeping.tidy()
    retention.remove(retention.configured(), seconds=RETENTION_SECONDS, wait=floor.stopping.wait)


@app.task(name="bptl.tell")
def tell(**_: Any) -> None:
    """Look what goes wrong, and tell people of it; first of all look whether a callback is due."""
    floor = local.floor()  # refuses where no worker is
    if callbacks.due():
        floor.callbacks.wake()
    rounds.run()

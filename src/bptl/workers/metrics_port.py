"""The port of a poll, work or beat process: its metrics, and whether it lives and is ready. Nothing without an address.

What it needs is imported when there is an address: nobody else pays memory for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from bptl import __version__
from bptl.lib.instruments import Labels
from bptl.lib.log import get_logger
from bptl.tasks import metrics
from bptl.tasks.models import DEAD_AFTER, ProcessKind
from bptl.workers import alive, loops

if TYPE_CHECKING:  # Beat has neither.
    from bptl.workers.floor import Floor
    from bptl.workers.keeper import Keeper

log = get_logger(__name__)

HEARTBEAT = "heartbeat"
"""Name of the loop that tells the database that this process lives."""

LIVE_SECONDS = 60.0
"""As for ``bptl alive``: loops go on turning, with pauses of at most half a minute, while the database is away."""


@contextmanager
def opened(kind: ProcessKind, *, draining: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Listen at BPTL_METRICS_ADDRESS, if there is one; raises ImproperlyConfigured when it cannot be had.

    ``/live``: the loop of this process turns. ``/ready``: PostgreSQL also hears of it, and it is not ``draining``.
    """
    if settings.BPTL_METRICS_ADDRESS is None:
        yield
        return
    with _listening(settings.BPTL_METRICS_ADDRESS, kind, draining):
        yield


@contextmanager
def _listening(address: tuple[str, int], kind: ProcessKind, draining: Callable[[], bool]) -> Iterator[None]:
    from bptl.lib.exposition import Exposition, Port

    metrics.INFO.read_by(lambda: [((kind, __version__), 1)])
    metrics.LOOP_SILENT.read_by(lambda: [((loop.name,), loop.silent) for loop in loops.turning()])
    metrics.LOOP_OVERDUE.read_by(lambda: [((loop.name,), loop.overdue) for loop in loops.turning()])
    metrics.PROCESS.on = True
    try:
        port = Port(
            address,
            Exposition(metrics.PROCESS, about_process=True),
            live=_live,
            ready=lambda: _live() and not draining() and _heard(),
        )
    except OSError as error:
        where = f"{address[0]}:{address[1]}"
        raise ImproperlyConfigured(
            f"BPTL_METRICS_ADDRESS: cannot listen on {where}: {error.strerror}. Each process of a host needs a port of "
            "its own; port 0 takes one that is free and writes it into the log"
        ) from error
    log.info("metrics.served", address=address[0], port=port.port)
    try:
        yield
    finally:
        port.close()


def tell_locks(keeper: Keeper) -> None:
    """The metrics tell of the locks that this keeper keeps."""
    metrics.LOCKS_HELD.read_by(lambda: [((), keeper.held)])

    def ratio() -> list[tuple[Labels, float]]:
        shortest = keeper.shortest
        return [] if shortest is None else [((), shortest)]

    metrics.LOCK_LEFT_RATIO.read_by(ratio)


def tell_places(floor: Floor) -> None:
    """The metrics tell of these places, and of the locks that they hold."""

    def places() -> list[tuple[Labels, float]]:
        taken = floor.running
        return [
            (("free",), max(0, floor.places - taken)),
            (("taken",), taken),
            (("written_off",), floor.written_off),
        ]

    metrics.PLACES.read_by(places)
    tell_locks(floor.keeper)


def _live() -> bool:
    return alive.silent() <= LIVE_SECONDS


def _heard() -> bool:
    beats = [loop for loop in loops.turning() if loop.name == HEARTBEAT]
    return any(beat.silent <= DEAD_AFTER.total_seconds() for beat in beats)

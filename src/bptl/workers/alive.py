"""The sign that a loop turns, for ``bptl alive``: the time of a file, because containers share nothing else."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from bptl.lib.log import get_logger

log = get_logger(__name__)


def show() -> None:
    """Touch BPTL_ALIVE_FILE, if there is one. A folder that cannot be written is logged and hinders no work."""
    if not settings.BPTL_ALIVE_FILE:
        return
    try:
        Path(settings.BPTL_ALIVE_FILE).touch()
    except OSError as error:
        log.warning("alive.not_shown", error=str(error))

"""The sign that a loop turns: the time of a file for ``bptl alive`` (containers share nothing else), and in memory."""

from __future__ import annotations

import time
from pathlib import Path

from django.conf import settings

from bptl.lib.log import get_logger

log = get_logger(__name__)

_shown_at = time.monotonic()


def silent() -> float:
    """Seconds since the last sign, or since this process began."""
    return time.monotonic() - _shown_at


def show() -> None:
    """Touch BPTL_ALIVE_FILE, if there is one. A folder that cannot be written is logged and hinders no work."""
    global _shown_at  # noqa: PLW0603 - one process, one sign
    _shown_at = time.monotonic()
    if not settings.BPTL_ALIVE_FILE:
        return
    try:
        Path(settings.BPTL_ALIVE_FILE).touch()
    except OSError as error:
        log.warning("alive.not_shown", error=str(error))

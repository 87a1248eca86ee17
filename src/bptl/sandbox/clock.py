"""The engine's clock, which tests can move, and the one form in which times travel."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

_WIRE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")


class Clock:
    """Real time plus an offset of ``offset`` milliseconds."""

    def __init__(self, *, offset: int = 0) -> None:
        self.offset = offset

    def now(self) -> int:
        """Milliseconds since 1970 of the engine's time."""
        return time.time_ns() // 1_000_000 + self.offset


def shown(moment: int | None) -> str | None:
    """Milliseconds since 1970 as Camunda writes times: ``2013-01-23T13:42:42.000+0000``."""
    if moment is None:
        return None
    time_of_it = datetime.fromtimestamp(moment / 1000, UTC)
    return time_of_it.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment % 1000:03d}+0000"


def read(text: str) -> int:
    """Milliseconds since 1970 of a time on the wire; ValueError for every other form, as in Camunda."""
    if not _WIRE.fullmatch(text):
        raise ValueError(f"{text!r} is no time of the form yyyy-MM-dd'T'HH:mm:ss.SSSZ")
    return round(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000)

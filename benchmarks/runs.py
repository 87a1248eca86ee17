"""What is run: profiles, each a few runs that are alternated with those of the others."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PAYLOAD_CHARACTERS = 200_000
WAIT_SECONDS = 0.05
"""What the unit of the profile ``http`` waits for."""


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` tasks at once, or ``rate`` a second at random moments, done by ``worker``.

    ``worker`` is ``bptl`` (with so many ``processes``) or a yardstick; ``topic`` chooses BPTL's unit. ``slow`` tasks of
    ten seconds are there before the others come. The engine answers ``fetch_ms`` and ``complete_ms`` later.
    ``every_round`` is false for what a quick benchmark does once.
    """

    name: str
    worker: str = "bptl"
    topic: str = "noop"
    count: int = 0
    rate: float | None = None
    processes: int = 2
    slow: int = 0
    fetch_ms: float = 0
    complete_ms: float = 0
    variables: Mapping[str, Any] = field(default_factory=dict)
    every_round: bool = True


IDLE, START = "idle", "start"
"""Profiles that are no runs of tasks."""

FULL, PAGES = "full-tables", "pages"
ALONE = {FULL: 5_000_000, PAGES: 1_000_000}
"""Profiles of their own, only by their name, with their finished tasks: they fill gigabytes."""

DEFAULT_QUICK = ("backlog", "open")


def profiles(*, quick: bool, service_url: str) -> dict[str, Sequence[Run]]:
    """All profiles by name; a quick benchmark has fewer tasks. ``service_url`` is where units call."""
    part = 10 if quick else 1
    service = {"service": {"type": "String", "value": service_url}}
    # As a JSON object: a text of more than 4,000 characters does not fit a String variable of these engines.
    payload = {"payload": {"type": "Object", "value": f'"{_text()}"', "valueInfo": _JSON_TEXT}}
    return {
        "backlog": (
            Run("bptl", count=20_000 // part),
            Run("raw", worker="raw", count=20_000 // (2 if quick else 1)),
            Run("raw durable", worker="raw durable", count=20_000 // (2 if quick else 1)),
            Run("client 1", worker="client 1", count=500 if quick else 3_000),
            Run("client 10", worker="client 10", count=1_000 if quick else 5_000),
        ),
        "open": (
            Run("bptl at 10/s", count=300 // (3 if quick else 1), rate=10, every_round=not quick),
            Run("bptl at 100/s", count=3_000 // (6 if quick else 1), rate=100, every_round=not quick),
            *(
                ()
                if quick
                else (
                    Run(f"{worker} at {rate}/s", worker=worker, count=10 * rate, rate=rate)
                    for worker in ("raw durable", "client 1")
                    for rate in (10, 100)
                )
            ),
        ),
        "one-worker": (Run("bptl, one worker", count=10_000 // part, processes=1),),
        "http": (Run("bptl, 50 ms on HTTP", topic="wait", count=1_000 if quick else 4_000, variables=service),),
        "effect": (Run("bptl, 3 calls, 1 effect", topic="effect", count=400 if quick else 2_000, variables=service),),
        "payload": (Run("bptl, 200 KB", topic="payload", count=100 if quick else 600, variables=payload),),
        "slow-engine": (
            Run("bptl, slow engine", count=1_000 if quick else 5_000, fetch_ms=5, complete_ms=10),
            Run(
                "raw durable, slow engine",
                worker="raw durable",
                count=1_000 if quick else 5_000,
                fetch_ms=5,
                complete_ms=10,
            ),
        ),
        "mixed": (Run("bptl at 20/s beside 10 s", count=400 // (2 if quick else 1), rate=20, slow=1),),
        IDLE: (),
        START: (),
    }


_JSON_TEXT = {"objectTypeName": "java.lang.String", "serializationDataFormat": "application/json"}


def _text() -> str:
    """Characters at random, so that PostgreSQL cannot make them small."""
    source = random.Random(1)  # noqa: S311 - the same text in every run, no secret
    return "".join(source.choices(string.ascii_letters + string.digits, k=PAYLOAD_CHARACTERS))

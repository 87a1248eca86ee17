"""A Sentry on 127.0.0.1: takes envelopes as the SDK sends them, and keeps their events."""

from __future__ import annotations

import gzip
import json
from types import TracebackType
from typing import Any, Self

from tests.doubles.outside import Answer, Asked, Outside

PROJECT = 7


class Sentry:
    """One project; ``dsn`` is its address with ``key``."""

    def __init__(self, key: str = "0123456789abcdef0123456789abcdef") -> None:
        self._outside = Outside("/")
        self._outside.answers[f"/api/{PROJECT}/envelope/"] = self._take
        self.dsn = f"http://{key}@127.0.0.1:{self._outside.port}/{PROJECT}"
        self.key = key
        self.events: list[dict[str, Any]] = []
        self.bodies: list[str] = []
        """Every envelope, as text."""

    def __enter__(self) -> Self:
        self._outside.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outside.__exit__(kind, error, trace)

    def _take(self, asked: Asked) -> Answer:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        if f"sentry_key={self.key}" not in headers.get("x-sentry-auth", ""):
            return Answer(403, {"detail": "invalid key"})
        body = gzip.decompress(asked.body) if headers.get("content-encoding") == "gzip" else asked.body
        self.bodies.append(body.decode())
        # Header of the envelope, then a header and a payload for each item.
        lines = body.split(b"\n")[1:]
        for head, payload in zip(lines[::2], lines[1::2], strict=False):
            if head and json.loads(head).get("type") == "event":
                self.events.append(json.loads(payload))
        return Answer(200, {"id": "0" * 32})

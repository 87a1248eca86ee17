"""What a span is to who makes one, whether or not anything is traced."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self

Kind = Literal["internal", "client", "consumer"]
Attributes = Mapping[str, str | int]


class Span:
    """A span that is not recorded. As a context manager it is the parent of the spans that its block begins."""

    traceparent = ""
    """What its children, here or elsewhere, are told of it (W3C Trace Context); empty when nothing is traced."""

    def set(self, name: str, value: str | int) -> None:
        """Add an attribute."""

    def failed(self, kind: str) -> None:
        """It did not go well; ``kind`` is the name of a class or a status, never a text."""

    def end(self) -> None:
        """It is over; for who does not use it as a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is over, and failed if its block did."""

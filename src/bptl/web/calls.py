"""The recorded calls of a task to services, for its page: what was sent and answered only for who may read values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from bptl.tasks.models import ServiceCall
from bptl.tasks.queries import TaskStory


@dataclass(frozen=True, slots=True)
class Called:
    """One row. ``sent`` and ``answered`` are bodies as they were recorded, empty where there is nothing to show."""

    call: ServiceCall
    attempt: int | None
    address: str
    sent: str
    answered: str


def calls(story: TaskStory, *, values: bool) -> Sequence[Called]:
    """The calls of a task, in the order of time; queries of addresses and bodies with ``values``."""
    return [
        Called(
            call,
            story.attempt_of(call),
            address=call.url if values else _without_query(call.url),
            sent=call.request_body if values else "",
            answered=call.answer_body if values else "",
        )
        for call in story.calls
    ]


def _without_query(address: str) -> str:
    # A filter names people: the query of a search for a zaak holds a BSN where the API wants one there.
    return urlunsplit(urlsplit(address)._replace(query="", fragment=""))

"""The recorded calls of a task to services, for its page; their bodies are a page of their own (``task_files``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from bptl.tasks.models import ServiceCall
from bptl.tasks.queries import TaskStory


@dataclass(frozen=True, slots=True)
class Called:
    """One row. ``address`` is without its query for who may not read values."""

    call: ServiceCall
    attempt: int | None
    address: str


def calls(story: TaskStory, *, values: bool) -> Sequence[Called]:
    """The calls of a task, in the order of time; queries of addresses with ``values``."""
    return [
        Called(call, story.attempt_of(call), address=call.url if values else _without_query(call.url))
        for call in story.calls
    ]


def _without_query(address: str) -> str:
    # A filter names people: the query of a search for a zaak holds a BSN where the API wants one there.
    return urlunsplit(urlsplit(address)._replace(query="", fragment=""))

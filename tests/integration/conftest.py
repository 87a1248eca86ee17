"""What every integration test leaves behind is ended with its module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _no_writer_stays() -> Iterator[None]:
    """The thread that writes calls to services keeps a connection, and a database in use cannot be dropped."""
    yield
    from bptl.tasks.execution import service_calls

    service_calls.stop()

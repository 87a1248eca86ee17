"""What integration tests share, and what each leaves behind that is ended with its module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.engine import FakeEngine
from tests.integration.waiting import PATIENCE


@pytest.fixture(scope="module", autouse=True)
def _no_writer_stays() -> Iterator[None]:
    """The thread that writes calls to services keeps a connection, and a database in use cannot be dropped."""
    yield
    from bptl.tasks.execution import service_calls

    assert service_calls.stop(timeout=PATIENCE)


@pytest.fixture(scope="module")
def double() -> Iterator[FakeEngine]:
    """An engine's double, over HTTP."""
    engine = FakeEngine()
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def there(double: FakeEngine) -> FakeEngine:
    """The double as if it were new."""
    double.reset()
    return double

"""An engine on record that nobody calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bptl.connections.models import Engine, Mapping


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(name="main", address="http://127.0.0.1:1/engine-rest/", authentication="none")


@pytest.fixture
def mapped(engine: Engine) -> Callable[..., Mapping]:
    """Make a mapping of ``engine``."""

    def make(topic: str, unit: str = "demo.quick", **fields: Any) -> Mapping:
        return Mapping.objects.create(engine=engine, topic=topic, unit=unit, **fields)

    return make

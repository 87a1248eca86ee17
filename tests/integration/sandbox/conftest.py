"""Every case runs twice: with instances kept in memory, and read from the store before every step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bptl.sandbox import engine
from tests.integration.sandbox.laptop import Laptop


@pytest.fixture(params=["kept", "reloaded"])
def laptop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    if request.param == "reloaded":
        monkeypatch.setattr(engine, "KEPT_INSTANCES", 0)
    laptop = Laptop()
    yield laptop
    laptop.engine.store.close()

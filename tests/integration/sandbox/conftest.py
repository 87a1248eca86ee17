"""Every case runs with instances kept in memory and read from the store before every step; with --all also on Operaton,
so that what the sandbox does is what a real engine does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bptl.sandbox import engine
from stage.maven import JavaMissing
from stage.operaton import Engine
from tests.integration.sandbox.laptop import Laptop
from tests.integration.sandbox.real import Real


@pytest.fixture(scope="session")
def operaton() -> Iterator[Engine]:
    real = Engine()
    try:
        real.start()
    except JavaMissing as error:
        pytest.skip(str(error))
    yield real
    real.stop()


@pytest.fixture(params=["kept", "reloaded", pytest.param("operaton", marks=pytest.mark.slow)])
def laptop(request: pytest.FixtureRequest) -> Iterator[Laptop | Real]:
    """What every engine does alike."""
    if request.param != "operaton":
        yield from _sandbox(reload=request.param == "reloaded")
        return
    real = Real(request.getfixturevalue("operaton"))
    yield real
    real.close()


@pytest.fixture(params=["kept", "reloaded"])
def alone(request: pytest.FixtureRequest) -> Iterator[Laptop]:
    """What only the sandbox does so; docs/reference/sandbox.md tells how Operaton differs."""
    yield from _sandbox(reload=request.param == "reloaded")


def _sandbox(*, reload: bool) -> Iterator[Laptop]:
    with pytest.MonkeyPatch.context() as patch:
        if reload:
            patch.setattr(engine, "KEPT_INSTANCES", 0)
        laptop = Laptop()
        yield laptop
        laptop.engine.store.close()

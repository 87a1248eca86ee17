"""One world for the whole suite, and one more for each further engine; after every test everything in it runs again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stage.engines import SANDBOX
from stage.maven import JavaMissing
from tests.doubles.outlet import Outlet
from tests.faults.world import World


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every world has the sandbox; with --all a module that names ENGINES is run on each of them."""
    if "product" in metafunc.fixturenames:
        everything = metafunc.config.getoption("all")
        products = getattr(metafunc.module, "ENGINES", (SANDBOX,)) if everything else (SANDBOX,)
        metafunc.parametrize("product", products, scope="session")


@pytest.fixture(scope="session")
def built_world(product: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two workers, two pollers, beat, PostgreSQL, Valkey, an engine behind a proxy, and the recorder."""
    logs: Path = tmp_path_factory.mktemp("faults")
    try:
        with World.built(logs, product=product) as built:
            yield built
    except JavaMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def outlet(world: World) -> Iterator[Outlet]:
    """A receiver of callbacks, on the address of a registered service."""
    with Outlet() as running:
        options = ("--kind", "orc", "--url", running.root, "--login", "no_auth")
        world.topology.bptl("services", "add", f"ontvanger-{running.port}", *options)
        yield running
        running.held.clear()


@pytest.fixture
def world(built_world: World) -> Iterator[World]:
    """The world, whole."""
    yield built_world
    built_world.repair()

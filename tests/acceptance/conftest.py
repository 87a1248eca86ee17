"""A whole BPTL as real processes before a real engine with logins on; shared by the tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stage.engines import OPERATON
from stage.maven import JavaMissing, engine_jar, java
from tests.acceptance.town import Town


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One long-polling worker and two workers, the sample's mappings and models deployed."""
    try:
        engine_jar(OPERATON)
        java()
    except JavaMissing as error:
        pytest.skip(str(error))
    logs: Path = tmp_path_factory.mktemp("town")
    with Town.built(logs) as built:
        yield built

from __future__ import annotations

import pytest

from tests.doubles.zgw.double import ALL_RIGHTS, ZgwDouble
from tests.integration.doubles.caller import Caller


@pytest.fixture
def bptl(zgw: ZgwDouble) -> Caller:
    """A limited application."""
    return Caller(zgw)


@pytest.fixture
def beheer(zgw: ZgwDouble) -> Caller:
    """An application with all rights."""
    return Caller(zgw, ALL_RIGHTS)

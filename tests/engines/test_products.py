"""The engines that the contract covers."""

from __future__ import annotations

import pytest

from stage.operaton import PRODUCTS
from tests.engines.products import why_not


@pytest.mark.slow
@pytest.mark.parametrize("name", PRODUCTS)
def test_every_product_can_be_built_and_so_is_held_to_the_contract(name: str) -> None:
    reason = why_not(name)
    if reason:
        pytest.skip(reason)
    assert reason == ""

"""Which engines the contract is run against, and their starting."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest

from stage.maven import JavaMissing, engine_jar
from stage.operaton import PRODUCTS, Engine
from stage.processes import PartFailed
from stage.sandbox import PRODUCT as SANDBOX
from stage.sandbox import Sandbox

GATE = "operaton"
"""The product that must be there, beside the sandbox; the others run with --all, where they can be built."""

ON_POSTGRESQL = "operaton-on-postgresql"
"""The gate's product with another database: H2 in memory hides some of what PostgreSQL refuses."""


@cache
def why_not(product: str) -> str:
    """Why ``product`` cannot be built here, in one line; empty when it can."""
    try:
        engine_jar(product)
    except PartFailed as error:
        return f"{product} cannot be built here: {error.reason}, see {error.log}"
    except JavaMissing as error:
        return str(error)
    return ""


def chosen(*, everything: bool) -> list[str]:
    """The products of this run."""
    if not everything:
        return [SANDBOX, GATE]
    return [
        SANDBOX,
        GATE,
        ON_POSTGRESQL,
        *(product for product in PRODUCTS if product != GATE and not why_not(product)),
    ]


def started(product: str, *, authentication: bool, properties: Mapping[str, str] | None = None) -> Engine | Sandbox:
    """A running engine; without Java the case is skipped. The sandbox has no ``properties``."""
    if product == SANDBOX:
        sandbox = Sandbox(authentication=authentication)
        sandbox.start()
        return sandbox
    build = GATE if product == ON_POSTGRESQL else product
    engine = Engine(build, authentication=authentication, properties=properties)
    try:
        engine.start()
    except JavaMissing as error:
        pytest.skip(str(error))
    return engine

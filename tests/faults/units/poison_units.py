"""Work units that end the process that runs them, or never end; each attempt is counted at the recorder first."""

from __future__ import annotations

import time
import urllib.request

from pydantic import Field

from bptl.work_units.contract import Inputs, NeverAgain, Work, work_unit

PIECE = 16 * 2**20
MOST = 2 * 2**30
"""Bytes at which the eater gives up: where nothing limits memory, the machine that tests run on must not suffer."""


class Poison(Inputs):
    """Where attempts are counted."""

    recorder: str = Field(description="Address of the recorder.")
    key: str = Field(description="Under what the recorder counts it.")


@work_unit("test.eat_memory", retry_plan="R5/PT1S")
def eat_memory(work: Work, inputs: Poison) -> None:
    """Take more and more memory."""
    _count(inputs)
    eaten: list[bytes] = []
    while len(eaten) * PIECE < MOST:
        eaten.append(b"\xff" * PIECE)
        time.sleep(0.02)
    raise NeverAgain("nothing limits the memory of this process")


@work_unit("test.loop_for_ever", retry_plan="R5/PT1S")
def loop_for_ever(work: Work, inputs: Poison) -> None:
    """Compute without end, and without asking whether to stop."""
    _count(inputs)
    number = 0
    while True:
        number += 1


def _count(inputs: Poison) -> None:
    urllib.request.urlopen(f"{inputs.recorder}/effects/{inputs.key}", data=b"", timeout=5).close()

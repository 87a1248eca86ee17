"""Large blocks are given back, whatever was freed before."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HOLDS_AND_LETS_GO = """
import re
from pathlib import Path
from bptl.lib import memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

assert memory.give_large_blocks_back()
bytearray(8 << 20)  # from now on the C library would keep what is smaller
before = resident()
large, small = [], []
for _ in range(40):
    large.append(bytearray(b"x" * (1 << 20)))
    small.append(bytearray(b"x" * 2_000))  # keeps the heap from being cut off behind it
held = resident()
del large
print(before, held, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps them, and can be told not to")
def test_what_was_held_in_large_blocks_is_free_for_others_at_once() -> None:
    told = subprocess.run(
        [sys.executable, "-c", HOLDS_AND_LETS_GO], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    before, held, after = (float(megabytes) for megabytes in told.split())
    assert held > before + 35
    assert after < before + 5

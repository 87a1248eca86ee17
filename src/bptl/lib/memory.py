"""What the C library keeps of memory that nobody uses any more."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # malloc.h of glibc
LARGE = 512 * 1024
"""Bytes."""


def give_large_blocks_back() -> bool:
    """Have each large block given back to the system as soon as it is free. False where the C library cannot (musl).

    By itself glibc keeps blocks up to the largest one that was ever freed (mallopt(3), M_MMAP_THRESHOLD): a process
    that holds an answer of two megabytes several times over while it reads it stays that large.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, LARGE))

"""Certificates and keys as files, because TLS libraries read nothing else: private to this process, gone with it.

A process that is killed cannot take its folder along: the next one that needs a folder removes those that nobody locks.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

PREFIX = "bptl-tls-"
LOCK = "lock"
SETTLED = 60.0
"""Seconds after which a folder is certainly locked by its owner, if that lives."""

_lock = threading.Lock()
_folders: dict[int, Path] = {}


def path(pem: str) -> str:
    """A file with ``pem`` that only our user can read (0600); the same text gives the same file."""
    with _lock:
        file = _folder() / f"{hashlib.sha256(pem.encode()).hexdigest()}.pem"
        if not file.exists():
            half = file.with_suffix(".half")
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
                written.write(pem)
            half.rename(file)
        return str(file)


def _folder() -> Path:
    # By process: a child made by fork must not lose its files with its parent.
    process = os.getpid()
    if process not in _folders:
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # 0700
        # Held until this process ends, however it ends, or becomes another program.
        fcntl.flock(os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT, 0o600), fcntl.LOCK_EX)
        _folders[process] = folder
        atexit.register(_remove, process)
    return _folders[process]


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < SETTLED:
                continue
            lock = os.open(folder / LOCK, os.O_WRONLY)
        except OSError:
            continue  # Somebody else's.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _remove(process: int) -> None:
    if process == os.getpid():
        shutil.rmtree(_folders[process], ignore_errors=True)

"""The environment of yardsticks and tools: .venv/bench, with what requirements/bench.txt locks; never part of BPTL."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv" / "bench"
LOCKED = ROOT / "requirements" / "bench.txt"
PYTHON = HOME / "bin" / "python"
PY_SPY = HOME / "bin" / "py-spy"


class NotInstalled(Exception):
    """The environment could not be made; the message shows what the installer said."""


def prepare() -> None:
    """Make the environment, from the network, when it is missing or its lock has changed; raises NotInstalled."""
    wanted = hashlib.sha256(LOCKED.read_bytes()).hexdigest()
    stamp = HOME / "stamp"
    HOME.parent.mkdir(exist_ok=True)
    with (HOME.parent / "bench.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
            return
        print("installing yardsticks and tools into .venv/bench …", file=sys.stderr, flush=True)
        uv = str(ROOT / ".venv" / "bin" / "uv")
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(HOME))
        _run(uv, "pip", "sync", "--quiet", "--python", str(PYTHON), "--require-hashes", str(LOCKED))
        stamp.write_text(wanted)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise NotInstalled(f"{' '.join(command)} ended with exit code {done.returncode}\n{done.stderr.strip()}")

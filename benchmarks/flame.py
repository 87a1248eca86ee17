"""A picture of where one process spends its time: py-spy beside a backlog run, whose figures are not counted."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from benchmarks import environment
from benchmarks.measure import Measured
from benchmarks.runs import Run

SAMPLES_A_SECOND = 200


class NotRecorded(Exception):
    """py-spy could not look into the process (without root Linux often forbids it); the message shows what it said."""


def record(measured: Measured, path: Path, *, part: str, count: int, gil: bool) -> None:
    """Record ``part`` (such as ``work-1``) during a backlog of ``count`` tasks into ``path``.

    A flame graph, or for a name that ends with ``.txt`` one line for each stack with its number of samples. Only
    threads that run are sampled; with ``gil`` only the one that holds the interpreter.
    """
    measured.bptl.use_workers(2)
    form = "raw" if path.suffix == ".txt" else "flamegraph"
    command = [str(environment.PY_SPY), "record", "--pid", str(measured.bptl.part(part).pid), "--output", str(path)]
    command += ["--format", form, "--rate", str(SAMPLES_A_SECOND), "--threads", "--nonblocking"]
    command += ["--gil"] if gil else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as recorder:
        time.sleep(1)
        try:
            if recorder.poll() is None:
                measured.run(Run("flame", count=count))
        finally:
            recorder.send_signal(signal.SIGINT)
            said, _ = recorder.communicate(timeout=60)
    if not path.exists():
        raise NotRecorded(f"py-spy recorded nothing: {said.strip()}")

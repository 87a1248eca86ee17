"""A word to stop that comes as a signal, at whatever moment."""

from __future__ import annotations

import subprocess
import sys
import threading

from bptl.workers.stopping import Stopping

AT_EVERY_STEP = """
import signal, sys, threading
from bptl.workers.stopping import Stopping

def stopped_at(step):
    left = [step]
    stopping = Stopping()
    stopping.obey(lambda: None)
    signal.signal(signal.SIGTERM, stopping.tell)

    def trace(frame, event, _):
        frame.f_trace_opcodes = True
        if event == "opcode":
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)
    stopping.wait(0.001)
    sys.settrace(None)
    if left[0] > 0:
        return False
    assert stopping.wait(60)
    return True

step = 1
while stopped_at(step):
    step += 1
print(step)
"""
"""Ends the wait of the main thread by a signal before its first step, its second, … until it has no more of them."""


def test_a_signal_at_any_step_of_a_wait_ends_it() -> None:
    told = subprocess.run(
        [sys.executable, "-c", AT_EVERY_STEP], capture_output=True, text=True, timeout=200, check=True
    )
    assert int(told.stdout) > 10


def test_what_follows_is_done_once_by_another_thread() -> None:
    who: list[str] = []
    stopping = Stopping()
    stopping.obey(lambda: who.append(threading.current_thread().name))
    stopping.tell()
    stopping.tell()
    assert stopping.join(60)
    assert stopping.told
    assert who == ["stopping"]


def test_a_word_that_came_first_is_obeyed() -> None:
    stopping = Stopping()
    stopping.tell()
    stopping.obey(lambda: None)
    assert stopping.join(60)


def test_without_a_word_nothing_follows() -> None:
    done: list[bool] = []
    stopping = Stopping()
    stopping.obey(lambda: done.append(True))
    assert not stopping.wait(0.01)
    assert not stopping.told
    assert not done

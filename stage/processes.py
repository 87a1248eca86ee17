"""Child processes that start, become ready, fail aloud and never outlive the one who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, Self, TypeVar

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class PartFailed(Exception):
    """A part of the stage did not start, did not become ready or ended early; the message shows the end of its log."""

    def __init__(self, name: str, *, reason: str, log: Path) -> None:
        self.name = name
        self.reason = reason
        self.log = log
        super().__init__(f"{name} {reason}\n  its log: {log}\n{_last_lines(log)}")


class Part:
    """One child process in its own process group, with its own log file and environment.

    ``environment`` is the child's whole environment (default: ours); ``log`` is appended to; ``user`` is the
    (uid, gid) to run as, which only root may change; ``stop_signal`` asks the process to stop.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        user: tuple[int, int] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._environment = dict(os.environ if environment is None else environment)
        self._directory = directory
        self._user = user
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: subprocess.Popen[bytes] | None = None

    def start(self, *, extra: Mapping[str, str] | None = None) -> None:
        """Start the process, this time with ``extra`` variables; raises PartFailed when it cannot be executed."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already, pid {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        uid, gid = self._user or (None, None)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**self._environment, **(extra or {})},
                    cwd=self._directory,
                    process_group=0,
                    user=uid,
                    group=gid,
                    extra_groups=None if gid is None else [],
                )
            except OSError as error:
                raise PartFailed(self.name, reason=f"cannot be started: {error}", log=self.log) from error

    @property
    def pid(self) -> int:
        """The process id, also after the end; RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while running or never started; minus the signal's number when a signal ended it."""
        return None if self._process is None else self._process.poll()

    def wait_until(self, probe: Callable[[], bool], *, seconds: float) -> None:
        """Ask ``probe`` until it is true; raises PartFailed when the process ends or ``seconds`` have passed."""
        deadline = time.monotonic() + seconds
        while not probe():
            if not self.running:
                raise PartFailed(self.name, reason=f"ended with exit code {self.exit_code}", log=self.log)
            if time.monotonic() > deadline:
                raise PartFailed(self.name, reason=f"was not ready after {seconds:g} s", log=self.log)
            time.sleep(0.05)

    def wait(self, *, seconds: float) -> int:
        """Wait for the end and return the exit code; raises PartFailed when it still runs after ``seconds``."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise PartFailed(self.name, reason=f"still ran after {seconds:g} s", log=self.log) from error

    def ask_to_stop(self) -> None:
        """Ask the process to stop, once: a second signal may mean *at once*. Waits for nothing."""
        if self._process is None or self._process.poll() is not None or self._asked is self._process:
            return
        self._asked = self._process
        self.resume()
        self._process.send_signal(self._stop_signal)

    def stop(self, *, grace: float = 20.0) -> None:
        """Ask the process to stop; after ``grace`` seconds kill its whole group. Does nothing when it has ended."""
        if self._process is None or self._process.poll() is not None:
            return
        self.ask_to_stop()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process and its group at once (SIGKILL), as a crash of the machine would."""
        self._signal_group(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """Freeze the process and its group (SIGSTOP): connections stay open, nothing moves."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: signal.Signals) -> None:
        # Only while the leader is unreaped is its group's id certainly still ours.
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


class Stoppable(Protocol):
    """What a stage can hold."""

    def stop(self) -> None:
        """End everything that was started; does nothing when that has happened already."""


StoppableT = TypeVar("StoppableT", bound=Stoppable)


class Stage:
    """Holds parts and stops them in reverse order: at the end, after an exception, after SIGINT, SIGTERM or SIGHUP."""

    def __init__(self) -> None:
        self._parts = ExitStack()
        self._handlers = ExitStack()

    def add(self, part: StoppableT) -> StoppableT:
        """Take over the stopping of ``part``; call it before ``part`` is started, so that a failed start is undone."""
        self._parts.callback(part.stop)
        return part

    def __enter__(self) -> Self:
        for number in _ENDING_SIGNALS:
            self._handlers.callback(signal.signal, number, signal.signal(number, _leave))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An impatient second Ctrl-C must not leave half of the parts behind; every stop has its time limit.
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        try:
            self._parts.close()
        finally:
            self._handlers.close()


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _last_lines(log: Path, *, count: int = 20) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "  (no log was written)"
    return "\n".join(f"  | {line}" for line in lines[-count:]) or "  (the log is empty)"

"""``./run recovery``: how long work stands still when one part is ended by kill -9, at the settings of production.

A light load goes on all the time. Round after round each part is killed and started again one second later, as a
container platform does. What is measured is said by the engine: the time from the kill to the end of the first case
that was started after it and, for a worker, also to the end of the case that the killed one was working on. The last
line is for machines; the exit code is 0 only when nothing was lost or doubled and the targets are met.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stage.engine_rest import EngineRefused
from stage.engines import SANDBOX
from stage.load import Load
from tests.faults.world import World

PER_SECOND = 5.0

RESTARTED_AFTER = 1.0
"""Seconds from the kill until the part is started again."""

TARGETS = {"worker": 20.0, "poller": 20.0}
"""Seconds that the median may take."""

PATIENCE = 180.0
"""Seconds after which a round has failed."""

REST = 20.0
"""Seconds between rounds: every process has kept its heartbeat long enough to judge others again."""


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from the kill: ``resumed`` as defined above, ``caught_up`` until no case of before that is left."""

    resumed: float
    caught_up: float


class Recovery:
    """Kills parts of a world under load."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rounds = 0

    def measure(self, part: str) -> Round:
        """One round. Every round holds a case in the middle of its unit, so that all rounds are alike."""
        self._rounds += 1
        key = f"held-{self._rounds}"
        held = self._world.held(key, "before")
        kill, start = self._handles(part, holder=self._world.part_at(key, "before"))
        killed = time.time()
        kill()
        self._world.recorder.release(key, "before")
        time.sleep(max(0.0, killed + RESTARTED_AFTER - time.time()))
        start()
        return self._resumed(killed, held if part == "worker" else None)

    def _handles(self, part: str, *, holder: str) -> tuple[Callable[[], None], Callable[[], None]]:
        """How to kill a part and how to start it again; ``holder`` is the worker that holds the case."""
        topology = self._world.topology
        match part:
            case "broker":
                return topology.valkey.part.kill, topology.valkey.start
            case "database":
                return topology.postgres.crash, topology.postgres.start
            case "engine":
                return topology.engine.part.kill, topology.engine.launch
        name = {"worker": holder, "poller": self._world.leader(), "beat": "beat"}[part]
        return lambda: self._world.kill(name), lambda: self._world.begin(name)

    def _resumed(self, killed: float, held: str | None) -> Round:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            time.sleep(0.5)
            try:
                round_ = self._look(killed, held)
            except (EngineRefused, OSError):
                continue
            if round_ is not None:
                return round_
        raise AssertionError(f"work did not go on within {PATIENCE:g} s; logs: {self._world.topology.logs}")

    def _look(self, killed: float, held: str | None) -> Round | None:
        """None while there is something to wait for. All times are the engine's, on this machine's clock."""
        rows = self._world.engine.call("GET", "/history/process-instance", query={"unfinished": "true"})
        rows += self._world.engine.call(
            "GET", "/history/process-instance", query={"finishedAfter": _engine_time(killed)}
        )
        ends = {row["id"]: _seconds(row["endTime"]) for row in rows if row["endTime"]}
        first = min((ends[row["id"]] for row in rows if row["id"] in ends and _started(row) > killed), default=None)
        if first is None or (held is not None and held not in ends):
            return None
        resumed = max(first, ends[held]) if held is not None else first
        before = [row["id"] for row in rows if _started(row) <= resumed]
        if any(case not in ends for case in before):
            return None
        return Round(resumed - killed, max(ends[case] for case in before) - killed)


def _started(row: Mapping[str, Any]) -> float:
    return _seconds(row["startTime"])


def _seconds(told: str) -> float:
    return datetime.strptime(told, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def _engine_time(seconds: float) -> str:
    told = datetime.fromtimestamp(seconds).astimezone()
    return f"{told:%Y-%m-%dT%H:%M:%S}.{told.microsecond // 1000:03d}{told:%z}"


def recover(world: World, *, rounds: int, parts: Sequence[str]) -> int:
    """Measure every part ``rounds`` times; prints table and line, answers the exit code."""
    recovery = Recovery(world)
    load = Load(lambda number: world.start(f"load-{number}"), per_second=PER_SECOND)
    load.start()
    told: defaultdict[str, list[Round]] = defaultdict(list)
    try:
        for number in range(1, rounds + 1):
            for part in parts:
                time.sleep(REST)
                measured = recovery.measure(part)
                told[part].append(measured)
                _say(f"round {number}: {part} {measured.resumed:.1f} s, caught up after {measured.caught_up:.1f} s")
    finally:
        load.stop()
    world.repair()
    world.wait("every case has ended", lambda: world.engine.running() == 0, seconds=PATIENCE)
    doubled = [key for key, times in world.recorder.counts().items() if times > 1]
    missing = world.engine.ended() - len(world.recorder.counts())
    print(f"\n{'part':10}{'median':>8}{'least':>8}{'most':>8}{'caught up (median)':>21}{'(most)':>8}   seconds")
    for part, measures in told.items():
        resumed, caught_up = [one.resumed for one in measures], [one.caught_up for one in measures]
        figures = (statistics.median(resumed), min(resumed), max(resumed))
        print(
            f"{part:10}{figures[0]:8.1f}{figures[1]:8.1f}{figures[2]:8.1f}"
            f"{statistics.median(caught_up):21.1f}{max(caught_up):8.1f}"
        )
    medians = {part: statistics.median(one.resumed for one in measures) for part, measures in told.items()}
    print(f"{world.engine.ended()} cases ended, {len(doubled)} effects doubled, {missing} missing")
    print("recovery: " + " ".join(f"{part}={seconds:.1f}" for part, seconds in medians.items()), flush=True)
    met = all(medians[part] <= target for part, target in TARGETS.items() if part in medians)
    return 0 if met and not doubled and not missing else 1


def main(arguments: Sequence[str]) -> int:
    """Read the options, build the world, measure."""
    names = ("worker", "poller", "beat", "broker", "database", "engine")
    parser = argparse.ArgumentParser(prog="./run recovery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each part is killed (default 5)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default 1, the hardest case)")
    parser.add_argument("--pollers", type=int, default=1, help="long-polling workers (default 1, the hardest case)")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--logs", type=Path, help="folder of the logs (default: a temporary one that stays)")
    options = parser.parse_args(arguments)
    logs = options.logs or Path(tempfile.mkdtemp(prefix="bptl-recovery-"))
    _say(f"logs in {logs}")
    built = World.built(logs, workers=options.workers, pollers=options.pollers, product=SANDBOX, defaults=True)
    with built as world:
        return recover(world, rounds=options.rounds, parts=options.parts)


_begun = time.monotonic()


def _say(text: str) -> None:
    print(f"{time.monotonic() - _begun:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

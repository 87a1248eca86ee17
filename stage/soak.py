"""``./run soak``: the whole topology under load while parts of it are killed, stopped, cut off and restarted.

What is counted is said by the engine (cases) and by a recording service (effects), never by BPTL's own tables. The last
line is for machines; the exit code is 0 only when nothing was lost and nothing doubled.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from stage.engine_rest import EngineRefused
from stage.load import Load
from tests.doubles.recorder import Misbehaviour
from tests.faults.world import AWAIT, PAST_THE_LOCK, REGISTER, SEND, World

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
"""Local time of an installation, in which its commands are told times."""

PER_SECOND = 22.0
BETWEEN_FAULTS = (6.0, 14.0)
"""Seconds; every third fault stops a process until its locks have run out."""

MOST_AT_ONCE = 20
"""Tasks of the topic ``register`` that run at the same time."""

CALLING = 0.2
"""Part of the cases that ask for a callback."""

CALLING_SECONDS = 180.0
"""After the last case: how long callbacks may take before they count as lost."""

SETTLING_SECONDS = 240.0
"""After the last fault: how long open cases may take before they count as lost."""


class Watch:
    """Looks twice a second, in a thread of its own, whether cases end.

    ``longest`` is the longest time (s) in which none did though some could; a silent engine ends none.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.longest = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        before, since = -1, time.monotonic()
        while not self._stop.wait(0.5):
            try:
                ended = self._world.engine.ended()
                idle = self._world.engine.running() == len(self._world.engine.incidents())
            except (EngineRefused, OSError):
                ended, idle = before, False
            now = time.monotonic()
            self.longest = max(self.longest, now - since)
            if ended != before or idle:
                before, since = ended, now


class Faults:
    """Strikes at random; what was stopped or killed comes back by itself. Servers are spared on demand."""

    def __init__(self, world: World, source: random.Random, *, of_servers: bool = True) -> None:
        self._world = world
        self._random = source
        self._of_servers = of_servers
        self._repairs: list[tuple[float, str, Callable[[], None]]] = []
        self._absent: set[str] = set()
        self.count = 0

    def strike(self) -> None:
        """One fault; every third is a stop past the lock."""
        if self.count % 3 == 2:
            self._stop_past_the_lock()
        elif not self._of_servers:
            self._kill()
        else:
            self._random.choice(
                (
                    *(self._kill,) * 4,
                    self._database_crashes,
                    self._broker_forgets,
                    self._engine_restarts,
                    self._engine_is_silent,
                    self._engine_refuses,
                    self._answers_are_cut,
                    self._recorder_fails,
                    self._maintenance,
                )
            )()
        self.count += 1

    def repair(self, *, all_of_it: bool = False) -> None:
        """Bring back what is due."""
        now = time.monotonic()
        due = [repair for repair in self._repairs if all_of_it or repair[0] <= now]
        self._repairs = [repair for repair in self._repairs if repair not in due]
        for _, what, repair in due:
            _say(f"  back: {what}")
            repair()

    def _later(self, seconds: float, what: str, repair: Callable[[], None]) -> None:
        self._repairs.append((time.monotonic() + seconds, what, repair))

    def _present(self, *kinds: str) -> str | None:
        """A process of these kinds that runs, if another one of its kind does too."""
        names = [
            name
            for name in self._world.topology.part_names
            if name.startswith(kinds) and name not in self._absent and (name == "beat" or self._others(name))
        ]
        return self._random.choice(names) if names else None

    def _others(self, name: str) -> bool:
        kind = name.partition("-")[0]
        others = {other for other in self._world.topology.part_names if other.startswith(kind)} - {name}
        return bool(others - self._absent)

    def _returns(self, name: str, repair: Callable[[str], None]) -> None:
        repair(name)
        self._absent.discard(name)

    def _kill(self) -> None:
        if name := self._present("work", "poll", "beat"):
            _say(f"kill -9 {name}")
            self._world.kill(name)
            self._absent.add(name)
            self._later(self._random.choice((0.3, 3, 20)), name, lambda: self._returns(name, self._world.begin))

    def _stop_past_the_lock(self) -> None:
        if name := self._present("work", "poll"):
            _say(f"SIGSTOP {name} past the lock")
            self._world.pause(name)
            self._absent.add(name)
            seconds = PAST_THE_LOCK + self._random.choice((0, 10))
            self._later(seconds, name, lambda: self._returns(name, self._world.resume))

    def _database_crashes(self) -> None:
        _say("PostgreSQL crashes")
        self._world.topology.postgres.crash()
        time.sleep(self._random.choice((0, 3)))
        self._world.topology.postgres.start()

    def _broker_forgets(self) -> None:
        _say("the broker restarts without memory")
        self._world.topology.valkey.restart()

    def _engine_restarts(self) -> None:
        _say("the engine restarts")
        self._world.topology.engine.restart()

    def _engine_is_silent(self) -> None:
        _say("the engine is silent")
        self._world.topology.engine.part.pause()
        self._later(self._random.choice((2, 8)), "engine", self._world.topology.engine.part.resume)

    def _engine_refuses(self) -> None:
        status = self._random.choice((500, 503, 401, 429))
        _say(f"the engine answers {status}")
        self._at_the_proxy(r"", status=status, times=100_000)

    def _answers_are_cut(self) -> None:
        path = self._random.choice((r"/complete$", r"/fetchAndLock$", r"/extendLock$", r"/failure$"))
        _say(f"answers of {path} are cut")
        self._at_the_proxy(path, answer="cut", times=5)

    def _recorder_fails(self) -> None:
        how: Misbehaviour = self._random.choice(("cut", "500"))
        _say(f"the service acts and answers {how}")
        self._world.recorder.misbehave_next(5, how)

    def _maintenance(self) -> None:
        _say("a maintenance window of the engine: nothing is fetched")
        of_engine = ("--engine", self._world.topology.engine_name, "--reason", "the soak")
        until = f"{datetime.now(AMSTERDAM) + timedelta(minutes=3):%Y-%m-%dT%H:%M}"
        self._world.topology.bptl("breakers", "open", *of_engine, "--until", until)

        def over() -> None:
            self._world.topology.bptl("breakers", "close", *of_engine)

        self._later(8, "the engine", over)

    def _at_the_proxy(self, path: str, **fault: Any) -> None:
        armed = ExitStack()
        armed.enter_context(self._world.proxy.fault(path, **fault))
        self._later(6, "the way to the engine", armed.close)


@dataclass(frozen=True, slots=True)
class Account:
    """What the witnesses say in the end. ``effects`` counts what happened, ``lost`` cases and effects that did not."""

    started: int
    ended: int
    effects: int
    lost: int
    doubled: int
    uncertain: int


def prepare(world: World) -> None:
    """Limits, and callbacks to the recorder, which is registered for that."""
    ((number,),) = world.rows("SELECT id FROM connections_mapping WHERE topic = %s", REGISTER)
    world.topology.bptl("mappings", "set", str(number), "--most-at-once", str(MOST_AT_ONCE))
    register = ("services", "add", "recorder", "--kind", "orc", "--login", "no_auth", "--no-secret")
    world.topology.bptl(*register, "--url", f"{world.recorder.url}/")


def account(world: World, called_for: Collection[str] = ()) -> Account:
    """Ask the engine and the recorder; ``called_for`` are the cases that asked for a callback."""
    ended, started = world.engine.ended(), world.engine.ended() + world.engine.running()
    parked = {incident["processInstanceId"] for incident in world.engine.incidents()}
    unfinished = world.engine.call("GET", "/history/process-instance", query={"unfinished": "true"})
    uncertain = [row for row in unfinished if row["id"] in parked and row["businessKey"].startswith(SEND)]
    for row in unfinished:
        if row not in uncertain:
            _say(f"not ended: {row['businessKey']} {world.task(row['businessKey'])}")
    counts = Counter(world.recorder.counts())
    open_keys = {row["businessKey"] for row in unfinished}
    doubled = {key: times for key, times in counts.items() if times > 1}
    for key, times in doubled.items():
        _say(f"happened {times} times: {key} {world.task(key)}")
    called = world.recorder.called()
    uncalled = [key for key in called_for if key not in called and key not in open_keys]
    for key in uncalled:
        _say(f"not called: {key} {world.task(key)}")
    without_effect = ended - len(set(counts) - open_keys)
    return Account(
        started=started,
        ended=ended,
        effects=sum(counts.values()),
        lost=len(unfinished) - len(uncertain) + without_effect + len(uncalled),
        doubled=len(doubled),
        uncertain=len(uncertain),
    )


def soak(world: World, *, minutes: float, seed: int) -> int:
    """Load and faults for ``minutes``, then rest until all is told; prints the line, answers the exit code."""
    # A seed repeats the same choices; nothing here is secret.
    faults = Faults(world, random.Random(seed + 1))  # noqa: S311
    watch = Watch(world)
    watch.start()
    try:
        called_for: list[str] = []
        start = partial(start_case, world, random.Random(seed), called_for)  # noqa: S311
        load = Load(start, per_second=PER_SECOND)
        load.start()
        try:
            strike(faults, minutes=minutes, source=random.Random(seed + 2))  # noqa: S311
        finally:
            load.stop()
        world.repair()
        _say("no more faults; waiting until every case has ended or waits for a person")
        deadline = time.monotonic() + SETTLING_SECONDS
        while world.engine.running() > len(world.engine.incidents()) and time.monotonic() < deadline:
            time.sleep(0.5)
        deadline = time.monotonic() + CALLING_SECONDS
        unfinished = world.engine.call("GET", "/history/process-instance", query={"unfinished": "true"})
        awaited = set(called_for) - {row["businessKey"] for row in unfinished}
        while awaited - set(world.recorder.called()) and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        watch.stop()
    told = account(world, called_for)
    print(
        f"soak: minutes={minutes:g} faults={faults.count} started={told.started} ended={told.ended} "
        f"effects={told.effects} lost={told.lost} doubled={told.doubled} uncertain={told.uncertain} "
        f"longest_stall_s={watch.longest:.0f}",
        flush=True,
    )
    return 0 if told.lost == told.doubled == 0 else 1


def start_case(world: World, source: random.Random, called_for: list[str], number: int) -> None:
    """Start a case with or without reconcile, of up to 4 s, or one that waits for an answer for up to 15 s; some ask
    for a callback and are added to ``called_for``. Raises EngineRefused and OSError."""
    topic = source.choices((REGISTER, SEND, AWAIT), weights=(4, 2, 1))[0]
    before, after = (source.choice((0, 0, 0, 0.1, 0.5, 2)) for _ in range(2))
    answer = {"answer": source.choice((0, 0.1, 1, 5, 15))} if topic == AWAIT else {}
    key = f"{topic}-{number}"
    calls = {"callbackUrl": f"{world.recorder.url}/called/{key}"} if source.random() < CALLING else {}
    world.start(key, topic=topic, before=before, after=after, **answer, **calls)
    if calls:
        called_for.append(key)


def strike(
    faults: Faults, *, minutes: float, source: random.Random, between: tuple[float, float] = BETWEEN_FAULTS
) -> None:
    """Strike for ``minutes``, with a random pause of ``between`` (seconds) each time; all of it is repaired then."""
    end = time.monotonic() + minutes * 60
    next_fault = time.monotonic() + source.uniform(*between)
    while time.monotonic() < end:
        faults.repair()
        if time.monotonic() >= next_fault:
            faults.strike()
            next_fault = time.monotonic() + source.uniform(*between)
        time.sleep(0.5)
    faults.repair(all_of_it=True)


def main(arguments: Sequence[str]) -> int:
    """Read the options, build the world, soak it."""
    parser = argparse.ArgumentParser(prog="./run soak", description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="how long faults strike")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000), help="repeats its choices")
    parser.add_argument("--logs", type=Path, help="folder of the logs (default: a temporary one that stays)")
    options = parser.parse_args(arguments)
    logs = options.logs or Path(tempfile.mkdtemp(prefix="bptl-soak-"))
    _say(f"seed {options.seed}, logs in {logs}")
    with World.built(logs, workers=3, pollers=2) as world:
        prepare(world)
        return soak(world, minutes=options.minutes, seed=options.seed)


_begun = time.monotonic()


def _say(text: str) -> None:
    print(f"{time.monotonic() - _begun:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``./run storm``: cases wait while the service that they need is down, then slow, then well; other work goes on.

Three topics need the Zaken API, and their cases wait at a real engine before it goes down. Beside them a topic that
needs nothing has cases all the time. What is counted is said by the engine (cases, incidents, how long a case took) and
by the APIs (what was made); BPTL is asked for one thing only: how many attempts cost a retry. The last line is for
machines; the exit code is 0 only when nothing was lost, doubled or burned, and all was done in time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stage import prometheus, storm_graphs
from stage.engines import OPERATON, SANDBOX
from stage.load import Load
from stage.storm_account import IN_TIME, Account, Storm
from stage.storm_town import MOST_AT_ONCE, OTHER, UNITS, Town

OTHERS_PER_SECOND = 10.0
MADE = {"storm.zaak": "zaken", "storm.rol": "rollen", "storm.status": "statussen"}
"""Topic → the collection in which each of its cases makes one thing."""

CALM_SECONDS = 20.0
"""How long other cases are looked at before the storm, and after it."""

POLL_SECONDS = 7.0
"""A little longer than a long poll of this topology."""


def blow(town: Town, storm: Storm, *, say: Callable[[str], None], look: Callable[[], object] = lambda: None) -> Account:
    """One storm from beginning to end; ``look`` is called about once a second."""
    mappings = [
        str(number) for number, topic in town.query("SELECT id, topic FROM connections_mapping") if topic in UNITS
    ]
    for mapping in mappings:
        town.topology.bptl("mappings", "pause", mapping, "--reason", "the storm is being prepared")
    _pass(POLL_SECONDS, look)  # a poll that was under way would still fetch the first ones
    say(f"{storm.cases} cases wait at the engine")
    before = town.wait_at_the_engine(storm.cases)
    load = Load(lambda number: _other(town, number), per_second=OTHERS_PER_SECOND)
    load.start()
    marks = {"calm": time.time()}
    try:
        _pass(CALM_SECONDS, look)
        say(f"the service is down for {storm.down:g} s")
        town.services.end()
        marks["down"] = time.time()
        for mapping in mappings:
            town.topology.bptl("mappings", "resume", mapping, "--reason", "the storm begins")
        _pass(storm.down, look)
        say(f"the service is slow for {storm.slow:g} s")
        town.services.begin()
        town.services.slow()
        marks["slow"] = time.time()
        _pass(storm.slow, look)
        say("the service is well")
        town.services.well()
        marks["well"] = time.time()
        after = _done(town, storm.cases, since=marks["well"], look=look)
        if after is None:
            say("not all are done")
        else:
            say(f"all are done after {after:.0f} s")
            marks["done"] = marks["well"] + after
        _pass(CALM_SECONDS, look)
    finally:
        load.stop()
    _pass(5.0, look)
    made: Counter[str] = Counter(town.services.double.counts()["made"])
    return _account(town, storm, after=after, marks=marks, made=made - before)


def _other(town: Town, number: int) -> None:
    town.engine.start(OTHER, business_key=f"{OTHER}-{number}", variables={"topic": OTHER})


def _pass(seconds: float, look: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        look()
        time.sleep(min(1.0, left))


def _done(town: Town, cases: int, *, since: float, look: Callable[[], object]) -> float | None:
    while time.time() < since + 3 * IN_TIME:
        if town.engine.ended(key="one-step") >= cases:
            return time.time() - since
        look()
        time.sleep(0.5)
    return None


def _account(
    town: Town, storm: Storm, *, after: float | None, marks: Mapping[str, float], made: Mapping[str, int]
) -> Account:
    ended = town.engine.ended(key="one-step")
    burned = town.query("SELECT count(*) FROM tasks_lease WHERE outcome = 'failed'")[0][0]
    wanted = Counter(MADE[list(UNITS)[number % len(UNITS)]] for number in range(storm.cases))
    return Account(
        ended=ended,
        incidents=len(town.engine.incidents()),
        burned=burned,
        lost=sum(max(0, amount - made.get(what, 0)) for what, amount in wanted.items()),
        doubled=sum(max(0, made.get(what, 0) - amount) for what, amount in wanted.items() if what != "statussen"),
        after=after,
        marks=marks,
        others=by_phase(town.others(), marks),
    )


def by_phase(cases: Sequence[tuple[float, float]], marks: Mapping[str, float]) -> dict[str, list[float]]:
    """The durations of cases (begin, duration) by the phase in which each began; none of before the first mark."""
    found: dict[str, list[float]] = {phase: [] for phase in marks}
    for began, took in cases:
        phases = [phase for phase, mark in marks.items() if mark <= began]
        if phases:
            found[phases[-1]].append(took)
    return found


def main(arguments: Sequence[str]) -> int:
    """Read the options, build the town, let it blow."""
    parser = argparse.ArgumentParser(prog="./run storm", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="cases that wait (default 2000)")
    parser.add_argument("--down", type=float, default=180.0, help="seconds without the service (default 180)")
    parser.add_argument("--slow", type=float, default=120.0, help="seconds of a slow service (default 120)")
    parser.add_argument("--engine", choices=(OPERATON, SANDBOX), default=OPERATON, help="default: operaton")
    limit = f"tasks that need the Zaken API at once (default {MOST_AT_ONCE}; 0: as many as there are places)"
    parser.add_argument("--most-at-once", type=int, default=MOST_AT_ONCE, help=limit)
    parser.add_argument("--logs", type=Path, help="folder of the logs (default: a temporary one that stays)")
    parser.add_argument("--graphs", type=Path, help="folder for pictures of it; needs Prometheus on this machine")
    options = parser.parse_args(arguments)
    if options.graphs:
        try:
            prometheus.program("prometheus")
        except prometheus.Missing as error:
            parser.error(f"--graphs: {error}")
    logs = options.logs or Path(tempfile.mkdtemp(prefix="bptl-storm-"))
    _say(f"logs in {logs}")
    storm = Storm(options.cases, options.down, options.slow)
    settings = prometheus.SETTINGS if options.graphs else None
    built = Town.built(logs, product=options.engine, most_at_once=options.most_at_once, environment=settings)
    with built as town:
        account = _drawn(town, storm, logs, options.graphs) if options.graphs else blow(town, storm, say=_say)
    for fault in account.faults:
        print(f"fault: {fault}")
    print(account.line(storm), flush=True)
    return 1 if account.faults else 0


def _drawn(town: Town, storm: Storm, logs: Path, folder: Path) -> Account:
    """Blow, and leave pictures of it in a folder."""

    def waiting() -> int:
        return storm.cases - town.engine.ended(key="one-step")

    with storm_graphs.watched(town.topology, logs / "prometheus", waiting=waiting) as sky:
        account = blow(town, storm, say=_say, look=sky.look)
        others = town.others()
        moments = {phase: mark for phase, mark in account.marks.items() if phase != "calm"}
        end = max((began for began, _ in others), default=time.time())
        span = storm_graphs.Span(account.marks["calm"], end, moments)
        for file in sky.draw(folder, span, others=others):
            _say(f"drawn: {file}")
    return account


_begun = time.monotonic()


def _say(text: str) -> None:
    print(f"{time.monotonic() - _begun:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

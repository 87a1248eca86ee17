"""``./run bench``: how fast BPTL is and what it costs, beside yardsticks of the same run.

Everything is real: PostgreSQL (durable), Valkey, every process of BPTL; only the engine is a stand-in that costs little
and keeps the times. Runs are alternated; figures are medians of their rounds. The last line is for machines. The exit
code is 1 when a task was lost or doubled, or when the figures cannot be believed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import environment, flame, growth, report, visits
from benchmarks.figures import Figures, Summary, faults, last_line
from benchmarks.load_engine import LoadEngine
from benchmarks.measure import Measured
from benchmarks.runs import ALONE, DEFAULT_QUICK, FULL, IDLE, PAGES, START, profiles
from benchmarks.workers import UNIT_OF_TOPIC, Bptl, NotReady
from stage.assets import AssetsFailed
from stage.processes import PartFailed, Stage
from stage.topology import CommandFailed

IDLE_SECONDS = 45.0
NAMES = tuple(profiles(quick=True, service_url=""))

_begun = time.monotonic()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    options = _options(arguments)
    logs = options.logs or Path(tempfile.mkdtemp(prefix="bptl-bench-"))
    _say(f"logs in {logs}")
    try:
        if options.profile == [FULL]:
            return growth.run(options, logs, _say)
        if options.profile == [PAGES]:
            return visits.run(options, logs, _say)
        environment.prepare()
        with Stage() as stage:
            engine = LoadEngine(log=logs / "engine.log")
            bptl = stage.add(Bptl(logs, engine))
            _say("starting PostgreSQL, Valkey, the load engine and every process of BPTL")
            bptl.start(unit_of_topic=UNIT_OF_TOPIC)
            return bench(Measured(bptl, engine), options)
    except (PartFailed, CommandFailed, NotReady, AssetsFailed, environment.NotInstalled, flame.NotRecorded) as error:
        print(f"the benchmark failed: {error}", file=sys.stderr)
        return 1


def bench(measured: Measured, options: argparse.Namespace) -> int:
    """All rounds, then what they say."""
    chosen = profiles(quick=options.quick, service_url=measured.engine.service_url)
    names = options.profile or (DEFAULT_QUICK if options.quick else NAMES)
    found: dict[str, list[Figures]] = defaultdict(list)
    others: dict[str, list[float]] = defaultdict(list)
    for number in range(1, options.rounds + 1):
        for run in (run for name in names for run in chosen[name] if run.every_round or number == 1):
            figures = measured.run(run)
            found[run.name].append(figures)
            _say(f"round {number}: {run.name}: {figures.rate:,.0f} tasks/s, p50 {figures.p50:,.1f} ms")
        if IDLE in names and number == 1:
            _add(others, measured.idle(seconds=IDLE_SECONDS))
        if START in names:
            _add(others, measured.start())
    memory, shared_out = measured.memory(), measured.memory_shared_out()
    if options.flame:
        _say(f"recording {options.flame_part} into {options.flame}")
        count = 5_000 if options.quick else 20_000
        flame.record(measured, options.flame, part=options.flame_part, count=count, gil=options.flame_gil)
    summaries = {name: Summary(name, tuple(rounds)) for name, rounds in found.items()}
    report.show(summaries, others, memory, shared_out=shared_out)
    wrong = faults(summaries)
    if options.json:
        told = report.everything(summaries, others, memory, shared_out=shared_out, quick=options.quick, wrong=wrong)
        options.json.write_text(json.dumps(told, indent=2))
        _say(f"wrote {options.json}")
    for reason in wrong:
        print(f"not valid: {reason}")
    print(last_line(summaries), flush=True)
    return 1 if wrong else 0


def _add(others: dict[str, list[float]], figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        others[name].append(value)
        _say(f"{name}: {value:.2f}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tasks, less than two minutes")
    parser.add_argument(
        "--profile",
        nargs="+",
        choices=(*NAMES, *ALONE),
        metavar="NAME",
        help=f"{', '.join(NAMES)} (default: all; quick: {', '.join(DEFAULT_QUICK)}), or alone: {', '.join(ALONE)}",
    )
    parser.add_argument("--rounds", type=int, default=3, help="times that each run is repeated (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds into it")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="record a worker: FILE.svg, or FILE.txt for stacks")
    parser.add_argument("--flame-part", default="work-1", metavar="NAME", help="what to record (default work-1)")
    parser.add_argument("--flame-gil", action="store_true", help="count only the thread that holds the interpreter")
    parser.add_argument("--logs", type=Path, help="folder of the logs (default: a temporary one that stays)")
    parser.add_argument(
        "--finished",
        type=int,
        metavar="N",
        help=f"finished tasks of {' and '.join(f'{name} (default {count:,})' for name, count in ALONE.items())}",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="fill the tables of these in DIR, and no more")
    parser.add_argument("--reuse", type=Path, metavar="DIR", help="measure these with the tables that DIR keeps")
    options = parser.parse_args(arguments)
    alone = [name for name in options.profile or () if name in ALONE]
    if alone and len(options.profile) > 1:
        parser.error(f"{alone[0]} is measured alone")
    if alone and options.finished is None:
        options.finished = ALONE[alone[0]]
    return options


def _say(text: str) -> None:
    print(f"{time.monotonic() - _begun:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""``./run demo``: a whole BPTL on this machine, working on building permits of a real engine.

With ``--headless`` it starts some cases on fresh data, waits until all have ended in the engine, and says what became
of them in its last line. Without, it keeps its data in .demo and goes on until Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stage import sample
from stage.engine_rest import EngineRefused
from stage.environment import fresh_secrets
from stage.maven import JavaMissing
from stage.postgres import connect
from stage.processes import PartFailed, Stage
from stage.tally import Tally
from stage.topology import CommandFailed, Topology

HOME = Path(__file__).resolve().parent.parent / ".demo"
ADMINISTRATOR = "admin"
SECONDS_BETWEEN_CASES = 4.0

_began = time.monotonic()


class CasesUnfinished(Exception):
    """Not all cases ended in time; the message says where they are and where to look."""

    def __init__(self, *, cases: int, tally: Tally, incidents: Sequence[str], seconds: float, logs: Path) -> None:
        self.cases = cases
        self.tally = tally
        lines = [f"after {seconds:g} s not all is done: {tally.line(cases)}", *tally.open_lines()]
        lines += [f"  incident at the engine: {text}" for text in incidents]
        super().__init__("\n".join([*lines, f"  logs: {logs}"]))


@dataclass(frozen=True, slots=True)
class Kept:
    """The secrets that belong to kept data: without them the engine's stored password could not be read again."""

    environment: dict[str, str]
    engine: str
    administrator: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code."""
    options = _options(arguments)
    if options.reset:
        shutil.rmtree(HOME, ignore_errors=True)
    try:
        return headless(options) if options.headless else interactive(options)
    except (PartFailed, CommandFailed, JavaMissing, EngineRefused, CasesUnfinished, OSError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1


def headless(options: argparse.Namespace) -> int:
    """Fresh data, a number of cases, one line about them; 0 only if all ended and no task was lost."""
    logs = _empty_logs("headless")
    with Stage() as stage:
        topology = stage.add(
            Topology(logs, workers=options.workers, engine_password=secrets.token_urlsafe(16), say=_say)
        )
        _prepare(topology)
        _say(f"starting {options.cases} cases of {sample.PROCESS}")
        for number in range(1, options.cases + 1):
            _start_case(topology, number)
        tally = _wait_until_done(topology, cases=options.cases, seconds=options.timeout)
    print(tally.line(options.cases))
    return 0 if tally.ended == options.cases and tally.lost == 0 else 1


def interactive(options: argparse.Namespace) -> int:
    """Kept data, a new case every few seconds until Ctrl-C."""
    logs = _empty_logs("interactive")
    kept = kept_secrets(HOME / "secrets.json")
    with Stage() as stage:
        topology = stage.add(
            Topology(
                logs,
                directory=HOME,
                workers=options.workers,
                secrets=kept.environment,
                engine_password=kept.engine,
                say=_say,
            )
        )
        _prepare(topology)
        _make_administrator(topology, kept.administrator)
        print(f"\n  BPTL    {topology.web_url}   {ADMINISTRATOR} / {kept.administrator}")
        print(f"  engine  {topology.engine.url}   demo / demo")
        print(f"  logs    {logs}\n\nA new case every {SECONDS_BETWEEN_CASES:g} s; Ctrl-C ends the demo.\n", flush=True)
        number = int(topology.engine.rest.call("GET", "/history/process-instance/count")["count"])
        while True:
            topology.check()
            number += 1
            try:
                _start_case(topology, number)
                _say(f"started case {sample.business_key(number)}")
            except (EngineRefused, OSError) as error:
                # Whoever tries out what happens when the engine is away must not lose the demo.
                _say(f"case {sample.business_key(number)} could not be started: {error}")
            time.sleep(SECONDS_BETWEEN_CASES)


def _prepare(topology: Topology) -> None:
    topology.start(unit_of_topic=sample.UNIT_OF_TOPIC)
    _say(f"deploying {sample.MODEL.name} as the engine's administrator")
    topology.engine.rest.deploy(sample.MODEL)


def _start_case(topology: Topology, number: int) -> None:
    topology.engine.rest.start(
        sample.PROCESS, variables=sample.variables(number), business_key=sample.business_key(number)
    )


def _wait_until_done(topology: Topology, *, cases: int, seconds: float) -> Tally:
    deadline = time.monotonic() + seconds
    said = -1
    while True:
        topology.check()
        ended = topology.engine.rest.ended(key=sample.PROCESS)
        if ended != said:
            said = ended
            _say(f"{ended} of {cases} cases ended")
        late = time.monotonic() > deadline
        if late or ended >= cases:
            tally = Tally.of(topology, sample.PROCESS)
            if tally.running == 0 and tally.final:
                return tally
            if late:
                raise _unfinished(topology, tally, cases=cases, seconds=seconds)
        time.sleep(0.2)


def _unfinished(topology: Topology, tally: Tally, *, cases: int, seconds: float) -> CasesUnfinished:
    incidents = [f"{row['activityId']}: {row['incidentMessage']}" for row in topology.engine.rest.incidents()]
    return CasesUnfinished(cases=cases, tally=tally, incidents=incidents, seconds=seconds, logs=topology.logs)


def _make_administrator(topology: Topology, password: str) -> None:
    with connect(topology.postgres.environment()) as connection:
        known = connection.execute("SELECT 1 FROM accounts_user WHERE username = %s", [ADMINISTRATOR]).fetchone()
    if known is None:
        login = {"USERNAME": ADMINISTRATOR, "PASSWORD": password, "EMAIL": "admin@bptl.example"}
        environment = {f"DJANGO_SUPERUSER_{name}": value for name, value in login.items()}
        topology.bptl("manage", "createsuperuser", "--no-input", environment=environment)


def kept_secrets(path: Path) -> Kept:
    """The secrets of this file, made at the first call."""
    if not path.exists():
        made = Kept(fresh_secrets(), secrets.token_urlsafe(16), secrets.token_urlsafe(9))
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(made), indent=2))
    return Kept(**json.loads(path.read_text()))


def _empty_logs(name: str) -> Path:
    logs = HOME / "logs" / name
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    return logs


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__)
    parser.add_argument("--headless", action="store_true", help="fresh data, some cases, one line about them, end")
    parser.add_argument("--cases", type=int, default=20, help="cases of a headless demo (default 20)")
    parser.add_argument("--engine", choices=["operaton"], default="operaton", help="the engine (default operaton)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for its cases (default 300)")
    parser.add_argument("--reset", action="store_true", help="forget what earlier demos kept in .demo")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(f"{time.monotonic() - _began:6.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""``./run demo``: a whole BPTL on this machine, working on building permits of an engine that is started for it.

Every fourth case is a whole one: a zaak in the ZGW APIs that gets its rol, statussen, document, besluit and mail, and
is closed. The APIs and the mail server are the doubles of the tests.

With ``--headless`` it starts some cases on fresh data, waits until all have ended in the engine, and says what became
of them in its last line. Without, it keeps its data in .demo and goes on until Ctrl-C; now and then a case needs
somebody. The colleague whom the model asks for advice is the demo itself.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from stage import engines, sample, zaak
from stage.engine_rest import EngineRefused
from stage.environment import fresh_secrets
from stage.maven import JavaMissing
from stage.neighbours import Neighbours
from stage.postgres import connect
from stage.processes import PartFailed, Stage
from stage.tally import Tally
from stage.topology import CommandFailed, Topology

HOME = Path(__file__).resolve().parent.parent / ".demo"
LOCK = "lock"
ADMINISTRATOR = "admin"
WEB_PORT = 8000
"""Where the pages are, so that a bookmark stays good, unless somebody else listens there."""
ZGW_PORT = 8020
"""Where the ZGW APIs are, so that the addresses in cases of an earlier demo stay good."""
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


class DemoRunning(Exception):
    """Another demo works with the same data."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(f"a demo works with {home} already; end that one first")


@dataclass(frozen=True, slots=True)
class Kept:
    """The secrets that belong to kept data: without them the engine's stored password could not be read again."""

    environment: dict[str, str]
    engine: str
    administrator: str
    zgw: str

    @classmethod
    def fresh(cls) -> Self:
        """New ones."""
        return cls(fresh_secrets(), secrets.token_urlsafe(16), secrets.token_urlsafe(9), secrets.token_urlsafe(32))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code."""
    options = _options(arguments)
    home: Path = options.home
    home.mkdir(parents=True, exist_ok=True)
    try:
        if options.reset:
            with _alone(home):
                _say(f"forgetting what {home} kept")
                for path in set(home.iterdir()) - {home / LOCK}:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        if options.headless:
            return headless(options)
        with _alone(home):
            return interactive(options)
    except (PartFailed, CommandFailed, JavaMissing, EngineRefused, CasesUnfinished, DemoRunning, OSError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1


def headless(options: argparse.Namespace) -> int:
    """Fresh data, a number of cases, one line about them; 0 only if all ended and no task was lost."""
    logs = _empty_logs(options.home, "headless")
    fresh = Kept.fresh()
    with Stage() as stage:
        neighbours = stage.add(Neighbours(logs, directory=logs, secret=fresh.zgw))
        topology = stage.add(
            Topology(
                logs,
                product=options.engine,
                diagrams=True,
                workers=options.workers,
                engine_password=fresh.engine,
                environment=neighbours.settings,
                say=_say,
            )
        )
        _prepare(topology, neighbours)
        _say(f"starting {options.cases} cases, every {zaak.EVERY}th a zaak")
        for number in range(1, options.cases + 1):
            _start_case(topology, number, sample.variables(number))
        tally = _wait_until_done(topology, cases=options.cases, seconds=options.timeout)
        _say(f"in the ZGW APIs: {neighbours.line()}")
    print(tally.line(options.cases))
    return 0 if tally.ended == options.cases and tally.lost == 0 else 1


def interactive(options: argparse.Namespace) -> int:
    """Kept data, a new case every few seconds until Ctrl-C."""
    logs = _empty_logs(options.home, "interactive")
    home = options.home / options.engine
    home.mkdir(exist_ok=True)
    kept = kept_secrets(home / "secrets.json")
    with Stage() as stage:
        neighbours = stage.add(Neighbours(logs, directory=home, secret=kept.zgw, port=ZGW_PORT))
        topology = stage.add(
            Topology(
                logs,
                directory=home,
                product=options.engine,
                diagrams=True,
                web_port=WEB_PORT,
                workers=options.workers,
                secrets=kept.environment,
                engine_password=kept.engine,
                environment=neighbours.settings,
                say=_say,
            )
        )
        _prepare(topology, neighbours)
        _make_administrator(topology, kept.administrator)
        print(f"\n  BPTL    {topology.web_url}   {ADMINISTRATOR} / {kept.administrator}")
        print(f"  engine  {topology.engine.url}   demo / demo   ({options.engine})")
        print(f"  zaken   {neighbours.url}   mail in {neighbours.mail}")
        print(
            f"  command {_write_command(topology, options.home / 'bptl')} tasks list   (and every other verb of bptl)"
        )
        print(f"  logs    {logs}\n\nA new case every {SECONDS_BETWEEN_CASES:g} s; Ctrl-C ends the demo.\n", flush=True)
        number = _last_case(topology)
        while True:
            topology.check()
            neighbours.check()
            number += 1
            try:
                _start_case(topology, number, sample.watched_variables(number))
                _say(f"started case {sample.business_key(number)}; {_progress(topology)}")
            except (EngineRefused, OSError) as error:
                # Whoever tries out what happens when the engine is away must not lose the demo.
                _say(f"case {sample.business_key(number)} could not be started: {error}")
            _wait_as_colleague(topology, SECONDS_BETWEEN_CASES)


def _prepare(topology: Topology, neighbours: Neighbours) -> None:
    _say("starting the ZGW APIs and a mail server")
    neighbours.start()
    topology.start(unit_of_topic=sample.UNIT_OF_TOPIC)
    file = topology.logs / "zaak.yaml"
    _say(f"bptl configure {file}")
    # JSON is YAML too.
    file.write_text(json.dumps(zaak.configuration(topology.engine_name, roots=neighbours.roots), indent=2))
    topology.bptl("configure", str(file), environment=neighbours.credentials)
    for model in (sample.MODEL, zaak.MODEL):
        _say(f"deploying {model.name} as the engine's administrator")
        topology.engine.rest.deploy(model)


def _write_command(topology: Topology, path: Path) -> Path:
    """A ``bptl`` that talks to this demo; for its owner only, because it holds the secrets."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o700)
    settings = [f"export {name}={shlex.quote(value)}" for name, value in topology.environment.items()]
    path.write_text("\n".join(["#!/bin/sh", *settings, f'exec {shlex.quote(sys.executable)} -m bptl "$@"', ""]))
    return path


def _start_case(topology: Topology, number: int, variables: Mapping[str, Any]) -> None:
    """Every fourth is a zaak; ``variables`` are for the others."""
    rest, key = topology.engine.rest, sample.business_key(number)
    if number % zaak.EVERY == 0:
        rest.start(zaak.PROCESS, variables=zaak.variables(number), business_key=key)
    else:
        rest.start(sample.PROCESS, variables=variables, business_key=key)


def _last_case(topology: Topology) -> int:
    """How many cases the kept data hold: their numbers go on."""
    return int(topology.engine.rest.call("GET", "/history/process-instance/count")["count"])


def _progress(topology: Topology) -> str:
    rest = topology.engine.rest
    text = f"{rest.ended()} ended, {rest.running()} running"
    incidents = len(rest.incidents())
    return f"{text}, {incidents} with an incident: see {topology.web_url}" if incidents else text


def _wait_as_colleague(topology: Topology, seconds: float) -> None:
    """Wait, and meanwhile answer what a colleague is asked."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        with suppress(EngineRefused, OSError):
            if answered := sample.answer_as_colleague(topology.engine.rest):
                _say(f"the colleague has answered {answered} question{'s' if answered > 1 else ''}")
            if decided := zaak.decide(topology.engine.rest):
                _say(f"the colleague has decided {decided} {'zaken' if decided > 1 else 'zaak'}")
        time.sleep(min(1.0, left))


def _wait_until_done(topology: Topology, *, cases: int, seconds: float) -> Tally:
    deadline = time.monotonic() + seconds
    said = -1
    while True:
        topology.check()
        ended = topology.engine.rest.ended()
        if ended != said:
            said = ended
            _say(f"{ended} of {cases} cases ended")
        late = time.monotonic() > deadline
        if late or ended >= cases:
            tally = Tally.of(topology)
            if tally.running == 0 and tally.final:
                return tally
            if late:
                raise _unfinished(topology, tally, cases=cases, seconds=seconds)
        _wait_as_colleague(topology, 0.2)


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
    """The secrets of this file, made at the first call; what an older demo did not know yet is added."""
    known = json.loads(path.read_text()) if path.exists() else {}
    made = Kept(**(asdict(Kept.fresh()) | known))
    if asdict(made) != known:
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(made), indent=2))
    return made


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the data; raises DemoRunning when somebody else does."""
    with (home / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoRunning(home) from error
        yield


def _empty_logs(home: Path, name: str) -> Path:
    logs = home / "logs" / name
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    return logs


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__)
    parser.add_argument("--headless", action="store_true", help="fresh data, some cases, one line about them, end")
    parser.add_argument("--cases", type=int, default=20, help="cases of a headless demo (default 20)")
    parser.add_argument(
        "--engine",
        choices=engines.PRODUCTS,
        default=engines.SANDBOX,
        help="the engine (default sandbox; operaton needs Java and Maven)",
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for its cases (default 300)")
    parser.add_argument("--reset", action="store_true", help="forget what earlier demos kept")
    parser.add_argument("--home", type=Path, default=HOME, help="where data and logs are kept (default .demo)")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(f"{time.monotonic() - _began:6.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

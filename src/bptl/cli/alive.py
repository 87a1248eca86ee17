"""``bptl alive``: does the process of this container still turn? For health checks: cheap, and without Django.

It asks the process only, never the database or the broker: an outage there must not have the whole fleet restarted.
"""

from __future__ import annotations

import http.client
import os
import time
from itertools import pairwise
from pathlib import Path

import click

KINDS = ("web", "poll", "work", "beat", "flower")
LATEST_SECONDS = 60
"""Loops turn every few seconds, and go on turning, with pauses of at most half a minute, while the database is away."""

_PROCESSES = Path("/proc")
_ANSWER_SECONDS = 5


@click.command()
@click.argument("kind", required=False, type=click.Choice(KINDS))
def alive(kind: str | None) -> None:
    """Exit with 0 when the process in this container lives; KIND is found in /proc when it is not said.

    web and flower must answer over HTTP; poll, work and beat must have touched BPTL_ALIVE_FILE in the last minute.
    """
    kind = kind or running(_PROCESSES)
    if kind is None:
        raise click.ClickException(f"no bptl {' | '.join(KINDS)} runs here")
    # Read here and not from the settings, which would load Django every time somebody asks.
    if kind == "web":
        told = _unanswered(port=_port("UWSGI_PORT", 8000), path="/live", worst=200)
    elif kind == "flower":
        # Without a login this page says OK; should it ask for one, Flower lives all the same.
        prefix = os.environ.get("FLOWER_URL_PREFIX", "").strip().strip("/")
        path = f"/{prefix}/healthcheck" if prefix else "/healthcheck"
        told = _unanswered(port=_port("FLOWER_PORT", 5555), path=path, worst=499)
    else:
        told = _stale(os.environ.get("BPTL_ALIVE_FILE", ""))
    if told:
        raise click.ClickException(f"{kind}: {told}")
    click.echo(f"{kind} lives")


def running(processes: Path) -> str | None:
    """The kind of the first process in ``processes`` (such as /proc) that is one of ours; None when there is none."""
    folders = sorted((path for path in processes.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    for folder in folders:
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # It ended meanwhile, or is somebody else's.
        for program, verb in pairwise(words):
            if Path(program).name == "bptl":
                if verb in KINDS:
                    return verb
                break
    return None


def _port(name: str, default: int) -> int:
    said = os.environ.get(name, "").strip()
    # What is no number was set by Kubernetes for a service of that name: the settings pass it over too.
    return int(said) if said.isdigit() else default


def _unanswered(*, port: int, path: str, worst: int) -> str:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        asked.request("GET", path)
        status = asked.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"port {port} does not answer: {error}"
    finally:
        asked.close()
    return "" if status <= worst else f"port {port} answers {status}"


def _stale(file_name: str) -> str:
    if not file_name:
        return "BPTL_ALIVE_FILE is not set, so its loop cannot be watched"
    try:
        age = time.time() - Path(file_name).stat().st_mtime
    except OSError as error:
        return f"its loop has not turned yet: {error}"
    return "" if age <= LATEST_SECONDS else f"its loop last turned {age:.0f} s ago"

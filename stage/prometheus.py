"""A real Prometheus that reads the processes of a topology, and what the files in deploy/ ask of it."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from stage.ports import HOST, free_port
from stage.probes import answers
from stage.processes import Part
from stage.topology import Topology

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARD = DEPLOY / "grafana" / "bptl.json"

SETTINGS = {"BPTL_METRICS_ADDRESS": f"{HOST}:0", "BPTL_LOG_FORMAT": "json"}
"""With these every process of a topology takes a free port for its metrics, and says which one in its log."""

_WORDS = {
    *("and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"),
}
_LEFT_OUT = re.compile(
    r'"(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)'
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b")
_DURATION = re.compile(r"\boffset\s+\w+|\b\d+(?:\.\d+)?\w*")


class Missing(Exception):
    """Prometheus is not on this machine; the message says what to install."""


class Refused(Exception):
    """Prometheus did not answer a question; the message shows the error that it tells."""


@dataclass(frozen=True)
class Expression:
    """Something that is asked of Prometheus, and by which panel or alert."""

    where: str
    text: str

    @property
    def names(self) -> set[str]:
        """The metrics that it names, without what histograms add to their names."""
        bare = re.sub(r"\b\w+\s*\(", "(", _DURATION.sub(" ", _LEFT_OUT.sub(" ", self.text)))
        found = {name for name in _NAME.findall(bare) if name not in _WORDS}
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def program(name: str) -> str:
    """Where ``prometheus`` or ``promtool`` is; raises Missing."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is missing (Debian and Ubuntu: apt-get install prometheus)")
    return found


def panels() -> list[Mapping[str, Any]]:
    """The panels of the dashboard, rows included."""
    found: list[Mapping[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def alerts() -> list[Mapping[str, Any]]:
    """The alerts of the rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def filled(text: str, *, interval: str = "1m") -> str:
    """A panel's expression as Grafana asks it: all engines, all topics, rates over ``interval``."""
    for variable, value in {"$__rate_interval": interval, "$engine": ".*", "$topic": ".*"}.items():
        text = text.replace(variable, value)
    return text


def expressions() -> Iterator[Expression]:
    """All that dashboard and rules ask, as Grafana and Prometheus would."""
    for panel in panels():
        for target in panel.get("targets", ()):
            yield Expression(f"panel {panel['title']} {target['refId']}", filled(target["expr"]))
    for alert in alerts():
        yield Expression(f"alert {alert['alert']}", alert["expr"])


class Prometheus:
    """Its HTTP API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer; raises Refused."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(f"{path} {query}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression answers now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def number(self, expression: str) -> float:
        """The one value of an expression; 0 when there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else 0.0

    def over(self, expression: str, *, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of an expression between two times (epoch seconds), each with ``metric`` and ``values``."""
        times = {"start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        found: list[dict[str, Any]] = self.ask("query_range", query=expression, **times)["result"]
        return found

    def up(self) -> Collection[str]:
        """The targets that were read."""
        active = self.ask("targets", state="active")["activeTargets"]
        return {target["discoveredLabels"]["__address__"] for target in active if target["health"] == "up"}


def ports(topology: Topology) -> dict[str, int]:
    """Where each process of a running topology with these SETTINGS tells its metrics, by its name."""
    return {name: _port(topology.part(name).log) for name in topology.part_names}


def _port(log: Path) -> int:
    (said,) = [line for line in log.read_text().splitlines() if '"metrics.served"' in line]
    return int(json.loads(said)["port"])


@contextmanager
def watching(folder: Path, targets: Iterable[str]) -> Iterator[Prometheus]:
    """Prometheus with our rules, which reads these addresses every second."""
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "bptl", "static_configs": [{"targets": sorted(targets)}]}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    part = Part("prometheus", command, log=folder / "prometheus.log")
    part.start()
    try:
        prometheus = Prometheus(port)
        part.wait_until(lambda: answers(f"{prometheus.url}/-/ready"), seconds=60)
        yield prometheus
    finally:
        part.stop()

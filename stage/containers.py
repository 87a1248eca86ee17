"""Podman and podman-compose, also where there is no Docker engine, no systemd and no cgroup to delegate.

    podman = Podman()
    compose = Compose(podman, project="try", environment={...})
    compose.up("postgres", "redis", "web")
    podman.healthy("try_web_1")
    compose.down()

Everything lives in one folder of its own (``~/.cache/bptl-stage``), beside whatever else uses Podman on the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bptl-stage"

# cgroupfs and runc work without systemd; crun refuses there. Without the limits setrlimit is refused.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"

[network]
network_backend = "netavark"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
_STORAGE_CONF = """\
[storage]
driver = "vfs"
graphroot = "{home}/storage"
runroot = "/run/bptl-stage"
"""


class ContainersFailed(Exception):
    """A command of Podman, Buildah or podman-compose ended with an error; the message shows the end of its output."""

    def __init__(self, command: Sequence[str], *, exit_code: int, output: str) -> None:
        self.command = tuple(command)
        self.exit_code = exit_code
        self.output = output
        tail = "\n".join(output.splitlines()[-40:])
        super().__init__(f"{' '.join(command)} ended with exit code {exit_code}\n{tail}")


class Podman:
    """Podman with its own configuration and storage; ``environment`` does the same for every tool of its family."""

    def __init__(self, home: Path = HOME) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        configurations = {"containers.conf": _CONTAINERS_CONF, "storage.conf": _STORAGE_CONF.format(home=home)}
        for name, text in configurations.items():
            if not (home / name).exists() or (home / name).read_text() != text:
                (home / name).write_text(text)
        self.environment = {
            "CONTAINERS_CONF": str(home / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
        }

    def __call__(self, *arguments: str) -> str:
        """Run ``podman ARGUMENTS`` and return its standard output; raises ContainersFailed."""
        return self.tool("podman", *arguments)

    def tool(self, *command: str, environment: Mapping[str, str] | None = None, seconds: float | None = None) -> str:
        """Run a tool of Podman's family to its end and return its standard output; raises ContainersFailed."""
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **self.environment, **(environment or {})},
            timeout=seconds,
        )
        if done.returncode != 0:
            raise ContainersFailed(command, exit_code=done.returncode, output=done.stdout + done.stderr)
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """What Podman knows of a container or image; raises ContainersFailed when it knows none of that name."""
        found: dict[str, Any] = json.loads(self("inspect", name))[0]
        return found

    def healthy(self, container: str) -> bool:
        """Run the container's health check once (without systemd it never runs by itself) and answer its verdict."""
        try:
            self("healthcheck", "run", container)
        except ContainersFailed:
            return False
        return True

    def exit_code(self, container: str) -> int:
        """With what an ended container ended: 137 when it was killed."""
        return int(self.inspect(container)["State"]["ExitCode"])

    def logs(self, container: str) -> str:
        """What the container wrote, both streams."""
        done = subprocess.run(
            ["podman", "logs", container],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self.environment},
        )
        return done.stdout


class Compose:
    """One project of ``docker-compose.yml``; ``environment`` gives its variables.

    Containers are called ``PROJECT_SERVICE_NUMBER``. ``profiles`` are switched on, ``files`` add to what the file says.
    """

    def __init__(
        self,
        podman: Podman,
        *,
        project: str,
        environment: Mapping[str, str],
        profiles: Sequence[str] = (),
        files: Sequence[Path] = (),
    ) -> None:
        self.podman = podman
        self.project = project
        self._environment = dict(environment)
        # No .env of somebody who tries the file by hand may change what is tried here.
        program = Path(sys.executable).with_name("podman-compose")
        self._command = [str(program), "--env-file", os.devnull, "-p", project]
        for profile in profiles:
            self._command += ["--profile", profile]
        if files:
            for file in (ROOT / "docker-compose.yml", *files):
                self._command += ["-f", str(file)]

    def up(self, *services: str, scale: tuple[str, int] | None = None) -> None:
        """Start ``services`` (default: all) without waiting until they are ready; raises ContainersFailed.

        With ``scale`` one service runs so often and every other once: podman-compose takes no more than one number.
        """
        scaled = [f"--scale={scale[0]}={scale[1]}"] if scale else []
        self("up", "-d", *scaled, *services)

    def down(self) -> None:
        """End and remove every container, network and volume of the project; raises ContainersFailed."""
        # podman-compose leaves a container behind that is just being started again, and Podman itself one that ends in
        # the moment in which it is killed: that one goes at the next try.
        for last_try in (False, False, True):
            left = self.containers()
            if not left:
                break
            try:
                self.podman("rm", "-f", "-v", "--depend", "-t", "2", *left)
            except ContainersFailed:
                if last_try:
                    raise
        self("down", "-v")

    def __call__(self, *arguments: str) -> str:
        """Run ``podman-compose ARGUMENTS`` for this project; raises ContainersFailed."""
        return self.podman.tool(*self._command, *arguments, environment=self._environment)

    def name(self, service: str, number: int = 1) -> str:
        """The container's name."""
        return f"{self.project}_{service}_{number}"

    def containers(self) -> list[str]:
        """The names of all containers of the project, running or ended."""
        label = f"label=io.podman.compose.project={self.project}"
        return self.podman("ps", "-a", "--filter", label, "--format", "{{.Names}}").split()

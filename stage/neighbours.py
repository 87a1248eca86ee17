"""What a municipality has beside its engine: the ZGW APIs and a mail server, here the doubles of the tests."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stage.ports import HOST, free_port
from stage.probes import answers, listens
from stage.processes import Part, PartFailed

CLIENT = "bptl"
SECRET = "ZGW_SECRET"  # noqa: S105 - the name of a variable
"""The environment variable that holds the client's secret, at both ends."""

_ROOT = Path(__file__).resolve().parent.parent
_PATHS = {"zrc": "zaken", "ztc": "catalogi", "drc": "documenten", "brc": "besluiten"}
_COUNTS = "/_double/counts"


class Neighbours:
    """Two processes on 127.0.0.1. ``directory`` keeps the zaken and the mail; ``port`` is taken when it is free."""

    def __init__(self, logs: Path, *, directory: Path, secret: str, port: int | None = None) -> None:
        self.mail = directory / "mail"
        self._port, self._mail_port = free_port(wanted=port), free_port()
        self._secret = secret
        data = directory / "zgw.json"
        self._zgw = Part(
            "the ZGW APIs",
            [*_python("tests.doubles.zgw"), "--port", str(self._port), "--secret-env", SECRET, "--data", str(data)],
            log=logs / "zgw.log",
            environment={**os.environ, SECRET: secret},
            directory=_ROOT,
        )
        self._smtp = Part(
            "the mail server",
            [*_python("tests.doubles.mailbox"), "--port", str(self._mail_port), "--folder", str(self.mail)],
            log=logs / "mail.log",
            directory=_ROOT,
        )

    @property
    def url(self) -> str:
        """Where the APIs are."""
        return f"http://{HOST}:{self._port}"

    @property
    def roots(self) -> Mapping[str, str]:
        """The roots of the APIs, by the word that services have for them."""
        return {alias: f"{self.url}/{name}/api/v1/" for alias, name in _PATHS.items()}

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings with which BPTL finds the mail server."""
        return {
            "EMAIL_HOST": HOST,
            "EMAIL_PORT": str(self._mail_port),
            "DEFAULT_FROM_EMAIL": "bptl@gemeente.example",
        }

    @property
    def credentials(self) -> Mapping[str, str]:
        """The environment of whoever is to read the secret."""
        return {SECRET: self._secret}

    def start(self) -> None:
        """Start both and wait until they answer; raises PartFailed."""
        for part in (self._zgw, self._smtp):
            part.start()
        self._zgw.wait_until(lambda: answers(self.url + _COUNTS), seconds=30)
        self._smtp.wait_until(lambda: listens(self._mail_port), seconds=30)

    def stop(self) -> None:
        """Stop both."""
        for part in (self._smtp, self._zgw):
            part.stop(grace=10)

    def check(self) -> None:
        """Raise PartFailed when one has ended."""
        for part in (self._zgw, self._smtp):
            if not part.running:
                raise PartFailed(part.name, reason=f"ended with exit code {part.exit_code}", log=part.log)

    def line(self) -> str:
        """What was done there: zaken, what hangs below them, mail. Raises OSError."""
        with urllib.request.urlopen(self.url + _COUNTS, timeout=5) as answer:
            counts: dict[str, Any] = json.load(answer)
        made = {name: counts["made"].get(name, 0) for name in ("zaken", "rollen", "statussen", "besluiten")}
        made["documenten"] = counts["made"].get("enkelvoudiginformatieobjecten", 0)
        sent = len(list(self.mail.glob("*.eml")))
        told = ", ".join(f"{number} {name}" for name, number in made.items())
        return f"{told}, {sent} mails; {counts['closed']} zaken closed"


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]

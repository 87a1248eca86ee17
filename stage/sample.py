"""The demo's sample: a building permit (omgevingsvergunning), who does its steps, cases that take every path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MODEL = Path(__file__).resolve().parent / "models" / "vergunning.bpmn"
PROCESS = "vergunning"

UNIT_OF_TOPIC = {
    "vergunning.registreren": "demo.quick",
    "vergunning.beoordelen": "demo.slow",
    "vergunning.besluiten": "demo.decide",
    "vergunning.publiceren": "demo.flaky",
    "vergunning.informeren": "demo.log_variables",
    "vergunning.aanvullen": "demo.quick",
}

_APPLICANTS = ("A. de Boer", "B. Yılmaz", "C. van der Meer", "D. Ouédraogo", "E. Smit")

# Per path: height in metres (above 12 is refused), documents (none is a BPMN error), failures before publishing works.
_PATHS: tuple[tuple[float, list[str], int], ...] = (
    (8.5, ["bouwtekening.pdf"], 0),
    (11.0, ["bouwtekening.pdf", "constructie.pdf"], 1),
    (18.5, ["bouwtekening.pdf"], 0),
    (9.0, [], 0),
    (12.0, ["bouwtekening.pdf"], 2),
)


def business_key(number: int) -> str:
    """The key of case ``number``, as a municipality would number its applications."""
    return f"VTH-{number:05d}"


def variables(number: int) -> dict[str, Any]:
    """The variables with which case ``number`` (from 1) is started; five cases in a row take every path."""
    height, documents, failures = _PATHS[(number - 1) % len(_PATHS)]
    return {
        "aanvrager": _APPLICANTS[number % len(_APPLICANTS)],
        "bouwkosten": {"value": 2_500.0 * number, "type": "Double"},
        "hoogte": {"value": height, "type": "Double"},
        # Said to be JSON, because an engine stores a plain list as a serialised Java object.
        "bijlagen": {"value": json.dumps(documents), "type": "Json"},
        "seconds": {"value": 0.2 * (number % 4), "type": "Double"},
        "failures": failures,
    }

"""The demo's sample: a building permit (omgevingsvergunning), who does its steps, cases that take every path."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stage.engine_rest import EngineRefused, EngineRest

MODEL = Path(__file__).resolve().parent / "models" / "vergunning.bpmn"
PROCESS = "vergunning"

UNIT_OF_TOPIC = {
    "vergunning.registreren": "demo.quick",
    "vergunning.beoordelen": "demo.slow",
    "vergunning.besluiten": "demo.decide",
    "vergunning.publiceren": "demo.publish_besluit",
    "vergunning.informeren": "demo.log_variables",
    "vergunning.aanvullen": "demo.quick",
}

_APPLICANTS = ("A. de Boer", "B. Yılmaz", "C. van der Meer", "D. Ouédraogo", "E. Smit")

# Per path: height in metres (above 12 is refused), documents (none is a BPMN error), failures before publishing works,
# whether a colleague is asked.
_PATHS: tuple[tuple[float, list[str], int, bool], ...] = (
    (8.5, ["bouwtekening.pdf"], 0, False),
    (11.0, ["bouwtekening.pdf", "constructie.pdf"], 1, True),
    (18.5, ["bouwtekening.pdf"], 0, True),
    (9.0, [], 0, False),
    (12.0, ["bouwtekening.pdf"], 2, False),
)

# Of a demo that somebody watches, every so many-th case: one that no retry mends, one that a retry by hand mends.
_BAD_INPUT_EVERY, _OUTAGE_EVERY = 11, 7
_OUTAGE_FAILURES = 4
"""One more than the model's RETRY_CONFIG forgives."""

_COLLEAGUE_SECONDS = 2.0


def business_key(number: int) -> str:
    """The key of case ``number``, as a municipality would number its applications."""
    return f"VTH-{number:05d}"


def variables(number: int) -> dict[str, Any]:
    """The variables with which case ``number`` (from 1) is started; five cases in a row take every path."""
    height, documents, failures, asks = _PATHS[(number - 1) % len(_PATHS)]
    return {
        "aanvrager": _APPLICANTS[number % len(_APPLICANTS)],
        "bouwkosten": {"value": 2_500.0 * number, "type": "Double"},
        "hoogte": {"value": height, "type": "Double"},
        # Said to be JSON, because an engine stores a plain list as a serialised Java object.
        "bijlagen": {"value": json.dumps(documents), "type": "Json"},
        "welstandsplichtig": asks,
        "seconds": {"value": 0.2 * (number % 4), "type": "Double"},
        "failures": failures,
    }


def watched_variables(number: int) -> dict[str, Any]:
    """Like ``variables``, for people who watch: slow enough to be seen, and now and then with work for somebody.

    Every eleventh case has a height that is no number; every seventh is published only when it is tried again by hand.
    """
    case = variables(number) | {"seconds": {"value": 1.5 * (number % 6), "type": "Double"}}
    if number % _BAD_INPUT_EVERY == 0:
        case["hoogte"] = "ongeveer negen meter"
    elif number % _OUTAGE_EVERY == 0:
        granted = variables(1)
        case |= {"hoogte": granted["hoogte"], "bijlagen": granted["bijlagen"], "failures": _OUTAGE_FAILURES}
    return case


def answer_as_colleague(rest: EngineRest) -> int:
    """Complete user tasks that have waited two seconds; how many.

    Somebody answers every other case; in the others the term runs out.
    """
    answered = 0
    for task in rest.user_tasks(key=PROCESS):
        age = datetime.now(UTC) - datetime.fromisoformat(task["created"])
        instance = rest.call("GET", f"/history/process-instance/{task['processInstanceId']}")
        if age.total_seconds() < _COLLEAGUE_SECONDS or int(instance["businessKey"].rpartition("-")[2]) % 2:
            continue
        # The term may have run out meanwhile.
        with suppress(EngineRefused):
            advice = {"advies": {"value": "voldoet aan redelijke eisen van welstand", "type": "String"}}
            rest.call("POST", f"/task/{task['id']}/complete", body={"variables": advice})
            answered += 1
    return answered

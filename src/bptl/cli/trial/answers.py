"""What the command line gives a trial: variables, and answers in place of units, people and senders of messages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ERROR, _FAILURE = {"error", "message", "variables"}, {"fail"}


class InvalidOption(ValueError):
    """``text`` of an option cannot be read; ``reason`` says what would be right."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason
        super().__init__(f"{text!r}: {reason}")


@dataclass(frozen=True, slots=True)
class Answer:
    """``variables`` to set, unless ``error`` is a BPMN error code to throw or ``failure`` the text of a failure."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    message: str = ""
    failure: str = ""


class Answers:
    """Answers by element id, topic, or name of a message or signal.

    Several for one key are used in their order, and the last one again and again. Raises InvalidOption.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._given: dict[str, list[Answer]] = {}
        self._used: Counter[str] = Counter()
        for text in texts:
            key, content = _split(text, "topic={…}")
            self._given.setdefault(key, []).append(_answer(text, content))

    def take(self, *keys: str, once: bool = False) -> Answer | None:
        """The next answer for the first of ``keys`` that has one; with ``once`` none is used twice."""
        for key in keys:
            given, used = self._given.get(key, []), self._used[key]
            if given and not (once and used >= len(given)):
                self._used[key] += 1
                return given[min(used, len(given) - 1)]
        return None

    def knows(self, key: str) -> bool:
        """Whether there is an answer for ``key``."""
        return key in self._given

    @property
    def unused(self) -> list[str]:
        """Keys whose answers nobody asked for: perhaps misspelt."""
        return [key for key in self._given if not self._used[key]]


def variables(texts: Sequence[str]) -> dict[str, Any]:
    """``name=value`` options: the value is JSON where it can be read as such, else text. Raises InvalidOption."""
    found = {}
    for text in texts:
        name, value = _split(text, "name=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def pairs(texts: Sequence[str], *, form: str) -> dict[str, str]:
    """Options of the ``form`` key=value. Raises InvalidOption."""
    return dict(_split(text, form) for text in texts)


def _split(text: str, form: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key.strip() and sign):
        raise InvalidOption(text, f"write {form}")
    return key.strip(), value.strip()


def _answer(text: str, content: str) -> Answer:
    try:
        data = json.loads(content or "{}")
    except ValueError as error:
        raise InvalidOption(text, f"the answer is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidOption(text, "an answer is a JSON object of variables")
    if isinstance(data.get("error"), str) and data["error"] and set(data) <= _ERROR:
        return Answer(dict(data.get("variables") or {}), error=data["error"], message=str(data.get("message") or ""))
    if isinstance(data.get("fail"), str) and set(data) == _FAILURE:
        return Answer(failure=data["fail"] or "it fails, as asked")
    if {"error", "fail"} & set(data):
        raise InvalidOption(text, 'write {"error": "CODE", "message": "…", "variables": {…}} or {"fail": "…"}')
    return Answer(data)

"""The effects of a task for its page: what became of each, with which words and values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bptl.tasks.lifecycle import REMOVED
from bptl.tasks.models import Effect
from bptl.tasks.queries import TaskStory
from bptl.web.words import DOUBLED, EFFECT_ENDS, Word


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. ``arguments`` and ``result`` are JSON texts, empty where there is nothing to show."""

    effect: Effect
    attempt: int | None
    word: Word
    arguments: str
    result: str
    doubled: Word | None


def entries(story: TaskStory, *, values: bool) -> Sequence[Entry]:
    """The ledger of a task, in the order in which its effects were intended; arguments and results with ``values``."""
    return [
        Entry(
            effect,
            story.attempt_of(effect),
            EFFECT_ENDS[effect.end],
            arguments=_text(effect.arguments)
            if values and effect.arguments and REMOVED not in effect.arguments
            else "",
            result=_text(effect.result) if values and effect.result is not None else "",
            doubled=DOUBLED if effect.key in story.doubled and effect.end == Effect.End.HAPPENED else None,
        )
        for effect in story.effects
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)

"""An exception becomes text for people: a message with the cause first, and details for who mends it."""

from __future__ import annotations

import traceback

from bptl.clients.errors import ServiceError
from bptl.engines.base import EngineError
from bptl.engines.variables import UnreadableVariable, UnsendableValue
from bptl.lib.redaction import redact
from bptl.work_units.contract import WorkError

MESSAGE_LIMIT = 666
"""The engine cuts longer messages silently."""

DETAILS_LIMIT = 64 * 1024


def shortened(text: str) -> str:
    """One redacted line of at most 666 characters."""
    line = redact(" ".join(text.split()))
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"


def message_of(error: BaseException) -> str:
    """One line, the cause first, at most 666 characters. What was raised on purpose speaks for itself."""
    if isinstance(error, WorkError | EngineError | ServiceError | UnreadableVariable | UnsendableValue):
        text = str(error) or type(error).__name__
    else:
        chain = _chain(error)
        text = " ← ".join(f"{type(link).__name__}: {link}" for link in reversed(chain))
    return shortened(text)


def details_of(error: BaseException, *, note: str = "") -> str:
    """The traceback, redacted, at most 64 KiB; ``note`` comes first."""
    trace = "".join(traceback.format_exception(error))
    return redact(f"{note}\n\n{trace}" if note else trace)[:DETAILS_LIMIT]


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (
        cause := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__)
    ) is not None:
        if cause in chain:
            break
        chain.append(cause)
    return chain

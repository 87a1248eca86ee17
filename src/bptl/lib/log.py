"""structlog, set up once per process: events are ``noun.verb_past`` with bound context, and hold no secrets.

``context`` is what every event says while a block runs, whoever logs it: we, the block's own code, or a library through
the standard library. The last processor takes secrets out of everything that is written.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import datetime
from enum import Enum
from types import TracebackType
from typing import Any, Literal, cast
from uuid import UUID

import structlog

from bptl.lib.redaction import HIDDEN, hides, is_bsn, redact

LogFormat = Literal["json", "console"]
Event = structlog.types.EventDict
Listener = Callable[[Mapping[str, Any]], None]

_OURS = frozenset({"level", "logger", "timestamp", "task_id"})
"""Fields that the processors here make, or that hold numbers of our own rows: one of eleven would pass for a BSN."""

_context: ContextVar[Mapping[str, Any] | None] = ContextVar("bptl_log_context", default=None)
_listeners: list[Listener] = []


class _Bound:
    """A block in which every event says the same fields."""

    __slots__ = ("_fields", "_token")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _context.set(self._fields)

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)


def context(fields: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Add ``fields`` to every event of this thread while the block runs; what an event says itself goes first."""
    # Around every run, so it must cost nothing: structlog's own has a variable for each field.
    return _Bound(fields)


def on_error(listener: Listener) -> None:
    """Have ``listener`` told of each event of level error and above, before it is written; it must not raise.

    What it gets is not redacted yet, and ``exc_info`` is the exception itself.
    """
    _listeners.append(listener)


def configure(*, level: str = "INFO", form: LogFormat = "json") -> None:
    """Send structlog and the standard library's records to stderr, one line each, without secrets.

    ``level`` is a standard level name; ``form`` is ``json`` for machines or ``console`` for people.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_context,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _tell_listeners,
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, without_secrets, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def take_over_stderr() -> None:
    """Let Python's warnings, and exceptions that nobody caught, become events too: it would write them as they are."""
    logging.captureWarnings(True)
    sys.excepthook, threading.excepthook = _uncaught, _uncaught_in_thread


def quiet(*names: str) -> None:
    """Let loggers of libraries that tell every step speak only from WARNING."""
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger(name: str, **fields: Any) -> structlog.stdlib.BoundLogger:
    """A logger with ``fields`` bound to every event."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name, **fields))


def without_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """The processor that redacts every field of an event, by its name and by what it holds."""
    for name, value in event.items():
        if name not in _OURS:
            event[name] = _shown(name, value)
    return event


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if value and hides(name):
            return HIDDEN
        return redact(str(value))
    if value is None or isinstance(value, bool | float):
        return value
    if hides(name):
        return HIDDEN
    if isinstance(value, int):
        return HIDDEN if is_bsn(str(value)) else value
    if isinstance(value, Mapping):
        return {_shown("", key): _shown(str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown("", one) for one in value]
    if isinstance(value, UUID | datetime | Enum):
        return str(value)
    return redact(repr(value))


def _add_context(_logger: Any, _method: str, event: Event) -> Event:
    if fields := _context.get():
        for name, value in fields.items():
            event.setdefault(name, value)
    return event


def _tell_listeners(_logger: Any, method: str, event: Event) -> Event:
    if _listeners and method in {"error", "critical", "exception", "fatal"}:
        for listener in _listeners:
            listener(event)
    return event


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger(__name__).critical("process.failed", exc_info=(kind, error, trace))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is None or issubclass(told.exc_type, SystemExit):
        return
    exc_info = (told.exc_type, told.exc_value, told.exc_traceback)
    logging.getLogger(__name__).error("thread.failed", exc_info=exc_info)

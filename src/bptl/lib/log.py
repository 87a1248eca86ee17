"""structlog, set up once per process: events are ``noun.verb_past`` with bound context."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, cast

import structlog

from bptl.lib.redaction import without_own_keys

LogFormat = Literal["json", "console"]


def configure(*, level: str = "INFO", form: LogFormat = "json") -> None:
    """Send structlog and the standard library's records to stderr, one line each.

    ``level`` is a standard level name; ``form`` is ``json`` for machines or ``console`` for people.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _without_own_keys],
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


def _without_own_keys(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> str:
    # The whole line, as the renderer has made it: libraries log addresses, and one of ours may end with a key.
    return without_own_keys(str(line))


def quiet(*names: str) -> None:
    """Let loggers of libraries that tell every step speak only from WARNING."""
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger(name: str, **context: Any) -> structlog.stdlib.BoundLogger:
    """A logger with ``context`` bound to every event."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name, **context))

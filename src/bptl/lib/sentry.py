"""Failures to Sentry (or a server that speaks its protocol): what failed and where, without data of anybody.

Only events of the log at level error become failures there. The SDK's own integrations are not used: they would add
requests, variables and breadcrumbs, and would patch libraries.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Mapping
from typing import Any

import sentry_sdk
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from bptl.lib.log import on_error
from bptl.lib.redaction import redact

TAGS = ("topic", "engine", "unit", "task_id")
"""What is told of the task: names of ours and its number; not its process instance or business key."""

KEPT = frozenset(
    {
        *("contexts", "environment", "event_id", "exception", "level", "logger", "message", "modules", "platform"),
        *("release", "sdk", "server_name", "tags", "timestamp"),
    }
)
"""Parts of an event that are sent; what an SDK of later adds is not."""


def start(dsn: str, *, environment: str, release: str, process: str) -> None:
    """Report from now on; ``process`` is the kind of this process."""
    sentry_sdk.init(
        dsn,
        environment=environment,
        release=release,
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_client_reports=False,
        before_send=without_secrets,
    )
    # Of every thread, unlike what sentry_sdk.set_tag sets.
    sentry_sdk.get_global_scope().set_tag("process", process)
    on_error(report)
    atexit.register(flush)


def report(event: Mapping[str, Any]) -> None:
    """Send one event of the log; in the background, and never more than the SDK's queue holds."""
    what = str(event.get("event", ""))
    failure: Event = {}
    if exc_info := _exc_info(event.get("exc_info")):
        failure, _ = event_from_exception(
            exc_info,
            client_options=sentry_sdk.get_client().options,
            mechanism={"type": "log", "handled": True},
        )
    failure["level"] = "error"
    failure["message"] = what
    failure["logger"] = str(event.get("logger", ""))
    failure["tags"] = {name: str(event[name]) for name in TAGS if event.get(name) not in (None, "")}
    sentry_sdk.capture_event(failure)


def flush() -> None:
    """Send what waits, two seconds at most; for a process that does not end as Python ends."""
    sentry_sdk.flush(2.0)


def without_secrets(event: Event, _hint: Hint) -> Event:
    """What leaves the process: the parts that are known, each text redacted as in the log."""
    sent: Any = {name: _redacted(part) for name, part in event.items() if name in KEPT}
    result: Event = sent
    return result


def _redacted(part: Any) -> Any:
    if isinstance(part, str):
        return redact(part)
    if isinstance(part, Mapping):
        return {name: _redacted(one) for name, one in part.items() if name != "vars"}
    if isinstance(part, list | tuple):
        return [_redacted(one) for one in part]
    return part


def _exc_info(told: Any) -> Any:
    if isinstance(told, BaseException):
        return type(told), told, told.__traceback__
    if isinstance(told, tuple):
        return told if told[0] is not None else None
    if told:
        now = sys.exc_info()
        return now if now[0] is not None else None
    return None

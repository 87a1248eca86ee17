"""The span of one call to a service, in the words of OpenTelemetry's conventions for clients.

Addresses are left out but for the host: paths and queries of services hold numbers of citizens.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from bptl.lib import tracing
from bptl.lib.spans import Attributes, Span


def calling(service: str, method: str, url: str) -> Span:
    """Begin it; ``method`` is that of HTTP, or SMTP."""
    if not tracing.enabled():
        return tracing.span("")
    parts = urlsplit(url)
    attributes: Attributes = {
        "peer.service": service,
        "network.protocol.name": parts.scheme,
        "server.address": parts.hostname or "",
        **({"server.port": parts.port} if parts.port else {}),
        **({"http.request.method": method} if parts.scheme in {"http", "https"} else {}),
    }
    return tracing.span(f"{method} {service}", kind="client", attributes=attributes)


def answered(span: Span, status: int) -> None:
    """The status of HTTP; as the conventions have it, 4xx and 5xx are errors to who calls."""
    span.set("http.response.status_code", status)
    if status >= 400:
        span.failed(str(status))

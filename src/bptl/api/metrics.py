"""``GET /metrics``: what the fleet looks like, for Prometheus: with a token here, without on a port of its own."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from bptl.api.readers import LOGINS
from bptl.api.rights import Right

PATH = "/metrics"

_ports: set[str] = set()


def serve_at(port: int) -> None:
    """Requests that come to this port are monitoring's: they need no login, and get nothing else."""
    _ports.add(str(port))


class MetricsPortMiddleware:
    """Answers what comes to the port of monitoring, which nobody else reaches; passes on everything else.

    ``/live`` and ``/ready`` were answered before.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Of the socket, as gunicorn says it; no header is believed.
        if request.META.get("SERVER_PORT") not in _ports:
            return self._get_response(request)
        if request.path_info != PATH:
            return HttpResponse("not found\n", content_type="text/plain", status=404)
        return _answer(request)


class MetricsView(APIView):
    """The metrics of the fleet."""

    authentication_classes = LOGINS
    right = Right(role=Role.VIEWER, scope=Scope.MONITOR)
    schema = None

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Whatever is accepted: refusals are JSON, metrics are what Prometheus understands."""
        return JSONRenderer(), "application/json"

    def get(self, request: Request) -> HttpResponse:
        """Answer them."""
        return _answer(request)


def _answer(request: HttpRequest | Request) -> HttpResponse:
    # Read here: nobody who is not asked pays for it.
    from bptl.api.fleet import FLEET
    from bptl.lib.exposition import Exposition

    text, content_type = Exposition(FLEET, about_process=False).text(request.headers.get("Accept", ""))
    answer = HttpResponse(text, content_type=content_type)
    answer["Cache-Control"] = "no-store"
    return answer

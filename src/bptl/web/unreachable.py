"""The page for when the other side is needed and does not do its part: which one, since when, and what to do."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from bptl.clients.errors import Busy, NoAnswer, NotSent, ServiceError
from bptl.connections.models import Engine
from bptl.connections.secrets import Undecryptable
from bptl.connections.service_models import Service
from bptl.engines.base import EngineError, EngineUnavailable, WrongAddress
from bptl.tasks import health
from bptl.web import problems
from bptl.web.problems import Problem


def engine_page(request: HttpRequest, engine: Engine, error: EngineError | Undecryptable) -> HttpResponse:
    """502; 503 with Retry-After when there is no answer at all."""
    silent = isinstance(error, EngineUnavailable) and not isinstance(error, WrongAddress)
    since = health.of_engine(engine.pk).failing_since if silent else None
    page = reverse("engine", args=[engine.pk])
    return _page(request, problems.of_engine(engine, error), since=since, page=page, name=engine.name, silent=silent)


def service_page(request: HttpRequest, service: Service, error: ServiceError | Undecryptable) -> HttpResponse:
    """502; 503 with Retry-After when there is no answer, or no time."""
    silent = isinstance(error, NotSent | NoAnswer | Busy)
    since = health.of_service(service.name).failing_since if silent else None
    page = reverse("service", args=[service.pk])
    return _page(request, problems.of_service(service, error), since=since, page=page, name=service.name, silent=silent)


def _page(
    request: HttpRequest, problem: Problem, *, since: datetime | None, page: str, name: str, silent: bool
) -> HttpResponse:
    context = {"problem": problem, "since": since, "page": page, "name": name, "again": request.get_full_path()}
    status = HTTPStatus.SERVICE_UNAVAILABLE if silent else HTTPStatus.BAD_GATEWAY
    answer = render(request, "web/unreachable.html", context, status=status)
    if silent:
        answer["Retry-After"] = "30"
    return answer

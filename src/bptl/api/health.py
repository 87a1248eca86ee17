"""``GET /api/v1/health``: whether each part does well, for machines; people find the same on the page *Overview*."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import DatabaseError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from bptl.api.contract import Body, Detail
from bptl.api.readers import LOGINS
from bptl.api.rights import Right
from bptl.connections import breakers
from bptl.connections.models import Engine, Opening
from bptl.connections.service_models import Service
from bptl.lib import redis_lists
from bptl.lib.log import get_logger
from bptl.tasks import pulse, queries, queue_lengths

log = get_logger(__name__)

BROKER_SECONDS = 2.5


class State(StrEnum):
    """How a part does."""

    WELL = "well"
    TROUBLE = "trouble"
    """It is away, or fails."""
    UNKNOWN = "unknown"
    """Nobody has had to do with it lately, or it has not answered yet, or it is in maintenance."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part. ``since`` is since when that is known: its last good answer, or when trouble began."""

    kind: str
    name: str
    state: State
    since: datetime | None = None
    detail: str = ""


def parts() -> Iterator[Part]:
    """All parts: the database and the broker, engines and services that are active, processes; raises DatabaseError."""
    fleet = queries.fleet()
    yield Part("database", "PostgreSQL", State.WELL)
    yield _broker()
    stopped = breakers.open_now()
    polls = pulse.polls()
    for engine in Engine.objects.filter(active=True).order_by("name"):
        opening = stopped.engines.get(engine.pk)
        yield _stopped(opening, "engine") if opening else _engine(engine.name, polls.get(engine.pk, pulse.Polls()))
    calls = pulse.service_calls()
    for service in Service.objects.filter(active=True).order_by("name"):
        opening = stopped.services.get(service.pk)
        yield _stopped(opening, "service") if opening else _service(service.name, calls.get(service.name))
    for kind, living in (("beat", fleet.beats), ("poll", fleet.pollers), ("work", fleet.workers)):
        if not living:
            yield Part("process", kind, State.TROUBLE, detail="no process of this kind lives")
        for process in living:
            told = "draining" if process.draining else ""
            yield Part("process", f"{kind} {process.host}:{process.pid}", State.WELL, process.heartbeat_at, told)


def _broker() -> Part:
    lengths = queue_lengths.lengths(within=BROKER_SECONDS)
    if isinstance(lengths, redis_lists.ListsAway):
        return Part("broker", "Redis or Valkey", State.TROUBLE, detail=lengths.reason)
    if lengths is None:
        return Part("broker", "Redis or Valkey", State.UNKNOWN, detail="it has not answered yet")
    told = ", ".join(f"{queue}: {messages}" for queue, messages in sorted(lengths.items()))
    return Part("broker", "Redis or Valkey", State.WELL, detail=f"messages in {told}")


def _stopped(opening: Opening, kind: str) -> Part:
    """One whose circuit breaker is open: it is down, or a person said that nothing is to be asked of it."""
    state = State.UNKNOWN if opening.by_hand else State.TROUBLE
    return Part(kind, opening.breaker.name, state, opening.opened_at, opening.reason)


def _engine(name: str, polls: pulse.Polls) -> Part:
    if polls.failing_since is not None:
        return Part("engine", name, State.TROUBLE, polls.failing_since, "no poll was answered since then")
    if polls.answered_at is not None:
        return Part("engine", name, State.WELL, polls.answered_at)
    return Part("engine", name, State.UNKNOWN, detail="no poll was answered in the last ten minutes")


def _service(name: str, calls: pulse.Calls | None) -> Part:
    if calls is None:
        return Part("service", name, State.UNKNOWN, detail="no call lately")
    if calls.failing:
        return Part("service", name, State.TROUBLE, calls.bad_at, calls.error)
    return Part("service", name, State.WELL, calls.good_at)


class PartBody(Body):
    """One part."""

    kind = serializers.ChoiceField(["database", "broker", "engine", "service", "process"], help_text="What it is.")
    name = serializers.CharField(help_text="Its name here.")
    state = serializers.ChoiceField([state.value for state in State], help_text="How it does.")
    since = serializers.DateTimeField(allow_null=True, help_text="Its last good answer, or when its trouble began.")
    detail = serializers.CharField(allow_blank=True, help_text="In words, for people.")


class HealthBody(Body):
    """All parts, and the worst of them."""

    state = serializers.ChoiceField(["well", "trouble"], help_text="trouble: at least one part is in trouble.")
    parts = PartBody(many=True, help_text="All parts.")


class HealthView(APIView):
    """How all parts do."""

    authentication_classes = LOGINS
    right = Right(role=Role.VIEWER, scope=Scope.MONITOR)

    @extend_schema(
        operation_id="health",
        summary="Whether database, broker, engines, services and processes do well",
        description=(
            "From what polls, calls and heartbeats have met lately: nobody but the broker is asked for it. The answer "
            "is 200 whenever it can be told; 503: PostgreSQL does not answer."
        ),
        responses={200: HealthBody, 401: Detail, 403: Detail, 503: HealthBody},
    )
    def get(self, request: Request) -> Response:
        """Answer them."""
        try:
            found = list(parts())
        except DatabaseError as error:
            log.warning("health.not_read", error=str(error))
            found = [Part("database", "PostgreSQL", State.TROUBLE, detail="it does not answer")]
        trouble = any(part.state is State.TROUBLE for part in found)
        body = {"state": State.TROUBLE if trouble else State.WELL, "parts": found}
        away = found[0].state is State.TROUBLE
        return Response(HealthBody(body).data, status=503 if away else 200, headers={"Cache-Control": "no-store"})

"""``POST /api/v1/work-unit``: a work unit as one request, the contract of the existing BPTL.

The workers do the work and the row keeps its outcome; this process only waits for it. See bptl.tasks.intake.calls.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.api.body import check_length
from bptl.api.contract import Detail, Fault, WorkUnitAnswer, WorkUnitRequest
from bptl.api.rights import Right
from bptl.engines.variables import UnreadableVariable, UnsendableValue, Variable, decode
from bptl.lib.json import plain
from bptl.tasks.intake import calls
from bptl.tasks.intake.calls import Answer, Call, Ended
from bptl.tasks.intake.news import News

KEY = re.compile(r"[\x21-\x7e]{1,255}")

_news = News()
_waiting = threading.BoundedSemaphore(settings.BPTL_CALLS_WAITING)


class TooManyWaiting(APIException):
    """503: this process has as many waiting calls as it may; nothing was recorded."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "too_many_waiting"
    default_detail = gettext_lazy("Too many calls are waiting for their work. Repeat this one later; nothing was done.")
    wait = 5


class WorkUnitView(APIView):
    """Do the work unit of a topic."""

    right = Right(role=Role.OPERATOR)

    @extend_schema(
        operation_id="work_unit",
        summary="Do the work unit of a topic, and answer what it sets",
        description=(
            "The workers do it; the call waits for its end. Send an Idempotency-Key that your engine repeats with its "
            "call: a call that is repeated then joins what is under way, gets the same answer as before, or, when it "
            "had failed, goes on without repeating what has happened."
        ),
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="1 to 255 visible ASCII characters, unique to the step of your process; BPTL makes one up "
                "for a call without.",
            )
        ],
        request=WorkUnitRequest,
        responses={201: WorkUnitAnswer, 400: Fault, 401: Detail, 409: Fault, 413: Detail, 429: Detail, 503: Detail},
    )
    def post(self, request: Request) -> Response:
        """Do it."""
        if not _waiting.acquire(blocking=False):
            raise TooManyWaiting
        try:
            return self._post(request)
        finally:
            _waiting.release()

    def _post(self, request: Request) -> Response:
        check_length(request.META)
        asked = WorkUnitRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        topic, values = asked.validated_data["topic"], asked.validated_data["vars"]
        key = request.headers.get("Idempotency-Key", "")
        if key and not KEY.fullmatch(key):
            return _fault(_("Idempotency-Key must be 1 to 255 visible ASCII characters."))
        caller = request.user
        if not isinstance(caller, User):
            raise NotAuthenticated
        call = Call.of(caller_id=caller.pk, key=key, topic=topic, values=values)
        patience = timedelta(seconds=settings.BPTL_CALL_SECONDS)
        try:
            answer = calls.perform(call, patience=patience, news=_news)
        except calls.NoSuchTopic as error:
            return _fault(_("The topic cannot be called: %(reason)s") % {"reason": error})
        except UnsendableValue as error:
            return Response({"vars": [str(error)]}, status=status.HTTP_400_BAD_REQUEST)
        except calls.KeyReused as error:
            text = _(
                "This Idempotency-Key was used for another request, with another topic or other variables: %(key)s"
            )
            return _fault(text % {"key": error.key}, status=status.HTTP_409_CONFLICT)
        if answer.ended is not Ended.COMPLETED:
            address = request.build_absolute_uri(reverse("task", args=[answer.task_id]))
            return _fault(_reason(answer, key=call.key, address=address))
        try:
            result = {name: _json(name, variable) for name, variable in answer.variables.items()}
        except UnreadableVariable as error:
            return _fault(_("The work unit failed: %(reason)s") % {"reason": error})
        return Response({"topic": topic, "vars": values, "resultVars": result}, status=status.HTTP_201_CREATED)


def _reason(answer: Answer, *, key: str, address: str) -> str:
    said = {
        "reason": answer.message,
        "code": answer.code,
        "key": key,
        "address": address,
        "seconds": f"{settings.BPTL_CALL_SECONDS:g}",
    }
    match answer.ended:
        case Ended.THROWN:
            text = _("The work unit ended with BPMN error %(code)s: %(reason)s")
        case Ended.UNCERTAIN:
            text = _("An effect may have happened and a person decides, see %(address)s: %(reason)s")
        case Ended.NOT_STARTED:
            text = _(
                "No worker was free within %(seconds)s s, so the work was not started, see %(address)s. Repeat the "
                "call with Idempotency-Key %(key)s."
            )
        case Ended.STILL_RUNNING:
            text = _(
                "The work has not ended within %(seconds)s s and goes on, see %(address)s. Repeat the call with "
                "Idempotency-Key %(key)s to get its answer."
            )
        case Ended.INTERRUPTED:
            text = _(
                "The work was interrupted again and again, see %(address)s. Repeat the call with Idempotency-Key "
                "%(key)s to go on."
            )
        case _:
            text = _("The work unit failed: %(reason)s")
    return text % said


def _json(name: str, variable: Variable) -> Any:
    """The plain JSON of a variable: a file or bytes as base64, a time in ISO 8601, XML as text."""
    if variable.type in {"File", "Bytes", "Date", "Xml"}:
        return variable.value
    return plain(decode(variable, name=name))


def _fault(text: str, *, status: int = status.HTTP_400_BAD_REQUEST) -> Response:
    body: Mapping[str, str] = {"non_field_errors": text}
    return Response(body, status=status)

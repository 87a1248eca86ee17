"""``POST /api/v1/completions/<token>``: somebody outside says how the work of a waiting task ended.

Needs no login: the token, which the work unit gave to whoever must answer, is the right to do it, once.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bptl.api.body import check_length
from bptl.api.contract import Body, Detail, Variables
from bptl.api.rights import ByAddress, Right
from bptl.tasks import answering
from bptl.tasks.answering import Answer
from bptl.tasks.completions import NotTaken, Refusal, UnknownToken
from bptl.tasks.lifecycle import Outcome

MOST_RETRIES = 100

_BELONGS: dict[str, frozenset[str]] = {
    Outcome.COMPLETED: frozenset({"variables"}),
    Outcome.FAILED: frozenset({"message", "details", "retries"}),
    Outcome.THROWN: frozenset({"code", "message", "variables"}),
}
_NEEDED: dict[str, str] = {Outcome.FAILED: "message", Outcome.THROWN: "code"}


@extend_schema_serializer(component_name="Completion")
class CompletionRequest(Body):
    """How the work ended."""

    outcome = serializers.ChoiceField(
        [Outcome.COMPLETED.value, Outcome.FAILED.value, Outcome.THROWN.value],
        help_text="completed: with variables. failed: with message, perhaps details and retries. thrown: with code, "
        "perhaps message and variables.",
    )
    variables = Variables(
        required=False,
        help_text="Of completed, exactly those that the work unit declares; of thrown, whatever the model reads.",
    )
    message = serializers.CharField(required=False, max_length=10_000, help_text="What went wrong, for people.")
    details = serializers.CharField(required=False, help_text="What helps to mend it.")
    retries = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_RETRIES,
        help_text="How many attempts are left; 0 makes it an incident. Without: as the retry plan of the task has it.",
    )
    code = serializers.CharField(
        required=False, max_length=255, help_text="BPMN error code, one of those that the work unit declares."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What does not belong to the outcome is named, and so is what is missing."""
        outcome = attrs["outcome"]
        faults = {name: [_("This has no place beside %(outcome)s.") % {"outcome": outcome}] for name in attrs}
        faults = {name: fault for name, fault in faults.items() if name not in _BELONGS[outcome] | {"outcome"}}
        if (needed := _NEEDED.get(outcome)) and needed not in attrs:
            faults[needed] = [str(self.fields[needed].error_messages["required"])]
        if faults:
            raise serializers.ValidationError(faults)
        return attrs


class Conflict(Body):
    """Why the answer changes nothing any more."""

    detail = serializers.CharField()
    reason = serializers.ChoiceField(
        [refusal.value for refusal in Refusal],
        help_text="used: there was another answer before. expired: the deadline has passed. over: the task has ended.",
    )


class Faults(Body):
    """What does not fit, by field; a variable is named ``variables.<name>``."""

    outcome = serializers.ListField(child=serializers.CharField(), required=False)
    variables = serializers.ListField(child=serializers.CharField(), required=False)
    code = serializers.ListField(child=serializers.CharField(), required=False)


class CompletionView(APIView):
    """Answer a task that waits."""

    authentication_classes = []
    permission_classes = [ByAddress]
    right = Right(role=None, scope=None)

    @extend_schema(
        operation_id="completion",
        summary="Answer a task that waits for somebody outside",
        description=(
            "No login: the token in the address is the right, and it is used once. An answer that does not fit is "
            "refused with 400 and can be sent again, mended. 204 means that the answer is stored and will reach the "
            "process; the same answer sent again gets 204 again and changes nothing."
        ),
        parameters=[OpenApiParameter("token", OpenApiTypes.STR, OpenApiParameter.PATH)],
        request=CompletionRequest,
        responses={
            204: None,
            400: Faults,
            404: Detail,
            409: Conflict,
            **dict.fromkeys((411, 413, 503), Detail),
        },
    )
    def post(self, request: Request, token: str) -> Response:
        """Take it."""
        check_length(request.META)
        asked = CompletionRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        answer = Answer(
            outcome=Outcome(said["outcome"]),
            variables=said.get("variables", {}),
            message=said.get("message", ""),
            details=said.get("details", ""),
            retries=said.get("retries"),
            code=said.get("code", ""),
        )
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        try:
            answering.from_outside(token, answer, digest=digest)
        except UnknownToken:
            return _detail(_("No task waits for an answer at this address."), status.HTTP_404_NOT_FOUND)
        except answering.Misfit as error:
            faults: dict[str, list[str]] = {}
            for path, reason in error.faults:
                faults.setdefault(path, []).append(reason)
            return Response(faults, status=status.HTTP_400_BAD_REQUEST)
        except answering.NoUnit:
            text = _("Nobody can say now whether this answer fits. Repeat it later; nothing was done.")
            return _detail(text, status.HTTP_503_SERVICE_UNAVAILABLE)
        except NotTaken as error:
            body = {"detail": _why(error), "reason": error.refusal.value}
            return Response(body, status=status.HTTP_409_CONFLICT)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _why(error: NotTaken) -> str:
    match error.refusal:
        case Refusal.USED:
            return _("The task was answered before, with something else; this answer changes nothing.")
        case Refusal.EXPIRED:
            text = _("The deadline %(deadline)s has passed; a new attempt asks at a new address.")
            return text % {"deadline": error.completion.deadline.isoformat(timespec="seconds")}
        case _:
            return _("The task has ended without this answer; it changes nothing.")


def _detail(text: str, status: int) -> Response:
    return Response({"detail": text}, status=status)

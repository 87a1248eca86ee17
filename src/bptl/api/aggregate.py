"""``GET /tasks/api/aggregate/``: the figures of a dashboard, in the form of the existing BPTL, now behind a login."""

from __future__ import annotations

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
from bptl.tasks import aggregate


class AggregateAnswer(Body):
    """Numbers of tasks. Without any task every engine and status is there with 0; otherwise no 0 is."""

    since = serializers.DateTimeField(help_text="A day ago: what changed earlier is not counted.")
    items = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()),
        help_text="By engine (camunda: fetched from engines; activiti: asked for through the REST API) and status.",
    )
    total = serializers.DictField(child=serializers.IntegerField(), help_text="By status.")


class AggregateView(APIView):
    """Tasks of the last day."""

    authentication_classes = LOGINS
    right = Right(role=Role.VIEWER, scope=Scope.READ_TASKS)

    @extend_schema(
        operation_id="aggregate",
        summary="How many tasks of the last day have which status",
        description=(
            "For dashboards made for the existing BPTL, in its words: initial, in_progress, performed, failed, "
            "completed. What is completed is counted every minute, and of each other status at most 10,000 tasks."
        ),
        responses={200: AggregateAnswer, 401: Detail, 403: Detail},
    )
    def get(self, request: Request) -> Response:
        """Answer them."""
        found = aggregate.last_day()
        return Response({"since": found.since, "items": found.items, "total": found.total})

"""``GET /api/v1/element-templates``: the catalogue of work units for a modeler."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import get_language
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bptl.accounts.roles import Role
from bptl.api.contract import Detail
from bptl.api.readers import LOGINS
from bptl.api.rights import Right
from bptl.connections import catalogue
from bptl.work_units.contract import WorkUnit

TEMPLATES: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "id", "appliesTo", "properties"],
        "properties": {
            "name": {"type": "string"},
            "id": {"type": "string"},
            "appliesTo": {"type": "array", "items": {"type": "string"}},
            "properties": {"type": "array", "items": {"type": "object"}},
        },
        "additionalProperties": True,
    },
}
"""The part of the published schema that callers may rely on; the rest is in ``$schema`` of each template."""


class ElementTemplates(APIView):
    """All element templates."""

    authentication_classes = LOGINS
    right = Right(role=Role.VIEWER, scope=None)

    @extend_schema(
        operation_id="element_templates",
        summary="The work units as element templates for a modeler",
        description=(
            "One template of each work unit, whose topic is the unit's name, and one of each topic that an active "
            "mapping of an engine gives to a unit. Save the answer as a file in the folder of element templates of "
            "the Camunda Modeler. Each is valid against @camunda/element-templates-json-schema."
        ),
        parameters=[
            OpenApiParameter(
                "Accept-Language",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="Language of labels and purposes: en or nl.",
            )
        ],
        responses={200: TEMPLATES, 401: Detail, 403: Detail},
    )
    def get(self, request: Request) -> Response:
        """Answer them."""

        def page_of(unit: WorkUnit) -> str:
            return request.build_absolute_uri(reverse("unit", args=[unit.name]))

        return Response(catalogue.templates(page_of, language=get_language() or "en"))

"""The bodies of the REST API, for reading and for its description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

if TYPE_CHECKING:
    Body = serializers.Serializer[Any]
else:
    Body = serializers.Serializer


@extend_schema_field(OpenApiTypes.OBJECT)
class Variables(serializers.JSONField):
    """Process variables by name: any JSON each."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """An object; ValidationError for everything else."""
        if not isinstance(data, dict):
            raise serializers.ValidationError(_("This must be an object: the name and the value of each variable."))
        return data


@extend_schema_serializer(component_name="WorkUnit")
class WorkUnitRequest(Body):
    """What is asked for; unknown keys are ignored."""

    topic = serializers.CharField(max_length=255, help_text="Topic of a mapping of the REST API.")
    vars = Variables(default=dict, help_text="Variables that the work unit reads; others are ignored.")


class WorkUnitAnswer(Body):
    """What was done."""

    topic = serializers.CharField(max_length=255, help_text="As asked.")
    vars = Variables(help_text="As asked.")
    resultVars = Variables(  # noqa: N815 - the contract's name
        help_text="Variables that the work unit sets."
    )


class Fault(Body):
    """What is wrong: with a field, as a list; or with the whole call or its work, as one text."""

    topic = serializers.ListField(child=serializers.CharField(), required=False)
    vars = serializers.ListField(child=serializers.CharField(), required=False)
    non_field_errors = serializers.CharField(required=False)


class Detail(Body):
    """Why the call itself was refused."""

    detail = serializers.CharField()

"""Addresses of the REST API."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import path

from bptl.api.completion import CompletionView
from bptl.api.element_templates import ElementTemplates
from bptl.api.health import HealthView
from bptl.api.readers import JSONDescription, Redoc, Root, SwaggerUI, YAMLDescription
from bptl.api.unknown import unknown
from bptl.api.work_unit import WorkUnitView

urlpatterns = [
    path("v1/", Root.as_view(), name="api-root"),
    path("v1/work-unit", WorkUnitView.as_view(), name="work-unit"),
    path("v1/completions/<str:token>", CompletionView.as_view(), name="completion"),
    path("v1/element-templates", ElementTemplates.as_view(), name="element-templates"),
    path("v1/health", HealthView.as_view(), name="health"),
    path("v1/openapi.json", JSONDescription.as_view(), name="openapi-json"),
    path("v1/openapi.yaml", YAMLDescription.as_view(), name="openapi-yaml"),
    path("v1/swagger/", SwaggerUI.as_view(), name="api-swagger"),
    path("v1/redoc/", Redoc.as_view(), name="api-redoc"),
    path("<path:address>", login_not_required(unknown)),
]

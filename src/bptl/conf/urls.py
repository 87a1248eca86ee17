"""Where every page hangs."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("bptl.api.urls")),
    path("", include("bptl.web.urls")),
]

"""Where every page hangs."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path, reverse_lazy
from django.views.generic import RedirectView

handler403 = "bptl.web.refusal.forbidden"
urlpatterns = [
    # There is one way to log in: the admin's own would know neither second factors nor an identity provider.
    path("admin/login/", login_not_required(RedirectView.as_view(url=reverse_lazy("login"), query_string=True))),
    path("admin/", admin.site.urls),
    path("api/", include("bptl.api.urls")),
    path("", include("bptl.web.urls")),
]

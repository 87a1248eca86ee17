"""Where every page hangs."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path, reverse_lazy
from django.views.generic import RedirectView

from bptl.api.aggregate import AggregateView
from bptl.api.metrics import MetricsView
from bptl.web.login import Logout
from bptl.web.rights import for_any_login

handler400 = "bptl.web.error_page.refused"
handler403 = "bptl.web.refusal.forbidden"
handler404 = "bptl.web.error_page.not_found"
handler500 = "bptl.web.error_page.failed"
urlpatterns = [
    # There is one way in and out: the admin's own would know neither second factors nor an identity provider.
    path("admin/login/", login_not_required(RedirectView.as_view(url=reverse_lazy("login"), query_string=True))),
    path("admin/logout/", login_not_required(Logout.as_view())),
    path("admin/password_change/", for_any_login(RedirectView.as_view(url=reverse_lazy("password-change")))),
    path("admin/", admin.site.urls),
    path("api/", include("bptl.api.urls")),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("tasks/api/aggregate/", AggregateView.as_view(), name="aggregate"),  # where the existing BPTL has it
    path("", include("bptl.web.urls")),
]

"""Addresses of the pages for people."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.i18n import set_language

from bptl.accounts.roles import Role
from bptl.web.icon import favicon
from bptl.web.login import Login
from bptl.web.overview import overview
from bptl.web.rights import needs
from bptl.web.task_actions import PAGES, Settle
from bptl.web.task_export import export_csv, export_json
from bptl.web.task_list import task_list
from bptl.web.task_page import diagram, model_xml, task_page

urlpatterns = [
    path("", overview, name="overview"),
    path("favicon.ico", login_not_required(favicon), name="favicon"),
    path("login/", login_not_required(Login.as_view()), name="login"),
    path("logout/", login_not_required(LogoutView.as_view()), name="logout"),
    path("language/", login_not_required(set_language), name="language"),
    path("tasks/", task_list, name="tasks"),
    path("tasks/export.csv", export_csv, name="tasks-csv"),
    path("tasks/export.json", export_json, name="tasks-json"),
    path("tasks/<int:task_id>/", task_page, name="task"),
    path("tasks/<int:task_id>/diagram/", diagram, name="task-diagram"),
    path("tasks/<int:task_id>/model.xml", model_xml, name="task-model"),
    *(
        path(f"tasks/<int:task_id>/{part}/", needs(Role.OPERATOR)(page.as_view()), name=f"task-{part}")
        for part, page in PAGES.items()
    ),
    path(
        "tasks/<int:task_id>/effects/<int:effect_id>/settle/",
        needs(Role.OPERATOR)(Settle.as_view()),
        name="effect-settle",
    ),
]

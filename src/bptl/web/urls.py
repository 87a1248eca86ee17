"""Addresses of the pages for people."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.i18n import set_language

from bptl.web.icon import favicon
from bptl.web.login import Login
from bptl.web.overview import overview
from bptl.web.task_list import task_list
from bptl.web.task_page import diagram, model_xml, task_page
from bptl.web.units import mapping_template, unit_list, unit_page, unit_template

urlpatterns = [
    path("", overview, name="overview"),
    path("favicon.ico", login_not_required(favicon), name="favicon"),
    path("login/", login_not_required(Login.as_view()), name="login"),
    path("logout/", login_not_required(LogoutView.as_view()), name="logout"),
    path("language/", login_not_required(set_language), name="language"),
    path("tasks/", task_list, name="tasks"),
    path("tasks/<int:task_id>/", task_page, name="task"),
    path("tasks/<int:task_id>/diagram/", diagram, name="task-diagram"),
    path("tasks/<int:task_id>/model.xml", model_xml, name="task-model"),
    path("units/", unit_list, name="units"),
    path("units/<str:name>/", unit_page, name="unit"),
    path("units/<str:name>/element-template.json", unit_template, name="unit-template"),
    path("mappings/<int:mapping_id>/element-template.json", mapping_template, name="mapping-template"),
]

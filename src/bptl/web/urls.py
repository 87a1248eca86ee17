"""Addresses of the pages for people."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import path
from django.views.i18n import set_language

from bptl.accounts.roles import Role
from bptl.web import (
    account,
    application_pages,
    breaker_pages,
    callback_pages,
    engine_pages,
    incident_pages,
    instance_pages,
    people_pages,
    service_pages,
    single_sign_on,
)
from bptl.web.audit_page import audit_csv, audit_log
from bptl.web.icon import favicon
from bptl.web.login import Login, Logout, PasswordChange, Welcome
from bptl.web.mapping_list import mapping_list, mapping_page, mapping_waiting
from bptl.web.mapping_pages import MappingFormPage, Pause, Remove, Resume
from bptl.web.overview import overview
from bptl.web.quarantine_page import quarantine_page
from bptl.web.rights import for_any_login, needs
from bptl.web.settings_page import settings_in_force
from bptl.web.task_actions import PAGES, Settle
from bptl.web.task_export import export_csv, export_json
from bptl.web.task_files import call_bodies, task_file
from bptl.web.task_list import task_list
from bptl.web.task_page import diagram, model_xml, task_page
from bptl.web.token_pages import token_add, token_list, token_revoke
from bptl.web.topics import topics
from bptl.web.units import mapping_template, unit_list, unit_page, unit_template

urlpatterns = [
    path("", overview, name="overview"),
    path("favicon.ico", login_not_required(favicon), name="favicon"),
    path("login/", login_not_required(Login.as_view()), name="login"),
    path("logout/", login_not_required(Logout.as_view()), name="logout"),
    path("language/", login_not_required(set_language), name="language"),
    path("login/provider/", login_not_required(single_sign_on.Ask.as_view()), name="oidc-ask"),
    path("login/provider/back/", login_not_required(single_sign_on.Callback.as_view()), name="oidc-callback"),
    path("login/provider/failed/", login_not_required(single_sign_on.failed), name="oidc-failed"),
    path("logout/provider/", login_not_required(single_sign_on.ended), name="oidc-ended"),
    path("welcome/<str:uidb64>/<str:token>/", login_not_required(Welcome.as_view()), name="welcome"),
    path("login/code/", account.code, name="second-factor-code"),
    path("account/", account.account, name="account"),
    path("account/password/", for_any_login(PasswordChange.as_view()), name="password-change"),
    path("account/second-factor/", account.enrol, name="second-factor-enrol"),
    path("account/second-factor/remove/", account.forget, name="second-factor-forget"),
    path("people/", people_pages.people_list, name="people"),
    path("people/invite/", people_pages.invite, name="invite"),
    path("people/<int:user_id>/", people_pages.person_page, name="person"),
    path("people/<int:user_id>/role/", people_pages.set_role, name="person-role"),
    path("people/<int:user_id>/active/<str:active>/", people_pages.set_active, name="person-active"),
    path("people/<int:user_id>/second-factor/", people_pages.remove_second_factor, name="person-second-factor"),
    path("people/<int:user_id>/link/", people_pages.new_link, name="person-link"),
    path("tokens/", token_list, name="tokens"),
    path("tokens/add/", token_add, name="token-add"),
    path("tokens/<int:token_id>/revoke/", token_revoke, name="token-revoke"),
    path("audit/", audit_log, name="audit"),
    path("audit.csv", audit_csv, name="audit-csv"),
    path("settings/", settings_in_force, name="settings"),
    path("tasks/", task_list, name="tasks"),
    path("tasks/export.csv", export_csv, name="tasks-csv"),
    path("tasks/export.json", export_json, name="tasks-json"),
    path("tasks/<int:task_id>/", task_page, name="task"),
    path("tasks/<int:task_id>/file/<str:side>/", task_file, name="task-file"),
    path("tasks/<int:task_id>/calls/<int:servicecall_id>/", call_bodies, name="task-call"),
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
    path("topics/", topics, name="topics"),
    path("engines/", engine_pages.engine_list, name="engines"),
    path("engines/new/", engine_pages.engine_new, name="engine-new"),
    path("engines/<int:engine_id>/", engine_pages.engine_page, name="engine"),
    path("engines/<int:engine_id>/test/", engine_pages.engine_test, name="engine-test"),
    path("engines/<int:engine_id>/change/", engine_pages.engine_change, name="engine-change"),
    path("engines/<int:engine_id>/active/<str:active>/", engine_pages.engine_active, name="engine-active"),
    path("engines/<int:engine_id>/remove/", engine_pages.engine_remove, name="engine-remove"),
    *(
        path(
            f"{kind}s/<int:{kind}_id>/breaker/{verb}/",
            needs(Role.OPERATOR)(page.as_view()),
            name=f"{kind}-breaker-{verb}",
        )
        for kind in ("engine", "service")
        for verb, page in (("open", breaker_pages.OpenBreaker), ("close", breaker_pages.CloseBreaker))
    ),
    path("engines/<int:engine_id>/instances/", instance_pages.instance_list, name="instances"),
    path("engines/<int:engine_id>/instances/delete/", instance_pages.instance_delete, name="instances-delete"),
    path("services/", service_pages.service_list, name="services"),
    path("services/new/", service_pages.service_new, name="service-new"),
    path("services/<int:service_id>/", service_pages.service_page, name="service"),
    path("services/<int:service_id>/test/", service_pages.service_test, name="service-test"),
    path("services/<int:service_id>/change/", service_pages.service_change, name="service-change"),
    path("services/<int:service_id>/active/<str:active>/", service_pages.service_active, name="service-active"),
    path("services/<int:service_id>/remove/", service_pages.service_remove, name="service-remove"),
    path("applications/", application_pages.application_list, name="applications"),
    path("applications/new/", application_pages.application_new, name="application-new"),
    path("applications/import/", application_pages.application_import, name="application-import"),
    path("applications/<int:application_id>/", application_pages.application_page, name="application"),
    path("applications/<int:application_id>/change/", application_pages.application_change, name="application-change"),
    path(
        "applications/<int:application_id>/active/<str:active>/",
        application_pages.application_active,
        name="application-active",
    ),
    path("applications/<int:application_id>/remove/", application_pages.application_remove, name="application-remove"),
    path("applications/<int:application_id>/services/new/", application_pages.grant_new, name="grant-new"),
    path(
        "applications/<int:application_id>/services/<int:grant_id>/",
        application_pages.grant_change,
        name="grant-change",
    ),
    path(
        "applications/<int:application_id>/services/<int:grant_id>/remove/",
        application_pages.grant_remove,
        name="grant-remove",
    ),
    path("incidents/", incident_pages.incidents, name="incidents"),
    path("quarantine/", quarantine_page, name="quarantine"),
    path("incidents/test/", incident_pages.test_installation, name="incident-test"),
    path("incidents/<int:incident_id>/", incident_pages.incident_page, name="incident"),
    path("incidents/<int:incident_id>/mute/", incident_pages.mute, name="incident-mute"),
    path("incidents/<int:incident_id>/unmute/", incident_pages.unmute, name="incident-unmute"),
    path("callbacks/", callback_pages.callback_list, name="callbacks"),
    path("callbacks/<int:callback_id>/again/", callback_pages.callback_again, name="callback-again"),
    path("callbacks/<int:callback_id>/dismiss/", callback_pages.callback_dismiss, name="callback-dismiss"),
    path("mappings/<int:mapping_id>/owner/", incident_pages.mapping_owner, name="mapping-owner"),
    path("mappings/<int:mapping_id>/owner/test/", incident_pages.test_owner, name="mapping-owner-test"),
    path("units/", unit_list, name="units"),
    path("units/<str:name>/", unit_page, name="unit"),
    path("units/<str:name>/element-template.json", unit_template, name="unit-template"),
    path("mappings/", mapping_list, name="mappings"),
    path("mappings/add/", needs(Role.ADMINISTRATOR)(MappingFormPage.as_view()), name="mapping-add"),
    path("mappings/<int:mapping_id>/", mapping_page, name="mapping"),
    path("mappings/<int:mapping_id>/waiting/", mapping_waiting, name="mapping-waiting"),
    path("mappings/<int:mapping_id>/element-template.json", mapping_template, name="mapping-template"),
    path(
        "mappings/<int:mapping_id>/change/", needs(Role.ADMINISTRATOR)(MappingFormPage.as_view()), name="mapping-change"
    ),
    path("mappings/<int:mapping_id>/pause/", needs(Role.OPERATOR)(Pause.as_view()), name="mapping-pause"),
    path("mappings/<int:mapping_id>/resume/", needs(Role.OPERATOR)(Resume.as_view()), name="mapping-resume"),
    path("mappings/<int:mapping_id>/remove/", needs(Role.ADMINISTRATOR)(Remove.as_view()), name="mapping-remove"),
]

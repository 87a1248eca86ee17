"""What the admin pages show; Django looks for this module."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import admin as _groups  # noqa: F401 - registers Group, before it is taken away below
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static import admin as _codes  # noqa: F401 - as above
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp import admin as _apps  # noqa: F401 - as above
from django_otp.plugins.otp_totp.models import TOTPDevice

from bptl.accounts.models import User
from bptl.connections.mail_models import MailTemplate
from bptl.tasks.models import Fetch, Process, Task
from bptl.web.admin_accounts import PersonAdmin
from bptl.web.admin_mail import MailTemplateAdmin
from bptl.web.admin_tasks import FetchAdmin, ProcessAdmin, TaskAdmin

admin.site.site_header = _("Business Process Task Library")
admin.site.site_title = "BPTL"
admin.site.index_title = _("Administration")

admin.site.register(User, PersonAdmin)
# Groups are the roles: their names are fixed, and who has which is a matter of the page of people.
admin.site.unregister(Group)
# These pages would show the keys of second factors to every administrator.
admin.site.unregister([StaticDevice, TOTPDevice])
admin.site.register(MailTemplate, MailTemplateAdmin)
admin.site.register(Task, TaskAdmin)
admin.site.register(Fetch, FetchAdmin)
admin.site.register(Process, ProcessAdmin)

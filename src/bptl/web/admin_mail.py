"""Admin pages of mail templates: begin with a default, see what a mail would look like before it is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from bptl.accounts.roles import Role
from bptl.connections import mail_templates
from bptl.connections.mail_models import MailTemplate
from bptl.web.rights import needs

if TYPE_CHECKING:
    MailTemplateModelForm = forms.ModelForm[MailTemplate]
    MailTemplateModelAdmin = admin.ModelAdmin[MailTemplate]
else:
    MailTemplateModelForm = forms.ModelForm
    MailTemplateModelAdmin = admin.ModelAdmin


class MailTemplateForm(MailTemplateModelForm):
    """Sources that are text, in boxes that are wide enough for it."""

    class Meta:
        model = MailTemplate
        fields = ("name", "subject", "text", "html")
        widgets = {
            "subject": forms.TextInput(attrs={"class": "vLargeTextField", "spellcheck": "false"}),
            "text": forms.Textarea(attrs={"class": "vLargeTextField", "rows": 16, "spellcheck": "false"}),
            "html": forms.Textarea(attrs={"class": "vLargeTextField", "rows": 24, "spellcheck": "false"}),
        }


class MailTemplateAdmin(MailTemplateModelAdmin):
    """What mails say."""

    form = MailTemplateForm
    fields = ("name", "subject", "text", "html")
    list_display = ("name", "subject", "replaces_a_default", "updated_at")
    search_fields = ("name", "subject")

    @admin.display(description=_("in the place of a default"), boolean=True)
    def replaces_a_default(self, row: MailTemplate) -> bool:
        """Whether models that name a default get this one."""
        return row.name in mail_templates.NAMES

    def get_urls(self) -> list[URLPattern]:
        """The preview, beside Django's own."""
        preview = needs(Role.ADMINISTRATOR)(require_POST(self.admin_site.admin_view(self.preview)))
        return [path("preview/", preview, name="connections_mailtemplate_preview"), *super().get_urls()]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """``?name=`` one of the defaults begins with that default."""
        name = request.GET.get("name", "")
        if name not in mail_templates.NAMES:
            return {}
        default = mail_templates.default(name)
        return {"name": name, "subject": default.subject, "text": default.text, "html": default.html}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the defaults that nobody has replaced."""
        own = set(MailTemplate.objects.values_list("name", flat=True))
        defaults = [name for name in mail_templates.NAMES if name not in own]
        return super().changelist_view(request, {"defaults": defaults, **(extra_context or {})})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form, with the names that a template may use."""
        context["known_names"] = mail_templates.known_names()
        context["about_conditions"] = _("What is only there sometimes stands between {% if name %} and {% endif %}.")
        return super().render_change_form(request, context, *args, **kwargs)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The mail that the form as it stands would make of an example; nothing is saved."""
        if not (self.has_view_permission(request) or self.has_add_permission(request)):
            raise PermissionDenied
        source = mail_templates.Template(
            *(request.POST.get(name, "").replace("\r\n", "\n") for name in ("subject", "text", "html"))
        )
        faults = source.faults()
        context = {
            **self.admin_site.each_context(request),
            "title": _("Preview"),
            "faults": [(MailTemplate._meta.get_field(name), found) for name, found in faults.items()],
            "mail": None if faults else source.render(mail_templates.example()),
        }
        return TemplateResponse(request, "admin/connections/mailtemplate/preview.html", context)

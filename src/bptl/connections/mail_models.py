"""Rows of what mails say; the app's models module imports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from bptl.connections.mail_templates import Template


class MailTemplate(models.Model):
    """A template of mail.send: one of the administrators, or theirs in the place of a default of that name."""

    name = models.SlugField(
        _("name"),
        max_length=60,
        unique=True,
        help_text=_("What process models call it. The name of a default replaces that default."),
    )
    subject = models.CharField(_("subject"), max_length=500, default="{{ email.subject }}")
    text = models.TextField(_("text"), help_text=_("For programs that show no HTML; nothing is escaped here."))
    html = models.TextField(
        _("HTML"), help_text=_("What stands between the head and the foot that all mails share; values are escaped.")
    )
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("mail template")
        verbose_name_plural = _("mail templates")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def template(self) -> Template:
        """Its sources."""
        # Here: every process has this model, and few fill mails (docs/adr/0020-processes-load-what-they-use.md).
        from bptl.connections.mail_templates import Template

        return Template(self.subject, self.text, self.html)

    def clean(self) -> None:
        """Refuse what could not be filled, with the line, and names that no mail knows."""
        super().clean()
        if faults := self.template.faults():
            raise ValidationError({name: faults[name] for name in faults})

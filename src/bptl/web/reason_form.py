"""Why somebody does what cannot be done in silence."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

LONGEST_REASON = 1_000


class ReasonField(forms.CharField):
    """A reason, which is kept in the audit log with the name of who gives it."""

    def __init__(self, *, longest: int = LONGEST_REASON) -> None:
        super().__init__(
            label=_("Why"),
            max_length=longest,
            help_text=_("Kept in the audit log, with your name."),
            error_messages={"required": _("Say why: it is kept in the audit log.")},
            widget=forms.Textarea(attrs={"rows": 2, "class": "utrecht-textbox"}),
        )


class ReasonForm(forms.Form):
    """Why, and nothing else."""

    reason = ReasonField()

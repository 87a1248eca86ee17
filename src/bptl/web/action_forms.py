"""The forms of what a person does to a task: why, and for an effect what became of it."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bptl.web.reason_form import LONGEST_REASON


class ReasonForm(forms.Form):
    """Why somebody does it. ``seen`` is the lease that the page told of: what it said is no longer true of another."""

    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=LONGEST_REASON,
        help_text=gettext_lazy("Kept with the task, with your name."),
        error_messages={"required": gettext_lazy("Say why: it is kept with the task.")},
    )
    seen = forms.UUIDField(widget=forms.HiddenInput)


class SettleForm(ReasonForm):
    """What became of an effect."""

    answer = forms.ChoiceField(
        choices=[("happened", gettext_lazy("It happened")), ("did-not-happen", gettext_lazy("It did not happen"))],
        error_messages={"required": gettext_lazy("Say whether it happened.")},
    )
    result = forms.CharField(
        label=gettext_lazy("Result, when it happened"),
        required=False,
        help_text=gettext_lazy(
            "JSON: what the service answered, for instance the address of what was created. "
            'A text needs double quotes: "such as this".'
        ),
    )

    def clean_result(self) -> Any:
        """The value that the JSON says; None for an empty field."""
        text = self.cleaned_data["result"]
        if not text:
            return None
        try:
            value = json.loads(text)
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except ValueError:
            raise forms.ValidationError(_('This is not JSON. A text needs double quotes: "such as this".')) from None
        return value

    def clean(self) -> dict[str, Any]:
        """What did not happen has no result."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("answer") == "did-not-happen" and cleaned.get("result") is not None:
            self.add_error("result", _("What did not happen has no result."))
        return cleaned

"""What the address of a list of tasks may say, for the page and its exports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from bptl.accounts.roles import Role
from bptl.tasks.error_groups import KEY_LENGTH
from bptl.tasks.filters import TaskFilter
from bptl.web.rights import require
from bptl.web.words import OUTCOMES, STATUSES

_LARGEST_ID = 2**63 - 1
_PLACE = frozenset({"before", "after"})

PERIODS: Mapping[str, tuple[str | Promise, Callable[[datetime], datetime]]] = {
    "hour": (_("last hour"), lambda now: now - timedelta(hours=1)),
    "today": (_("today"), lambda now: now.replace(hour=0, minute=0, second=0, microsecond=0)),
    "day": (_("last 24 hours"), lambda now: now - timedelta(days=1)),
    "week": (_("last 7 days"), lambda now: now - timedelta(days=7)),
}
"""Short choices of a time, with when each begins. They move with the clock: the address of a list keeps its meaning."""


class _Moment(forms.DateTimeField):
    """A time as browsers send it, in the time zone of the installation."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})


class TaskFilterForm(forms.Form):
    """The filters, and the place in the list. What does not fit is an error; what is not named here is left out."""

    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("all")), *((s, word.label) for s, word in STATUSES.items())]
    )
    outcome = forms.ChoiceField(
        label=_("Outcome"), required=False, choices=[("", _("all")), *((o, word.label) for o, word in OUTCOMES.items())]
    )
    period = forms.ChoiceField(
        label=_("First seen"),
        required=False,
        choices=[("", _("at any time")), *((name, label) for name, (label, _begin) in PERIODS.items())],
    )
    topic = forms.CharField(label=_("Topic"), required=False, max_length=255)
    unit = forms.CharField(label=_("Work unit"), required=False, max_length=255)
    business_key = forms.CharField(label=_("Business key"), required=False, max_length=255)
    engine = forms.CharField(label=_("Engine"), required=False, max_length=60)
    application = forms.CharField(label=_("Application (bptlAppId)"), required=False, max_length=1000)
    process_instance = forms.CharField(label=_("Process instance"), required=False, max_length=64)
    since = _Moment(label=_("First seen from"), required=False)
    until = _Moment(label=_("First seen before"), required=False)
    text = forms.CharField(label=_("Text in variables"), required=False, max_length=200)
    error = forms.RegexField(rf"\A[0-9a-f]{{{KEY_LENGTH}}}\Z", required=False)
    before = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST_ID)
    after = forms.IntegerField(required=False, min_value=0, max_value=_LARGEST_ID)

    def clean(self) -> dict[str, Any]:
        """Refuse a time that ends before it begins."""
        found: dict[str, Any] = super().clean() or {}
        if (begin := self._since(found)) and found.get("until") and found["until"] <= begin:
            self.add_error("until", _("This is before the time at which the list begins."))
        return found

    @property
    def chosen(self) -> dict[str, str]:
        """The filters that are set and valid, as an address says them, without the place in the list."""
        found: Mapping[str, Any] = getattr(self, "cleaned_data", {})
        return {name: _said(value) for name, value in found.items() if value and name not in _PLACE}

    @property
    def rarely_chosen(self) -> bool:
        """Whether a filter is set, or wrong, that the page folds away."""
        names = {"engine", "application", "process_instance", "since", "until", "text"}
        return not names.isdisjoint({*self.chosen, *self.errors})

    def wanted(self) -> TaskFilter:
        """The same for the heart."""
        found = self.cleaned_data
        return TaskFilter(
            **{
                name: found[name]
                for name in ("status", "outcome", "engine", "topic", "unit", "application", "business_key", "text")
            },
            process_instance_id=found["process_instance"],
            error_group=found["error"],
            since=self._since(found),
            until=found["until"],
            before_id=found["before"],
        )

    def _since(self, found: Mapping[str, Any]) -> datetime | None:
        period = PERIODS.get(found.get("period") or "")
        begins = [period[1](timezone.localtime())] if period else []
        return max([*begins, *([found["since"]] if found.get("since") else [])], default=None)


def filters_of(request: HttpRequest) -> TaskFilterForm:
    """The filters of an address. Raises RoleMissing where it searches in variables for who may not read those."""
    form = TaskFilterForm(request.GET)
    if request.GET.get("text"):
        require(request, Role.OPERATOR)
    return form


def _said(value: Any) -> str:
    return timezone.localtime(value).strftime("%Y-%m-%dT%H:%M:%S") if isinstance(value, datetime) else str(value)

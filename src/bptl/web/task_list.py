"""The list of tasks: filters that combine and live in the address, pages by id, refreshing itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from bptl.accounts.roles import Role
from bptl.connections.models import AT_WORK, WITHOUT_ENGINE, Engine
from bptl.connections.models import Mapping as TopicMapping
from bptl.tasks import queries
from bptl.tasks.models import Task
from bptl.web.rights import needs, person
from bptl.web.words import OUTCOMES, STATUSES

PAGE_SIZE = 50
_LARGEST_ID = 2**63 - 1


class TaskFilterForm(forms.Form):
    """What the address of the list may say; anything else in it is left out."""

    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("all")), *((s, word.label) for s, word in STATUSES.items())]
    )
    outcome = forms.ChoiceField(
        label=_("Outcome"), required=False, choices=[("", _("all")), *((o, word.label) for o, word in OUTCOMES.items())]
    )
    engine = forms.CharField(label=_("Engine"), required=False, max_length=60)
    topic = forms.CharField(label=_("Topic"), required=False, max_length=255)
    process_instance = forms.CharField(label=_("Process instance"), required=False, max_length=64)
    business_key = forms.CharField(label=_("Business key"), required=False, max_length=255)
    before = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST_ID)
    after = forms.IntegerField(required=False, min_value=0, max_value=_LARGEST_ID)

    @property
    def chosen(self) -> dict[str, str]:
        """The filters that are set and valid, without the place in the list."""
        found: Mapping[str, Any] = getattr(self, "cleaned_data", {})
        return {name: value for name, value in found.items() if value and name not in {"before", "after"}}

    def wanted(self) -> queries.TaskFilter:
        """The same for the heart."""
        chosen = {"process_instance_id" if name == "process_instance" else name: v for name, v in self.chosen.items()}
        return queries.TaskFilter(**chosen, before_id=self.cleaned_data.get("before"))


@needs(Role.VIEWER)
@require_GET
@vary_on_headers("HX-Request")
def task_list(request: HttpRequest) -> HttpResponse:
    """The page, or its rows when it refreshes itself."""
    partial = bool(request.headers.get("HX-Request")) and not request.headers.get("HX-History-Restore-Request")
    if "" in request.GET.values():
        # A form sends empty fields too; an address that is passed on should say only what matters.
        said = {name: value for name, value in request.GET.items() if value}
        return redirect(address_of_list(said))
    form = TaskFilterForm(request.GET)
    valid = form.is_valid()
    after = form.cleaned_data.get("after") if valid else None
    page = queries.page(form.wanted(), after_id=after, limit=PAGE_SIZE) if valid else queries.TaskPage([])
    if after is not None and page.newer is None and not partial:
        return redirect(address_of_list(form.chosen))
    context = {
        "form": form,
        "page": page,
        "newer": address_of_list(form.chosen, after=page.newer) if page.newer else "",
        "older": address_of_list(form.chosen, before=page.older) if page.older else "",
        "everything": address_of_list({}),
        "newest": address_of_list(form.chosen),
        "this_page": request.get_full_path(),
        "exports": [(kind, address_of_list(form.chosen, name=f"tasks-{kind.lower()}")) for kind in ("CSV", "JSON")]
        if valid and person(request).may(Role.OPERATOR)
        else [],
    }
    if not page.tasks and valid and not form.chosen:
        context |= _what_is_missing()
    if partial:
        return render(request, "web/task_rows.html", context)
    context |= {
        "engines": Engine.objects.values_list("name", flat=True),
        "without_engine": WITHOUT_ENGINE,
        "topics": TopicMapping.objects.order_by("topic").values_list("topic", flat=True).distinct(),
    }
    return render(request, "web/task_list.html", context)


def address_of_list(wanted: Mapping[str, object], *, name: str = "tasks", **place: int) -> str:
    """The address of a list with these filters; ``name`` is that of the page, or of an export."""
    said = urlencode({**wanted, **place})
    return reverse(name) + (f"?{said}" if said else "")


def _what_is_missing() -> dict[str, object]:
    """Why an installation may have no task at all."""
    return {
        "has_engine": Engine.objects.filter(active=True).exists(),
        "has_mapping": TopicMapping.objects.filter(AT_WORK, engine__active=True).exists(),
        "fleet": queries.fleet(),
        "nothing_at_all": not Task.objects.exists(),
    }

"""Quarantine: tasks that cost processes their life, and therefore wait for a person."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from bptl.accounts.roles import Role
from bptl.tasks import quarantine
from bptl.web.rights import needs

PAGE_SIZE = 50
_LARGEST_ID = 2**63 - 1


class PlaceForm(forms.Form):
    """Where a page goes on."""

    before = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST_ID)


@needs(Role.VIEWER)
@require_safe
def quarantine_page(request: HttpRequest) -> HttpResponse:
    """The tasks that lie there, newest first, each with the processes that it cost."""
    form = PlaceForm(request.GET)
    if not form.is_valid():
        return redirect("quarantine")
    before = form.cleaned_data["before"]
    found = quarantine.page(before_id=before, limit=PAGE_SIZE + 1)
    rows = found[:PAGE_SIZE]
    context = {
        "rows": rows,
        "older": f"{reverse('quarantine')}?before={rows[-1].task.pk}" if len(found) > PAGE_SIZE else "",
        "later_page": before is not None,
    }
    return render(request, "web/quarantine.html", context)

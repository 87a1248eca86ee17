"""Who did what, when, why: the audit log, with what people did to tasks. For administrators."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from bptl.accounts.audit import Wanted
from bptl.accounts.roles import Role
from bptl.web import audit_trail
from bptl.web.audit_trail import Place, Row
from bptl.web.rights import needs

PAGE_SIZE = 50
MOST_EXPORTED = 100_000
HEAD = ("at", "actor", "action", "object_type", "object_id", "object", "reason", "address", "detail")
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class AuditFilterForm(forms.Form):
    """What the address of the list may say."""

    actor = forms.CharField(label=_("By"), required=False, max_length=150)
    action = forms.CharField(label=_("Action begins with"), required=False, max_length=60)
    object_type = forms.CharField(label=_("Kind of object"), required=False, max_length=60)
    object_id = forms.CharField(label=_("Number of the object"), required=False, max_length=64)
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("Up to and including"), required=False)
    before = forms.CharField(required=False, max_length=80)

    def wanted(self) -> Wanted:
        """The same for the domain; days begin and end in our own time zone."""
        said: dict[str, Any] = {name: value for name, value in self.cleaned_data.items() if name != "before"}
        said["since"] = _midnight(said["since"]) if said["since"] else None
        said["until"] = _midnight(said["until"] + timedelta(days=1)) if said["until"] else None
        return Wanted(**said)


@needs(Role.ADMINISTRATOR)
@require_safe
def audit_log(request: HttpRequest) -> HttpResponse:
    """The page."""
    form = AuditFilterForm(request.GET)
    if not form.is_valid():
        return render(request, "web/audit.html", {"form": form, "rows": []}, status=400)
    rows = audit_trail.page(form.wanted(), before=Place.read(form.cleaned_data["before"]), limit=PAGE_SIZE + 1)
    chosen = {name: str(value) for name, value in request.GET.items() if value and name != "before"}
    context = {
        "form": form,
        "rows": rows[:PAGE_SIZE],
        "older": _address("audit", chosen, before=str(rows[PAGE_SIZE - 1].place)) if len(rows) > PAGE_SIZE else "",
        "newest": _address("audit", chosen) if form.cleaned_data["before"] else "",
        "export": _address("audit-csv", chosen),
        "filtered": bool(chosen),
    }
    return render(request, "web/audit.html", context)


@needs(Role.ADMINISTRATOR)
@require_safe
def audit_csv(request: HttpRequest) -> HttpResponseBase:
    """The same as a file, newest first, at most MOST_EXPORTED rows."""
    form = AuditFilterForm(request.GET)
    if not form.is_valid():
        return render(request, "web/audit.html", {"form": form, "rows": []}, status=400)
    headers = {"Content-Disposition": 'attachment; filename="bptl-audit.csv"'}
    return StreamingHttpResponse(_lines(form.wanted()), content_type="text/csv; charset=utf-8", headers=headers)


class _Line:
    """A file of which each line is taken at once."""

    def write(self, text: str) -> str:
        return text


def _lines(wanted: Wanted) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(HEAD)
    before, count = None, 0
    while rows := audit_trail.page(wanted, before=before, limit=1000):
        for row in rows:
            yield writer.writerow([_cell(text) for text in _texts(row)])
        before, count = rows[-1].place, count + len(rows)
        if count >= MOST_EXPORTED:
            return


def _texts(row: Row) -> list[str]:
    detail = json.dumps(row.detail, ensure_ascii=False) if row.detail else ""
    about = [row.object_type, row.object_id, row.object_name]
    return [row.at.isoformat(), row.actor, row.action, *about, row.reason, row.address, detail]


def _cell(text: str) -> str:
    """A spreadsheet must not run what somebody typed as a reason."""
    return f"'{text}" if text.startswith(FORMULAS) else text


def _address(name: str, wanted: dict[str, str], **place: str) -> str:
    said = urlencode({**wanted, **place})
    return reverse(name) + (f"?{said}" if said else "")


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))

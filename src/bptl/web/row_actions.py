"""Changes of engines, services and applications that are made alike: saved, switched off and on, removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Model
from django.db.models.deletion import ProtectedError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from bptl.accounts import audit
from bptl.web.acting import by
from bptl.web.reason_form import LONGEST_REASON, ReasonForm
from bptl.web.written_forms import RowForm


@dataclass(frozen=True, slots=True)
class Place:
    """Where a form stands: its title, the list and the page that it goes back to."""

    title: str
    list_name: str
    list_address: str
    back: str


def edit(request: HttpRequest, form: RowForm, *, parent: Model | None = None) -> Model | None:
    """The row that a posted form has saved, with the audit record; None when the form must be shown (again).

    ``parent`` is the row in whose record the change belongs: a right to a service is a change of its application.
    """
    if request.method != "POST" or not form.is_valid():
        return None
    added = form.instance._state.adding
    with transaction.atomic():
        row: Model = form.save()
        name = row._meta.model_name
        if parent is not None:
            detail: dict[str, Any] = {"added" if added else "changed": [str(row)]}
            if not added:
                detail["fields"] = form.changed_data
            audit.record(f"{parent._meta.model_name}.changed", by=by(request), about=parent, detail=detail)
        elif added:
            audit.record(f"{name}.added", by=by(request), about=row)
        else:
            # The names of the fields, never what is in them.
            audit.record(f"{name}.changed", by=by(request), about=row, detail={"fields": form.changed_data})
    messages.success(request, _("%(name)s is saved.") % {"name": row})
    return row


def form_page(request: HttpRequest, form: Any, place: Place) -> HttpResponse:
    """The form, with what was entered and what is wrong with it."""
    return render(request, "web/row_form.html", {"form": form, "place": place})


def switch(request: HttpRequest, row: Any, *, active: bool, page: str) -> HttpResponse:
    """Switch a row off or on, for a reason, and go back to its page."""
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Nothing was changed: say why."))
        return redirect(page)
    with transaction.atomic():
        row.active = active
        # Pollers and workers notice a change by updated_at.
        row.save(update_fields=["active", "updated_at"])
        verb = "activated" if active else "deactivated"
        reason = form.cleaned_data["reason"]
        audit.record(f"{row._meta.model_name}.{verb}", by=by(request), about=row, reason=reason)
    told = _("%(name)s is active again.") if active else _("%(name)s is no longer active.")
    messages.success(request, told % {"name": row})
    return redirect(page)


def remove(
    request: HttpRequest, row: Model, place: Place, *, says: Sequence[str], parent: Model | None = None, used: str = ""
) -> HttpResponse:
    """A page that says what goes with a row, and the removal of it for a reason; 409 while it is ``used``."""
    form = ReasonForm(request.POST or None)
    if not used and request.method == "POST" and form.is_valid():
        name, reason, about = str(row), form.cleaned_data["reason"], parent if parent is not None else row
        try:
            with transaction.atomic():
                verb, detail = ("changed", {"deleted": [name]}) if parent is not None else ("deleted", {})
                audit.record(
                    f"{about._meta.model_name}.{verb}", by=by(request), about=about, reason=reason, detail=detail
                )
                row.delete()
        except ProtectedError:
            used = _("It has come into use meanwhile.")
        else:
            messages.success(request, _("%(name)s is removed.") % {"name": name})
            return redirect(place.back if parent is not None else place.list_address)
    context = {"row": row, "place": place, "form": form, "consequences": says, "used": used, "longest": LONGEST_REASON}
    return render(request, "web/row_remove.html", context, status=HTTPStatus.CONFLICT if used else HTTPStatus.OK)

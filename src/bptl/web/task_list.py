"""The list of tasks: filters that combine and live in the address, pages by id, refreshing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from bptl.accounts.roles import Role
from bptl.connections.models import AT_WORK, WITHOUT_ENGINE, Engine
from bptl.connections.models import Mapping as TopicMapping
from bptl.connections.service_models import Application
from bptl.tasks import queries, search, walks
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task
from bptl.web.rights import needs, person
from bptl.web.task_filters import TaskFilterForm, filters_of

PAGE_SIZE = 50


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
    form = filters_of(request)
    valid = form.is_valid()
    after = form.cleaned_data.get("after") if valid else None
    page, too_slow = search.TaskPage([]), False
    if valid:
        try:
            page = search.page(form.wanted(), after_id=after, limit=PAGE_SIZE)
        except walks.TooSlow:
            too_slow = True
    grouped = _grouped(form) if page.tasks else None
    if after is not None and page.newer is None and not partial and not too_slow:
        return redirect(address_of_list(form.chosen))
    reads = person(request).may(Role.OPERATOR)
    context = {
        "form": form,
        "page": page,
        "grouped": grouped,
        "causes": _causes(form, grouped),
        "all_causes": address_of_list({name: said for name, said in form.chosen.items() if name != "error"}),
        "too_slow": too_slow,
        "newer": address_of_list(form.chosen, after=page.newer) if page.newer else "",
        "older": address_of_list(form.chosen, before=page.older) if page.older else "",
        "everything": address_of_list({}),
        "newest": address_of_list(form.chosen),
        "this_page": request.get_full_path(),
        "reads": reads,
        "exports": [(kind, address_of_list(form.chosen, name=f"tasks-{kind.lower()}")) for kind in ("CSV", "JSON")]
        if valid and reads
        else [],
    }
    if not page.tasks and valid and not form.chosen:
        context |= _what_is_missing()
    if partial:
        return render(request, "web/task_rows.html", context)
    mappings = TopicMapping.objects.order_by()
    context |= {
        "engines": Engine.objects.values_list("name", flat=True),
        "without_engine": WITHOUT_ENGINE,
        "topics": mappings.order_by("topic").values_list("topic", flat=True).distinct(),
        "units": mappings.order_by("unit").values_list("unit", flat=True).distinct(),
        "applications": Application.objects.values_list("app_id", "label"),
    }
    return render(request, "web/task_list.html", context)


def _grouped(form: TaskFilterForm) -> search.Grouped | None:
    """What the tasks of a list failed of; None for a list that is not about failures, or when it takes too long."""
    chosen = form.chosen
    failed = chosen.get("outcome") == Outcome.FAILED and chosen.get("status", Status.DELIVERED) == Status.DELIVERED
    if not failed and "error" not in chosen:
        return None
    try:
        return search.error_groups(form.wanted())
    except walks.TooSlow:
        return None


def _causes(form: TaskFilterForm, grouped: search.Grouped | None) -> Sequence[tuple[search.Failures, str]]:
    """Each cause with the address of its tasks."""
    return [
        (failures, address_of_list({**form.chosen, "error": failures.group.key}) if failures.group else "")
        for failures in (grouped.groups if grouped else ())
    ]


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

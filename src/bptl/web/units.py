"""The catalogue of work units: a list to search in, a page for each, and element templates to save."""

from __future__ import annotations

import re
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from bptl.accounts.roles import Role
from bptl.connections import catalogue
from bptl.connections.models import Mapping
from bptl.web.rights import needs
from bptl.work_units import registry
from bptl.work_units.contract import WorkUnit
from bptl.work_units.description import inputs_of, outputs_of
from bptl.work_units.element_templates import element_template
from bptl.work_units.snippet import snippet

LONGEST_SEARCH = 200


@needs(Role.VIEWER)
@require_GET
def unit_list(request: HttpRequest) -> HttpResponse:
    """The units that a search finds; all of them without one."""
    wanted = request.GET.get("q", "").strip()[:LONGEST_SEARCH]
    found = catalogue.search(wanted)
    rows = [(unit, _purpose(unit).partition("\n")[0], mappings) for unit, mappings in found.units]
    context = {"wanted": wanted, "rows": rows, "broken": found.broken, "faults": found.faults}
    return render(request, "web/unit_list.html", context)


@needs(Role.VIEWER)
@require_GET
def unit_page(request: HttpRequest, name: str) -> HttpResponse:
    """One unit; an old name leads to the one of now, and one that nobody has to those that look like it."""
    try:
        unit = registry.load().get(name)
    except registry.UnknownUnit:
        known = {"name": name, "matches": catalogue.matches(name), "mappings": catalogue.using(name)}
        return render(request, "web/unit_unknown.html", known, status=404)
    if name != unit.name:
        return redirect("unit", unit.name)
    context: dict[str, Any] = {
        "unit": unit,
        # Lines end where the source wraps them; an empty line begins a paragraph.
        "purpose": _purpose(unit).split("\n\n"),
        "inputs": inputs_of(unit),
        "outputs": outputs_of(unit),
        "needs": sorted(unit.needs.items()),
        "throws": sorted(unit.throws.items()),
        "snippet": snippet(unit),
        "mappings": catalogue.using(unit.name),
    }
    return render(request, "web/unit.html", context)


@needs(Role.VIEWER)
@require_GET
def unit_template(request: HttpRequest, name: str) -> HttpResponse:
    """The element template of a unit, whose topic is its name, as a file."""
    return _template(request, name)


@needs(Role.VIEWER)
@require_GET
def mapping_template(request: HttpRequest, mapping_id: int) -> HttpResponse:
    """The element template of a mapping of an engine, with its topic, as a file."""
    mapping = get_object_or_404(Mapping, pk=mapping_id, engine__isnull=False)
    return _template(request, mapping.unit, topic=mapping.topic)


def _template(request: HttpRequest, name: str, *, topic: str = "") -> HttpResponse:
    try:
        unit = registry.load().get(name)
    except registry.UnknownUnit as error:
        raise Http404 from error
    page = request.build_absolute_uri(reverse("unit", args=[unit.name]))
    made: dict[str, Any] = element_template(unit, topic=topic, page=page, language=get_language() or "en")
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", topic or unit.name)
    return JsonResponse(
        made,
        json_dumps_params={"indent": 2, "ensure_ascii": False},
        headers={"Content-Disposition": f'attachment; filename="{safe}.json"'},
    )


def _purpose(unit: WorkUnit) -> str:
    return unit.documented(get_language() or "en")

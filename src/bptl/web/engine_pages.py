"""Engines: how they fare, what they are used for, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bptl.accounts.roles import Role
from bptl.connections import access, breakers, mappings
from bptl.connections.findings import Finding
from bptl.connections.models import Engine
from bptl.tasks import health
from bptl.tasks.health import TopicTasks
from bptl.tasks.models import Task
from bptl.web import row_actions
from bptl.web.breaker_pages import shown
from bptl.web.reach_words import engine_state
from bptl.web.rights import needs
from bptl.web.row_actions import Place
from bptl.web.written_forms import EngineForm


@needs(Role.VIEWER)
@require_safe
def engine_list(request: HttpRequest) -> HttpResponse:
    """All of them, with their state."""
    found = Engine.objects.annotate(mapping_count=Count("mappings"))
    stopped = breakers.open_now().engines
    rows = [
        (engine, engine_state(engine, health.of_engine(engine.pk), engine.mapping_count, stopped.get(engine.pk)))
        for engine in found
    ]
    return render(request, "web/engine_list.html", {"rows": rows})


@needs(Role.VIEWER)
@require_safe
def engine_page(request: HttpRequest, engine_id: int) -> HttpResponse:
    """One of them."""
    return _page(request, get_object_or_404(Engine, pk=engine_id))


@needs(Role.OPERATOR)
@require_POST
def engine_test(request: HttpRequest, engine_id: int) -> HttpResponse:
    """Ask the engine what it is and what we may, and say so on its page; nothing is changed."""
    engine = get_object_or_404(Engine, pk=engine_id)
    return _page(request, engine, access.check(engine).findings)


def _page(request: HttpRequest, engine: Engine, findings: Sequence[Finding] | None = None) -> HttpResponse:
    used = list(engine.mappings.prefetch_related("services__service").order_by("topic", "id"))
    fares, recent = health.of_engine(engine.pk), health.recent(engine.pk)
    breaker = shown(engine)
    context: dict[str, Any] = {
        "engine": engine,
        "state": engine_state(engine, fares, len(used), breaker.opening),
        "breaker": breaker,
        "opening": breaker.opening,
        "health": fares,
        "findings": findings,
        "recent": recent,
        "mappings": [(one, mappings.problems(one), recent.topics.get(one.topic, TopicTasks())) for one in used],
        "unmapped": sorted(set(recent.topics) - {mapping.topic for mapping in used}),
        "most": health.RECENT,
    }
    return render(request, "web/engine.html", context)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def engine_new(request: HttpRequest) -> HttpResponse:
    """Add one."""
    return _form(request, Engine(), _("Add an engine"), reverse("engines"))


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def engine_change(request: HttpRequest, engine_id: int) -> HttpResponse:
    """Change its settings."""
    engine = get_object_or_404(Engine, pk=engine_id)
    return _form(request, engine, _("Change engine %(name)s") % {"name": engine.name}, _address(engine))


def _form(request: HttpRequest, engine: Engine, title: str, back: str) -> HttpResponse:
    form = EngineForm(request.POST or None, instance=engine)
    if (saved := row_actions.edit(request, form)) is not None:
        return redirect("engine", saved.pk)
    return row_actions.form_page(request, form, _place(title, back))


@needs(Role.ADMINISTRATOR)
@require_POST
def engine_active(request: HttpRequest, engine_id: int, active: str) -> HttpResponse:
    """Poll it, or not."""
    engine = get_object_or_404(Engine, pk=engine_id)
    return row_actions.switch(request, engine, active=active == "on", page=_address(engine))


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def engine_remove(request: HttpRequest, engine_id: int) -> HttpResponse:
    """Forget one that has no task on record."""
    engine = get_object_or_404(Engine, pk=engine_id)
    amount = engine.mappings.count()
    says = [
        _("BPTL forgets the engine with its login. The engine itself is not touched."),
        *(
            [
                ngettext("Its mapping is removed with it.", "Its %(count)d mappings are removed with it.", amount)
                % {"count": amount}
            ]
            if amount
            else []
        ),
    ]
    kept = Task.objects.filter(engine=engine).exists()
    used = _("It has tasks on record: their story would be lost. Stop polling it instead.") if kept else ""
    place = _place(_("Remove engine %(name)s") % {"name": engine.name}, _address(engine))
    return row_actions.remove(request, engine, place, says=says, used=used)


def _address(engine: Engine) -> str:
    return reverse("engine", args=[engine.pk])


def _place(title: str, back: str) -> Place:
    return Place(title, _("Engines"), reverse("engines"), back)

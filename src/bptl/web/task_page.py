"""One task: what is wrong first, then what it is, its walk, its variables, its place in the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from bptl.accounts.roles import Role
from bptl.connections import definitions
from bptl.connections.secrets import Undecryptable
from bptl.engines.base import EngineError, EngineUnavailable, NotAuthenticated, NotAuthorized, NotFound
from bptl.tasks import queries
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task
from bptl.web import callback_pages
from bptl.web.calls import calls
from bptl.web.ledger import entries
from bptl.web.rights import needs, person
from bptl.web.task_actions import offers
from bptl.web.trouble import trouble
from bptl.web.values import shown
from bptl.web.walk import steps

_RESTING = {Status.DELIVERED, Status.LOST}
"""Statuses that seldom change, so that their page need not ask often."""


@dataclass(frozen=True, slots=True)
class Model:
    """The BPMN of a task's process, or why it cannot be shown; ``again`` when asking later may help."""

    xml: str = ""
    problem: str = ""
    todo: str = ""
    again: bool = False


@needs(Role.VIEWER)
@require_GET
@vary_on_headers("HX-Request")
def task_page(request: HttpRequest, task_id: int) -> HttpResponse:
    """The page, or its refreshed part."""
    try:
        story = queries.story(task_id)
    except Task.DoesNotExist as error:
        raise Http404 from error
    task = story.task
    result = task.result or {}
    reads = person(request).may(Role.OPERATOR)
    find = request.GET.get("variable", "").strip()
    context = {
        "task": task,
        "trouble": trouble(story),
        "steps": steps(story),
        "leases": [(lease, story.holders.get(lease.holder_id)) for lease in reversed(story.leases)],
        "events": story.events,
        "effects": entries(story, values=reads),
        "calls": calls(story, values=reads),
        "earlier_calls": story.earlier_calls,
        "callbacks": callback_pages.shown(story.callbacks),
        "variables_in": shown(task.variables, values=reads, find=find),
        "variables_out": shown(result.get("variables") or {}, values=reads, find=find),
        "find": find,
        "empty_in": _why_empty(task.variables, _("The task was fetched without variables."), emptied=task.emptied),
        "empty_out": _why_empty(
            result.get("variables"), _("The work unit answered no variables."), emptied=task.emptied
        ),
        "reads": reads,
        "offers": offers(story) if reads else [],
        "has_result": bool(task.outcome) and task.outcome != Outcome.FAILED,
        "seconds": 15 if task.status in _RESTING else 3,
    }
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request")
    return render(request, "web/task_part.html" if partial else "web/task.html", context)


@needs(Role.VIEWER)
@require_GET
def diagram(request: HttpRequest, task_id: int) -> HttpResponse:
    """The part of a task's page that needs the engine: loaded on its own, so that a slow engine delays no page."""
    task = _with_engine(task_id)
    return render(request, "web/diagram.html", {"task": task, "model": _model(task)})


@needs(Role.VIEWER)
@require_GET
def model_xml(request: HttpRequest, task_id: int) -> HttpResponse:
    """The BPMN 2.0 XML of a task's process, as a file; 403, 404 or 502 with the reason as text."""
    task = _with_engine(task_id)
    try:
        xml = ""
        if task.engine and task.process_definition_id:
            xml = definitions.xml(task.engine, task.process_definition_id)
    except NotAuthorized:
        return _refusal(_model(task), 403)
    except (EngineUnavailable, NotAuthenticated, Undecryptable):
        return _refusal(_model(task), 502)
    except EngineError:
        return _refusal(_model(task), 404)
    if not xml:
        return _refusal(_model(task), 404)
    name = task.process_definition_key or "process"
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return HttpResponse(
        xml,
        content_type="application/xml; charset=utf-8",
        # A model is somebody else's text: it is saved, never opened as a page of ours.
        headers={"Content-Disposition": f'attachment; filename="{safe}.bpmn"'},
    )


def _why_empty(variables: Mapping[str, Any] | None, none: str, *, emptied: bool) -> str:
    if emptied:
        return _("Removed by retention.")
    return _("None of them has this text.") if variables else none


def _with_engine(task_id: int) -> Task:
    tasks = Task.objects.select_related("engine").defer("variables", "result", "extension_properties")
    return get_object_or_404(tasks, id=task_id)


def _refusal(model: Model, status: int) -> HttpResponse:
    return HttpResponse(f"{model.problem}\n{model.todo}\n", content_type="text/plain; charset=utf-8", status=status)


def _model(task: Task) -> Model:
    if task.engine is None:
        return Model(problem=_("It belongs to no process that BPTL knows: it was asked for through the REST API."))
    if not task.process_definition_id:
        return Model(problem=_("The engine named no process definition for this task."))
    try:
        return Model(xml=definitions.xml(task.engine, task.process_definition_id))
    except NotAuthorized:
        user = task.engine.username or _("our user")
        return Model(
            problem=_("The user %(user)s of engine %(engine)s may not read process definitions.")
            % {"user": user, "engine": task.engine.name},
            todo=_("Grant READ on Process Definition %(key)s to see the diagram here; the tasks run without it.")
            % {"key": task.process_definition_key or "*"},
        )
    except NotFound:
        return Model(problem=_("The engine no longer has this process definition."))
    except (NotAuthenticated, Undecryptable):
        return Model(
            problem=_("Engine %(engine)s does not accept our login.") % {"engine": task.engine.name},
            todo=_("Correct username and password of the engine."),
        )
    except EngineError as error:
        return Model(
            problem=_("Engine %(engine)s gave no diagram: %(reason)s")
            % {"engine": task.engine.name, "reason": error.message},
            again=True,
        )

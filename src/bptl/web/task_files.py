"""What a task's page does not carry itself: files of its variables, and the bodies of its calls to services."""

from __future__ import annotations

from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from bptl.accounts.roles import Role
from bptl.connections.secrets import Undecryptable
from bptl.engines.base import EngineError, NoEngine, NotAuthorized, NotFound
from bptl.lib.log import get_logger
from bptl.tasks import files
from bptl.tasks.models import ServiceCall, Task
from bptl.web.problems import Problem
from bptl.web.rights import needs, person

log = get_logger(__name__)


@needs(Role.OPERATOR)
@require_GET
def task_file(request: HttpRequest, task_id: int, side: str) -> HttpResponse:
    """The file in the variable ``name`` of the address, of those that came (``in``) or were answered (``out``).

    Where the engine has it no longer, or does not give it, a page says so: 404, 403 or 502.
    """
    name = request.GET.get("name", "")
    if side not in {"in", "out"}:
        raise Http404
    try:
        content = files.read(task_id, name, answered=side == "out")
    except (Task.DoesNotExist, files.NoFile) as error:
        raise Http404 from error
    except (EngineError, Undecryptable) as error:
        status, problem = _problem(error)
        context = {"task_id": task_id, "name": name, "problem": problem}
        return render(request, "web/file_missing.html", context, status=status)
    log.info("file.downloaded", actor=person(request).get_username(), task_id=task_id, bytes=len(content.data))
    return HttpResponse(
        content.data,
        # Somebody else's file is saved, never opened as a page of ours.
        content_type="application/octet-stream",
        headers={"Content-Disposition": content_disposition_header(True, content.name), "Cache-Control": "no-store"},
    )


@needs(Role.OPERATOR)
@require_GET
@vary_on_headers("HX-Request")
def call_bodies(request: HttpRequest, task_id: int, servicecall_id: int) -> HttpResponse:
    """What was sent and answered in one call, as a part of the task's page or, without scripts, as a page."""
    call = get_object_or_404(ServiceCall, id=servicecall_id, task_id=task_id)
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request")
    return render(request, "web/call_part.html" if partial else "web/call.html", {"call": call, "task_id": task_id})


def _problem(error: EngineError | Undecryptable) -> tuple[HTTPStatus, Problem]:
    match error:
        case NotFound() | NoEngine():
            return HTTPStatus.NOT_FOUND, Problem(
                _("The file is gone"),
                _("The engine no longer has this variable: its process has ended, or somebody removed it."),
                [_("Look in the history of the engine, or in the service that the file came from.")],
            )
        case NotAuthorized():
            return HTTPStatus.FORBIDDEN, Problem(
                _("The engine does not give us the file"),
                ", ".join(error.missing) or error.message,
                [_("Grant our user READ on process instances at the engine.")],
            )
    return HTTPStatus.BAD_GATEWAY, Problem(
        _("The engine does not give the file now"), str(error), [_("Try it again in a moment.")]
    )

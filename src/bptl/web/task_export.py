"""The list of tasks as a file, CSV or JSON, for a spreadsheet or a script: streamed, and never more than MOST tasks."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from bptl.accounts.roles import Role
from bptl.lib.log import get_logger
from bptl.tasks import search, walks
from bptl.tasks.filters import TaskFilter
from bptl.tasks.models import Task
from bptl.web.rights import needs, person
from bptl.web.task_filters import filters_of
from bptl.web.task_list import address_of_list

log = get_logger(__name__)

MOST = 10_000
AT_ONCE = 500
SECONDS = 30
"""For which filters that let few tasks pass are looked for; a request ends after a minute."""

COLUMNS = (
    "id",
    "status",
    "outcome",
    "engine",
    "topic",
    "external_id",
    "process_instance_id",
    "process_definition_key",
    "activity_id",
    "business_key",
    "tenant_id",
    "attempts",
    "parked",
    "assumed",
    "by_hand",
    "recorded_at",
    "changed_at",
)
"""As ``bptl tasks list --json`` names them. Variables and results are not among them: they can be personal data."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@needs(Role.OPERATOR)
@require_GET
def export_csv(request: HttpRequest) -> HttpResponseBase:
    """The tasks of a list as CSV (UTF-8, a header, newest first); a last line of one cell when there may be more."""
    return _export(request, "csv", "text/csv; charset=utf-8", _csv)


@needs(Role.OPERATOR)
@require_GET
def export_json(request: HttpRequest) -> HttpResponseBase:
    """The same as JSON: ``tasks``, and in ``before`` the id from which another export goes on, or null."""
    return _export(request, "json", "application/json", _json)


def _export(
    request: HttpRequest, kind: str, content_type: str, write: Callable[[Iterator[search.TaskPage]], Iterator[str]]
) -> HttpResponseBase:
    form = filters_of(request)
    if not form.is_valid():
        return redirect(address_of_list(request.GET.dict()))
    try:
        pages = _pages(form.wanted())
        # Before the answer begins: a search that is too slow is told on the page of the list.
        first = next(pages)
    except walks.TooSlow:
        return redirect(address_of_list(form.chosen))
    # The values of filters can be personal data, such as a business key.
    log.info("tasks.exported", actor=person(request).get_username(), form=kind, filters=sorted(form.chosen))
    name = f"bptl-tasks-{timezone.localtime():%Y-%m-%d-%H%M}.{kind}"
    return StreamingHttpResponse(
        write(chain([first], pages)),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _pages(wanted: TaskFilter) -> Iterator[search.TaskPage]:
    """Pages of the list, each a bounded question of its own: no transaction stays open while somebody downloads."""
    left, ends = MOST, time.monotonic() + SECONDS
    while True:
        page = search.page(wanted, limit=min(AT_ONCE, left), seconds=1)
        yield page
        left -= len(page.tasks)
        if page.older is None or not left or time.monotonic() > ends:
            return
        wanted = replace(wanted, before_id=page.older)


class _Line:
    """What the csv module writes to: it hands each line on."""

    def write(self, text: str) -> str:
        return text


def _csv(pages: Iterable[search.TaskPage]) -> Iterator[str]:
    writer, older = csv.writer(_Line()), None
    yield writer.writerow(COLUMNS)
    for page in pages:
        older = page.older
        for task in page.tasks:
            yield writer.writerow([_cell(value) for value in _row(task).values()])
    if older is not None:
        yield writer.writerow([_("There may be more: go on with before=%(id)d in the address.") % {"id": older}])


def _cell(value: Any) -> Any:
    """A spreadsheet would run a text that begins like a formula, and a business key comes from outside."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(pages: Iterable[search.TaskPage]) -> Iterator[str]:
    encode = DjangoJSONEncoder(ensure_ascii=False).encode
    older, between = None, ""
    yield '{"tasks": ['
    for page in pages:
        older = page.older
        for task in page.tasks:
            yield between + encode(_row(task))
            between = ",\n"
    yield f'], "before": {encode(older)}}}\n'


def _row(task: Task) -> dict[str, Any]:
    values = {name: getattr(task, name) for name in COLUMNS if name not in {"id", "engine"}}
    found = {"id": task.pk, "engine": task.engine_name, **values}
    return {name: found[name] for name in COLUMNS}

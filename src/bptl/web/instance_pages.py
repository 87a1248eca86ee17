"""Process instances of an engine: what runs there, with its tasks here, and deletion after a page of what goes."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from bptl.accounts.roles import Role
from bptl.connections.models import Engine
from bptl.connections.secrets import Undecryptable
from bptl.engines.base import EngineError
from bptl.tasks import instances
from bptl.web import problems, unreachable
from bptl.web.acting import by
from bptl.web.problems import Problem
from bptl.web.reason_form import LONGEST_REASON, ReasonForm
from bptl.web.rights import needs

_FARTHEST = 1_000_000
"""Where paging ends: an engine looks through everything before the first row that it answers."""


class InstanceFilterForm(forms.Form):
    """What the address of the list may say."""

    process = forms.CharField(label=gettext_lazy("Process definition (key)"), required=False, max_length=255)
    business_key = forms.CharField(label=gettext_lazy("Business key"), required=False, max_length=255)
    first = forms.IntegerField(required=False, min_value=0, max_value=_FARTHEST)

    @property
    def chosen(self) -> dict[str, str]:
        """The filters that are set, without the place in the list."""
        return {name: self.cleaned_data[name] for name in ("process", "business_key") if self.cleaned_data.get(name)}


@needs(Role.VIEWER)
@require_safe
def instance_list(request: HttpRequest, engine_id: int) -> HttpResponse:
    """A page of running instances, as the engine tells them now."""
    engine = get_object_or_404(Engine, pk=engine_id)
    form = InstanceFilterForm(request.GET)
    page, first = instances.Page([]), 0
    if form.is_valid():
        first, wanted = form.cleaned_data["first"] or 0, form.cleaned_data
        try:
            page = instances.page(
                engine, definition_key=wanted["process"], business_key=wanted["business_key"], first=first
            )
        except (EngineError, Undecryptable) as error:
            return unreachable.engine_page(request, engine, error)
    here = _list_address(engine)
    context = {
        "engine": engine,
        "form": form,
        "chosen": form.chosen,
        "page": page,
        "from": first + 1,
        "to": first + len(page.rows),
        "newest": _with(here, form.chosen),
        "newer": _with(here, form.chosen, first=max(0, first - instances.PAGE)) if first else "",
        "older": _with(here, form.chosen, first=first + instances.PAGE) if page.more else "",
        "back": request.get_full_path(),
    }
    return render(request, "web/instance_list.html", context)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def instance_delete(request: HttpRequest, engine_id: int) -> HttpResponse:
    """What goes with the chosen instances (``id``, several), and their deletion for a reason.

    400 when none is chosen, 409 when all are gone, 502 or 503 when the engine does not do its part: what was typed
    stays.
    """
    engine = get_object_or_404(Engine, pk=engine_id)
    said = request.POST if request.method == "POST" else request.GET
    ids = list(dict.fromkeys(one for one in said.getlist("id") if 0 < len(one) <= 64))
    form = ReasonForm(request.POST or None)
    if not ids or len(ids) > instances.PAGE:
        problem = Problem(
            _("No instance is chosen"), todo=[_("Go back, mark at least one and at most a page of them.")]
        )
        return _confirm(request, engine, instances.Page([]), form, problem, status=HTTPStatus.BAD_REQUEST)
    try:
        page = instances.chosen(engine, ids)
    except (EngineError, Undecryptable) as error:
        if request.method != "POST":
            return unreachable.engine_page(request, engine, error)
        return _refused(request, engine, instances.Page([]), form, error, ids)
    gone = len(ids) - len(page.rows)
    if not page.rows:
        problem = Problem(
            _("All of them are gone already"), todo=[_("Nothing: they have ended, or somebody else deleted them.")]
        )
        return _confirm(request, engine, page, form, problem, status=HTTPStatus.CONFLICT)
    if request.method != "POST" or not form.is_valid():
        return _confirm(request, engine, page, form, gone=gone)
    alive = [row.instance.id for row in page.rows]
    try:
        batch = instances.delete(engine, alive, by=by(request), reason=form.cleaned_data["reason"])
    except (EngineError, Undecryptable) as error:
        return _refused(request, engine, page, form, error, alive)
    told = ngettext(
        "The engine deletes the instance now (batch %(batch)s).",
        "The engine deletes %(count)d instances now (batch %(batch)s).",
        len(alive),
    )
    soon = _("Until it is done they may still be listed.")
    messages.success(request, f"{told % {'count': len(alive), 'batch': batch}} {soon}")
    return redirect(_list_address(engine))


def _refused(
    request: HttpRequest,
    engine: Engine,
    page: instances.Page,
    form: ReasonForm,
    error: EngineError | Undecryptable,
    ids: list[str],
) -> HttpResponse:
    told = problems.of_engine(engine, error)
    again = _("Nothing was deleted. What you typed is still here: send it again when that is mended.")
    problem = Problem(told.title, told.cause, [*told.todo, again])
    return _confirm(request, engine, page, form, problem, ids=ids, status=HTTPStatus.BAD_GATEWAY)


def _confirm(
    request: HttpRequest,
    engine: Engine,
    page: instances.Page,
    form: ReasonForm,
    problem: Problem | None = None,
    *,
    ids: list[str] | None = None,
    gone: int = 0,
    status: HTTPStatus = HTTPStatus.OK,
) -> HttpResponse:
    context = {
        "engine": engine,
        "page": page,
        "ids": ids if ids is not None else [row.instance.id for row in page.rows],
        "form": form,
        "problem": problem,
        "consequences": _what_goes(page),
        "gone": gone,
        "longest": LONGEST_REASON,
        "list": _list_address(engine),
    }
    return render(request, "web/instance_delete.html", context, status=status)


def _what_goes(page: instances.Page) -> list[str]:
    amount, under_way = len(page.rows), sum(row.under_way for row in page.rows)
    says = [
        ngettext(
            "The engine ends this process instance: nothing of it goes on.",
            "The engine ends these %(count)d process instances: nothing of them goes on.",
            amount,
        )
        % {"count": amount},
        _("What they have called ends with them; a call activity that one of them serves is cancelled in its caller."),
        _("Listeners of the models do not run. The history of the engine keeps your reason and your name."),
    ]
    if under_way:
        text = ngettext(
            "One task of them is not over here: what its work unit has done outside stays done, its result is lost.",
            "%(count)d tasks of them are not over here: what their work units have done outside stays done, their "
            "results are lost.",
            under_way,
        )
        says.append(text % {"count": under_way})
    else:
        says.append(_("None of their tasks is under way here; what was done outside stays done."))
    return [*says, _("It cannot be taken back.")]


def _list_address(engine: Engine) -> str:
    return reverse("instances", args=[engine.pk])


def _with(address: str, chosen: dict[str, str], **place: int) -> str:
    said = urlencode({**chosen, **{name: value for name, value in place.items() if value}})
    return f"{address}?{said}" if said else address

"""Mappings to look at: the list, and one with its state, what waits, how it fares, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from bptl.accounts.roles import Role
from bptl.connections import breakers, engines, mappings
from bptl.connections.breakers import Open
from bptl.connections.mappings import Listed, State
from bptl.connections.models import WITHOUT_ENGINE, Engine, Mapping
from bptl.connections.secrets import Undecryptable
from bptl.engines.base import EngineError, NotAuthorized, TaskQuery
from bptl.tasks import limits, queries
from bptl.tasks.limits import Limit
from bptl.tasks.queries import Held
from bptl.web import breaker_words, limit_words
from bptl.web.mapping_consequences import waits
from bptl.web.rights import needs
from bptl.web.words import MAPPING_STATES, Word


class MappingFilterForm(forms.Form):
    """What the address of the list may say."""

    q = forms.CharField(
        label=gettext_lazy("Words in topic, work unit, engine or services"), required=False, max_length=200
    )
    engine = forms.ChoiceField(label=gettext_lazy("Engine"), required=False)
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[("", gettext_lazy("all")), *((state, word.label) for state, word in MAPPING_STATES.items())],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Engine.objects.values_list("name", flat=True)
        self.fields["engine"] = forms.ChoiceField(
            label=_("Engine"),
            required=False,
            choices=[("", _("all")), (WITHOUT_ENGINE, _("none (REST API)")), *((name, name) for name in names)],
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    listed: Listed
    held: Held
    word: Word
    why: str | Promise
    """Why an active one is not fetched now; empty when it is."""
    tasks: str
    """The address of its tasks."""


@dataclass(frozen=True, slots=True)
class AtEngine:
    """How many tasks of a topic wait at the engine, or why that cannot be said."""

    count: int = 0
    problem: str = ""
    todo: str = ""


@needs(Role.VIEWER)
@require_GET
def mapping_list(request: HttpRequest) -> HttpResponse:
    """The mappings that a search finds; all of them without one."""
    if "" in request.GET.values():
        said = urlencode({name: value for name, value in request.GET.items() if value})
        return redirect(reverse("mappings") + (f"?{said}" if said else ""))
    form = MappingFilterForm(request.GET)
    rows: list[Row] = []
    if form.is_valid():
        wanted = form.cleaned_data
        held, stopped, known = queries.held(), breakers.open_now(), limits.read()
        found = mappings.listed(wanted["q"], engine=wanted["engine"], state_is=wanted["state"])
        rows = [_row(one, held.get(one.mapping.pk, Held()), stopped, known) for one in found]
    context = {
        "form": form,
        "rows": rows,
        "filtered": bool(request.GET),
        "nothing_at_all": not rows and not Mapping.objects.exists(),
        "has_engine": Engine.objects.exists(),
    }
    return render(request, "web/mapping_list.html", context)


@needs(Role.VIEWER)
@require_GET
def mapping_page(request: HttpRequest, mapping_id: int) -> HttpResponse:
    """One of them."""
    one = found(mapping_id)
    mapping = one.mapping
    held = queries.held().get(mapping.pk, Held())
    stopped, known = breakers.open_now(), limits.read()
    unit = mappings.unit(mapping)
    context = {
        "mapping": mapping,
        "opening": stopped.stops(mapping),
        "problems": one.problems,
        "word": _not_fetched(one, stopped, known) or MAPPING_STATES[one.state],
        "unit": unit,
        "services": [(alias, need, one.services.get(alias)) for alias, need in unit.needs.items()]
        if unit
        else [(alias, None, service) for alias, service in one.services.items()],
        "held": held,
        "waits": waits(held),
        "limits": limit_words.said(limits.of(known, mapping.pk)),
        "fared": queries.fared(mapping.pk, topic=mapping.topic),
        "tasks": address_of_tasks(mapping),
        "failed": address_of_tasks(mapping, status="delivered", outcome="failed"),
        "uncertain": address_of_tasks(mapping, status="uncertain"),
    }
    return render(request, "web/mapping.html", context)


@needs(Role.VIEWER)
@require_GET
def mapping_waiting(request: HttpRequest, mapping_id: int) -> HttpResponse:
    """The part that needs the engine: loaded on its own, so that a slow engine delays no page."""
    mapping = found(mapping_id).mapping
    return render(request, "web/mapping_waiting.html", {"mapping": mapping, "waiting": at_engine(mapping)})


def found(mapping_id: int) -> Listed:
    """One mapping; 404 for one that is no more."""
    try:
        return mappings.get(mapping_id)
    except Mapping.DoesNotExist as error:
        raise Http404 from error


def address_of_tasks(mapping: Mapping, **filters: str) -> str:
    """The list of the tasks of a mapping's topic."""
    said = {"engine": mapping.engine_name, "topic": mapping.topic, **filters}
    return f"{reverse('tasks')}?{urlencode(said)}"


def at_engine(mapping: Mapping) -> AtEngine:
    """Ask the engine how many tasks of the topic wait there for anybody."""
    if mapping.engine is None:
        return AtEngine()
    told = {"engine": mapping.engine.name}
    query = TaskQuery(topic=mapping.topic, locked=False, with_retries_left=True, suspended=False)
    try:
        return AtEngine(engines.client(mapping.engine).count(query))
    except NotAuthorized:
        return AtEngine(
            problem=_("Engine %(engine)s does not allow us to count its external tasks.") % told,
            todo=_("Grant our user READ on Process Instance, resource *."),
        )
    except Undecryptable:
        return AtEngine(
            problem=_("The password of engine %(engine)s cannot be read") % told,
            todo=_("An administrator enters the password of the engine again."),
        )
    except EngineError as error:
        return AtEngine(
            problem=_("Engine %(engine)s does not answer: %(reason)s") % {**told, "reason": error.message},
            todo=_("Look whether the engine runs and can be reached."),
        )


def _row(one: Listed, held: Held, stopped: Open, known: Sequence[Limit]) -> Row:
    word = _not_fetched(one, stopped, known)
    why = word.meaning if word else ""
    return Row(one, held, word or MAPPING_STATES[one.state], why, address_of_tasks(one.mapping))


def _not_fetched(one: Listed, stopped: Open, known: Sequence[Limit]) -> Word | None:
    """What keeps an active mapping from being fetched now, in the words of the radar; None: nothing does."""
    mapping = one.mapping
    if one.state is not State.ACTIVE or mapping.engine_id is None:
        return None
    if (opening := stopped.stops(mapping)) is not None:
        return breaker_words.not_fetched(opening)
    full = next((limit for limit in limits.of(known, mapping.pk) if limit.free <= 0), None)
    return limit_words.full(full) if full is not None else None

"""What a change of a mapping does to the tasks that are here and at the engine, said before somebody does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bptl.connections.models import Mapping
from bptl.tasks.queries import Held

_PLACE = {"engine", "topic"}
_FILTERS = {"business_key", "definition_keys", "version_tag", "tenant_ids", "without_tenant"}
_FETCH = {"lock_seconds", "priority", "use_engine_priority", "oldest_first", "local_variables"}
_RUN = {"services", "longest_run_seconds", "retry_plan", "error_codes", "quarantine_after"}


def waits(held: Held) -> Sequence[str]:
    """What of a mapping is here now, one sentence each."""
    said = (
        (
            held.queued,
            ngettext("%(n)d task waits for a free place.", "%(n)d tasks wait for a free place.", held.queued),
        ),
        (held.running, ngettext("%(n)d task runs.", "%(n)d tasks run.", held.running)),
        (
            held.waiting,
            ngettext("%(n)d task waits for somebody outside.", "%(n)d tasks wait for somebody outside.", held.waiting),
        ),
        (
            held.performed,
            ngettext(
                "%(n)d result is still to be reported.", "%(n)d results are still to be reported.", held.performed
            ),
        ),
        (
            held.uncertain,
            ngettext(
                "%(n)d uncertain task waits for a person.", "%(n)d uncertain tasks wait for a person.", held.uncertain
            ),
        ),
    )
    return [text % {"n": n} for n, text in said if n] or [_("No task of it is here now.")]


def of_pause(mapping: Mapping, held: Held) -> Sequence[str]:
    """Nothing is fetched for a while."""
    if mapping.engine is None:
        first = [_("Calls of the REST API for this topic are refused (404) until it is resumed.")]
    else:
        first = [
            _("Nothing more of this topic is fetched. What waits at the engine stays there, and its processes wait."),
            _("The fetch that is under way may still bring tasks, for one long poll at most (BPTL_LONG_POLL_SECONDS)."),
        ]
    return [*first, *waits(held), *([_("What is here already is finished and reported as ever.")] if held.open else [])]


def of_resumption(mapping: Mapping, held: Held) -> Sequence[str]:
    """It is fetched for again."""
    if mapping.engine is None:
        return [_("Calls of the REST API for this topic are taken again at once.")]
    return [_("All that waits at the engine is fetched within seconds, as fast as places fall free.")]


def of_removal(mapping: Mapping, held: Held) -> Sequence[str]:
    """It is forgotten."""
    at_engine = (
        _("Calls of the REST API for this topic are refused (404).")
        if mapping.engine is None
        else _("Nothing more of this topic is fetched, unless another mapping has it too.")
    )
    here = []
    if held.queued:
        here.append(
            _("Those that wait for a place are given back to the engine; no retry is used up.")
            if mapping.engine
            else _("Those that wait for a place are not started; their callers are told.")
        )
    if held.running:
        here.append(_("Those that run are finished and reported."))
    return [
        at_engine,
        *waits(held),
        *here,
        _("Tasks on record stay; they lose only the name of their work unit."),
        _("It cannot be taken back: to stop fetching for a while, pause it instead."),
    ]


def of_change(mapping: Mapping, changed: Sequence[str], held: Held) -> Sequence[str]:
    """Other values; ``changed`` are the names of what differs."""
    names = set(changed)
    if not names:
        return []
    said = []
    if "unit" in names:
        said.append(_("The new work unit does what is fetched from now on, and also what waits here for a place."))
    if names & _RUN:
        said.append(_("What begins from now on goes by the new values, also what waits here for a place."))
    if names & {"unit", *_RUN} and held.running:
        said.append(_("What runs now is finished by the old ones."))
    if "most_at_once" in names:
        said.append(_said_of_limit(mapping.most_at_once, held))
    if names & _PLACE:
        said.append(
            _("From now on the tasks of %(new)s are fetched, and those of the old topic no longer.")
            % {"new": f"{mapping.engine_name}/{mapping.topic}"}
        )
    if names & _FILTERS:
        said.append(_("The next fetch asks for other tasks; those that fit no longer stay at the engine."))
    if names & _FETCH:
        said.append(_("What is fetched from now on is locked, ordered and given variables in the new way."))
    return [_("It is paused: nothing is fetched before it is resumed."), *said] if mapping.paused else said


def _said_of_limit(most: int | None, held: Held) -> str:
    if most is None:
        return _("As many of its tasks run at the same time as there is room for.")
    if held.running > most:
        return _("No more begin before fewer than %(most)d run; what runs now is finished.") % {"most": most}
    return _("From now on at most %(most)d run at the same time; the others stay at the engine.") % {"most": most}


def told_of_pause(mapping: Mapping, until: datetime | None) -> str:
    """What to say when it is done."""
    told = {"mapping": mapping.topic}
    return (
        _("%(mapping)s is paused until the moment that you chose.") % told
        if until
        else _("%(mapping)s is paused.") % told
    )

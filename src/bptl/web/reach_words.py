"""The state of engines and services in a word with its colour, from what polls and calls met lately."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from bptl.connections.models import Engine, Opening
from bptl.connections.service_models import Service
from bptl.tasks.health import EngineHealth, ServiceHealth
from bptl.web.breaker_words import word
from bptl.web.words import Word

INACTIVE = Word(_("not polled"), "neutral", _("It is not active: nothing is fetched."))
NOTHING_TO_POLL = Word(_("nothing to poll"), "neutral", _("It has no mapping: nothing is fetched."))
NO_POLL = Word(
    _("not polled lately"), "warning", _("No poll ended in the last hour: no poller lives, or no place is free.")
)
SILENT = Word(_("no answer"), "danger", _("The last poll got no usable answer; it is tried again by itself."))
ANSWERS = Word(_("answers"), "success", _("The last poll was answered."))

NOT_CALLED = Word(_("not called"), "neutral", _("It is not active: no task calls it."))
NO_CALL = Word(_("no calls"), "neutral", _("No call of a task is on record."))
FAILING = Word(_("fails"), "danger", _("The last call got no answer, or one of 500 or more."))
GOOD = Word(_("answers"), "success", _("The last call was answered."))


def engine_state(engine: Engine, health: EngineHealth, mapping_count: int, opening: Opening | None = None) -> Word:
    """One word for an engine; ``opening`` is that of its circuit breaker, when it is open."""
    if not engine.active:
        return INACTIVE
    if opening is not None:
        return word(opening)
    if health.failing_since is not None:
        return SILENT
    if health.answered_at is not None:
        return ANSWERS
    return NO_POLL if mapping_count else NOTHING_TO_POLL


def service_state(service: Service, health: ServiceHealth, opening: Opening | None = None) -> Word:
    """One word for a service; ``opening`` is that of its circuit breaker, when it is open."""
    if not service.active:
        return NOT_CALLED
    if opening is not None:
        return word(opening)
    if not health.calls:
        return NO_CALL
    return FAILING if health.failing_since is not None else GOOD

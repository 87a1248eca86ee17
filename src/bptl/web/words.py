"""The words and colours of statuses, outcomes and lease ends, in one place for all pages.

A tone is a colour of the theme: neutral, active, success, warning or danger. It supports the word, never replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from bptl.accounts.tokens import State as TokenState
from bptl.connections.mappings import State
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import EFFECT_DOUBLED, Callback, Effect, ProcessKind


@dataclass(frozen=True, slots=True)
class Word:
    """A label, its tone, and what it means in a sentence."""

    label: str | Promise
    tone: str = "neutral"
    meaning: str | Promise = ""


STATUSES: Mapping[str, Word] = {
    Status.QUEUED: Word(_("queued"), "neutral", _("Fetched; waits for a free place of a worker.")),
    Status.RUNNING: Word(_("running"), "active", _("A worker runs its work unit.")),
    Status.WAITING: Word(_("waiting"), "warning", _("Somebody outside BPTL will complete it.")),
    Status.PERFORMED: Word(_("performed"), "active", _("The work has an outcome; the engine is being told.")),
    Status.DELIVERED: Word(_("delivered"), "neutral", _("The engine has taken the outcome.")),
    Status.RETURNED: Word(_("returned"), "neutral", _("Lies at the engine until it is fetched again.")),
    Status.UNCERTAIN: Word(_("uncertain"), "danger", _("An effect may have happened: a person decides.")),
    Status.LOST: Word(_("lost"), "warning", _("The engine no longer knows the task.")),
}

OUTCOMES: Mapping[str, Word] = {
    Outcome.COMPLETED: Word(_("completed"), "success", _("Done; the process went on.")),
    Outcome.FAILED: Word(_("failed"), "danger", _("Ended with an error; without retries left it is an incident.")),
    Outcome.THROWN: Word(_("BPMN error"), "warning", _("A rule of the business said no; the model goes another way.")),
}

LEASE_ENDS: Mapping[str, Word] = {
    LeaseEnd.DELIVERED: Word(_("the engine took the report"), "success"),
    LeaseEnd.GIVEN_BACK: Word(_("given back to the engine"), "neutral"),
    LeaseEnd.EXPIRED: Word(_("the lock ran out"), "warning"),
    LeaseEnd.REFUSED: Word(_("the engine refused: the lock is not ours"), "warning"),
    LeaseEnd.PROCESS_DEAD: Word(_("the process died"), "danger"),
    LeaseEnd.SUPERSEDED: Word(_("replaced by a newer lease"), "neutral"),
    LeaseEnd.LOST: Word(_("the engine no longer knows the task"), "warning"),
}

MAPPING_STATES: Mapping[str, Word] = {
    State.ACTIVE: Word(_("active"), "success", _("Its topic is fetched.")),
    State.PAUSED: Word(_("paused"), "warning", _("Nothing is fetched until it is resumed.")),
    State.BROKEN: Word(_("broken"), "danger", _("Nothing is fetched: its unit, or a service of it, is not there.")),
    State.ENGINE_OFF: Word(_("engine inactive"), "neutral", _("Nothing is fetched: its engine is not polled.")),
}

TOKEN_STATES: Mapping[str, Word] = {
    TokenState.VALID: Word(_("valid"), "success", _("Its key is taken.")),
    TokenState.EXPIRED: Word(_("expired"), "warning", _("Its key is refused: its time is over.")),
    TokenState.REVOKED: Word(_("revoked"), "neutral", _("Its key is refused.")),
    TokenState.USER_KEPT_OUT: Word(_("user kept out"), "warning", _("Its key is refused as long as its user is.")),
}

EFFECT_ENDS: Mapping[str, Word] = {
    "": Word(_("open"), "warning", _("Nobody knows yet whether it happened.")),
    Effect.End.HAPPENED: Word(_("happened"), "success", _("It is not done again.")),
    Effect.End.DID_NOT_HAPPEN: Word(_("did not happen"), "neutral", _("The next attempt does it.")),
}

CALLBACK_STATES: Mapping[str, Word] = {
    Callback.State.WAITING: Word(_("waiting"), "active", _("It is called once the engine has taken the result.")),
    Callback.State.DELIVERED: Word(_("delivered"), "success", _("Its receiver has taken it.")),
    Callback.State.REFUSED: Word(_("refused"), "danger", _("Nothing more is sent there, as things are.")),
    Callback.State.GIVEN_UP: Word(_("given up"), "danger", _("Its receiver took it on no try of a whole day.")),
    Callback.State.DISMISSED: Word(_("dismissed"), "neutral", _("A person said that nobody needs to be called.")),
}

DOUBLED = Word(_("happened twice"), "danger", _("The service holds it more than once: look there."))

EVENTS: Mapping[str, Word] = {
    "task.uncertain": Word(_("nobody knows whether its effect happened"), "danger"),
    "effect.settled": Word(_("a person said what became of an effect"), "active"),
    "task.settled": Word(_("all effects are settled: it is offered again"), "active"),
    "task.answered": Word(_("a person answered in the place of the outside"), "active"),
    "task.given_up": Word(_("given up by a person: it stays an incident"), "active"),
    EFFECT_DOUBLED: Word(_("an effect happened twice"), "danger"),
    "callback.tried_again": Word(_("a person has its callback tried again"), "active"),
    "callback.dismissed": Word(_("a person dismissed its callback"), "active"),
    "effect.contradicted": Word(_("a late answer says something else about an effect"), "warning"),
}
"""Events that have words of their own; the others are shown by their name."""

PROCESS_KINDS: Mapping[str, str | Promise] = {kind.value: kind.label for kind in ProcessKind}

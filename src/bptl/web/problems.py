"""Why an engine or a service did not do its part, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from bptl.clients.errors import Busy, NoAnswer, NotSent, ServiceError
from bptl.connections import diagnosis
from bptl.connections.models import Engine
from bptl.connections.secrets import Undecryptable
from bptl.connections.service_models import Service
from bptl.engines.base import EngineError, EngineUnavailable, NotAuthenticated, NotAuthorized, WrongAddress


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something was not done, and what to do now."""

    title: str
    cause: str = ""
    todo: Sequence[str] = field(default_factory=list)


def of_engine(engine: Engine, error: EngineError | Undecryptable, *, usual: str = "") -> Problem:
    """Why an engine did not do its part, and what helps. ``usual``: rights that it may miss without naming them."""
    told = {"engine": engine.name}
    match error:
        case Undecryptable():
            title = _("The password of engine %(engine)s cannot be read")
            return Problem(title % told, str(error), [_("An administrator enters the password of the engine again.")])
        case NotAuthenticated():
            todo = [
                _("Correct username and password of the engine."),
                _("After wrong tries an engine refuses the right password too, for a while."),
            ]
            return Problem(_("Engine %(engine)s does not accept our login.") % told, error.message, todo)
        case NotAuthorized():
            missing = ", ".join(error.missing) or usual
            named = _("Let an administrator of the engine grant our user: %(rights)s.") % {"rights": missing}
            todo = [named if missing else _("Let an administrator of the engine grant our user what it lacks.")]
            return Problem(_("Engine %(engine)s does not allow us this") % told, missing or error.message, todo)
        case WrongAddress():
            todo = [_("Correct the address of the engine: the root of its REST API, usually /engine-rest/.")]
            return Problem(_("What answers is not engine %(engine)s") % told, error.message, todo)
        case EngineUnavailable():
            cause = diagnosis.reason(error, engine.address) or error.message
            todo = [
                _("Look whether the engine runs and can be reached."),
                _("No task is lost meanwhile: results are kept and reported when it answers again."),
            ]
            return Problem(_("Engine %(engine)s does not answer") % told, cause, todo)
    todo = [_("Mend what the engine complains about.")]
    return Problem(_("Engine %(engine)s refuses this") % told, error.message, todo)


def of_service(service: Service, error: ServiceError | Undecryptable) -> Problem:
    """Why a service did not do its part, and what helps."""
    told = {"service": service.name}
    if isinstance(error, Undecryptable):
        title = _("The secret of service %(service)s cannot be read")
        return Problem(title % told, str(error), [_("An administrator enters the secret of the service again.")])
    test = _("Test its connection: that says what is wrong and what to do.")
    if isinstance(error, NotSent | NoAnswer):
        cause = diagnosis.reason(error, service.outway or service.address) or str(error)
        todo = [_("Look whether the service runs and can be reached."), test]
        return Problem(_("Service %(service)s does not answer") % told, cause, todo)
    if isinstance(error, Busy):
        todo = [_("Try again later.")]
        return Problem(_("Service %(service)s has no time for us now") % told, str(error), todo)
    return Problem(_("Service %(service)s refuses this") % told, str(error), [test])

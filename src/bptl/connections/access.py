"""Can we work for an engine? An unauthorised fetch answers an empty list, so that is asked in another way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bptl.connections import diagnosis
from bptl.connections.engines import anonymous, client
from bptl.connections.findings import Finding, Mark, of_certificates
from bptl.connections.mappings import active_mappings
from bptl.connections.models import Authentication, Engine
from bptl.connections.secrets import Undecryptable
from bptl.engines import base
from bptl.engines.base import EngineError, NotAuthenticated, Resource
from bptl.lib.oauth2 import TokenError

GRANT = gettext_lazy(
    "grant it READ, UPDATE and UPDATE_VARIABLE on Process Instance, resource *. When it has rights on single process "
    "definitions, name those in the mappings"
)
PATIENCE = gettext_lazy(
    "after wrong tries the engine refuses the right password too, for 3 s to a minute, and after ten until an "
    "administrator unlocks the user"
)


@dataclass(frozen=True, slots=True)
class Right:
    """A permission on every resource of a kind."""

    permission: str
    resource: Resource

    def __str__(self) -> str:
        return f"{self.permission} on {self.resource.title()}"


@dataclass(frozen=True, slots=True)
class Extra:
    """Something BPTL does where it may: ``without`` says what happens where it may not."""

    what: Promise
    rights: tuple[Right, ...]
    without: Promise


EXTRAS = (
    Extra(
        gettext_lazy("reading models"),
        (Right("READ", Resource.PROCESS_DEFINITION),),
        gettext_lazy("tasks have no diagram, and whether a BPMN error is caught is not checked"),
    ),
    Extra(
        gettext_lazy("starting processes"),
        (
            Right("CREATE", Resource.PROCESS_INSTANCE),
            Right("CREATE_INSTANCE", Resource.PROCESS_DEFINITION),
            Right("READ", Resource.PROCESS_DEFINITION),
        ),
        gettext_lazy("units that start processes fail and name these rights"),
    ),
    Extra(
        gettext_lazy("reading history"),
        (Right("READ_HISTORY", Resource.PROCESS_DEFINITION),),
        gettext_lazy("a start whose answer was lost and whose process has ended already is left to a person"),
    ),
    Extra(
        gettext_lazy("deploying models"),
        (Right("CREATE", Resource.DEPLOYMENT),),
        gettext_lazy("bptl engines deploy is refused"),
    ),
    Extra(
        gettext_lazy("deleting process instances"),
        (Right("CREATE", Resource.BATCH),),
        gettext_lazy("the page of process instances can show and not delete them"),
    ),
)


@dataclass(frozen=True, slots=True)
class Access:
    """What was found about one engine; ``version`` is empty when it did not answer us."""

    version: str
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing bad was found."""
        return all(finding.mark is not Mark.BAD for finding in self.findings)


def check(engine: Engine) -> Access:
    """Ask ``engine`` (a saved row) for its version, its manners and our rights, without any side effect."""
    try:
        certificates = tuple(of_certificates(engine))
        live = client(engine)
        version = live.version()
    except Undecryptable as error:
        return _bad(str(error))
    except EngineError as error:
        return _bad(_why_not(engine, error), *certificates)
    told = {"address": engine.address, "product": engine.get_product_display(), "version": version}
    findings = [Finding(Mark.GOOD, _("%(address)s answers: %(product)s %(version)s") % told)]
    findings += certificates
    try:
        findings += _manners(engine)
        findings.append(_rights(engine, live))
        findings += _extras(live)
    except EngineError as error:
        text = _("our right to fetch could not be asked: %(reason)s")
        findings.append(Finding(Mark.DOUBT, text % {"reason": error.message}))
    return Access(version, tuple(findings))


def _why_not(engine: Engine, error: EngineError) -> str:
    told = {"address": engine.address, "name": engine.name, "patience": PATIENCE}
    if isinstance(error.__cause__, TokenError):
        why = diagnosis.reason(error, engine.token_address) or error.message
        text = _("no token for %(address)s: %(why)s; correct it on its page, or with bptl engines set %(name)s")
        return text % {**told, "why": why}
    if isinstance(error, NotAuthenticated):
        text = _(
            "%(address)s refuses our login: correct it on its page, or with bptl engines set %(name)s; %(patience)s"
        )
        return text % told
    why = diagnosis.reason(error, engine.address) or error.message
    return _("%(address)s gives no usable answer: %(why)s") % {**told, "why": why}


def _manners(engine: Engine) -> list[Finding]:
    if engine.authentication == Authentication.NONE:
        text = _("the engine asks nobody to log in: whoever reaches it can do everything")
        return [Finding(Mark.DOUBT, text)]
    nobody = anonymous(engine)
    try:
        nobody.version()
    except NotAuthenticated:
        return [Finding(Mark.GOOD, _("our login is accepted: the same question without it was refused"))]
    finally:
        nobody.close()
    return [Finding(Mark.DOUBT, _("our login was not needed: the engine answers the same question without it"))]


def _rights(engine: Engine, live: base.Engine) -> Finding:
    may_fetch = live.may_fetch()
    if may_fetch is None:
        return Finding(Mark.GOOD, _("fetching is allowed: the engine asks nobody to log in"))
    if may_fetch:
        text = _("fetching is allowed: the engine's authorization check says so for every process")
        return Finding(Mark.GOOD, text)
    mappings = active_mappings(engine)
    keys = sorted({key for mapping in mappings for key in mapping.definition_keys})
    if mappings and all(mapping.definition_keys for mapping in mappings):
        refused = [key for key in keys if not live.may_fetch(definition_key=key)]
        if not refused:
            text = _("fetching is allowed: the engine's authorization check says so for %(processes)s")
            return Finding(Mark.GOOD, text % {"processes": ", ".join(keys)})
        wherefrom = ", ".join(refused)
    else:
        wherefrom = _("every process")
    text = _(
        "fetching would find nothing, or not everything: the engine's authorization check says that %(user)s may not "
        "read and update the instances of %(processes)s; %(grant)s"
    )
    told = {"user": engine.username or _("our user"), "processes": wherefrom, "grant": GRANT}
    return Finding(Mark.BAD, text % told)


def _extras(live: base.Engine) -> list[Finding]:
    """What needs more than fetching: neither good nor bad, but an operator wants to know what to expect."""
    found = []
    for extra in EXTRAS:
        lacking = missing(live, extra.rights)
        text = (
            _("%(what)s is off: our user lacks %(rights)s; %(without)s")
            if lacking
            else _("%(what)s is on: our user has %(rights)s")
        )
        rights = ", ".join(map(str, lacking or extra.rights))
        found.append(Finding(Mark.GOOD, text % {"what": extra.what, "rights": rights, "without": extra.without}))
    return found


def missing(live: base.Engine, rights: Iterable[Right]) -> list[Right]:
    """Those of ``rights`` that our user lacks on every resource, by the engine's own check; raises EngineError."""
    return [right for right in rights if live.may(right.permission, on=right.resource) is False]


def right(text: str) -> Right | None:
    """The right that a work unit names, such as ``CREATE on process instance (only for …)``; None when it is none."""
    found = re.match(r"([A-Z_]+) on ([a-z ]+?)(?: \(.*)?$", text)
    if found is None or found[2] not in list(Resource):
        return None
    return Right(found[1], Resource(found[2]))


def _bad(text: str, *others: Finding) -> Access:
    return Access("", (Finding(Mark.BAD, text), *others))

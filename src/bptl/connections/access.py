"""Can we work for an engine? An unauthorised fetch answers an empty list, so that is asked in another way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bptl.connections import diagnosis
from bptl.connections.engines import anonymous, client
from bptl.connections.findings import Finding, Mark, of_certificates
from bptl.connections.mappings import active_mappings
from bptl.connections.models import Authentication, Engine
from bptl.connections.secrets import Undecryptable
from bptl.engines import base
from bptl.engines.base import EngineError, NotAuthenticated, Resource
from bptl.lib.oauth2 import TokenError

GRANT = (
    "grant it READ, UPDATE and UPDATE_VARIABLE on Process Instance, resource *. When it has rights on single process "
    "definitions, name those in the mappings"
)
PATIENCE = (
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

    what: str
    rights: tuple[Right, ...]
    without: str


EXTRAS = (
    Extra(
        "reading models",
        (Right("READ", Resource.PROCESS_DEFINITION),),
        "tasks have no diagram, and whether a BPMN error is caught is not checked",
    ),
    Extra(
        "starting processes",
        (
            Right("CREATE", Resource.PROCESS_INSTANCE),
            Right("CREATE_INSTANCE", Resource.PROCESS_DEFINITION),
            Right("READ", Resource.PROCESS_DEFINITION),
        ),
        "units that start processes fail and name these rights",
    ),
    Extra(
        "reading history",
        (Right("READ_HISTORY", Resource.PROCESS_DEFINITION),),
        "a start whose answer was lost and whose process has ended already is left to a person",
    ),
    Extra("deploying models", (Right("CREATE", Resource.DEPLOYMENT),), "bptl engines deploy is refused"),
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
    findings = [Finding(Mark.GOOD, f"{engine.address} answers: {engine.get_product_display()} {version}")]
    findings += certificates
    try:
        findings += _manners(engine)
        findings.append(_rights(engine, live))
        findings += _extras(live)
    except EngineError as error:
        findings.append(Finding(Mark.DOUBT, f"our right to fetch could not be asked: {error.message}"))
    return Access(version, tuple(findings))


def _why_not(engine: Engine, error: EngineError) -> str:
    if isinstance(error.__cause__, TokenError):
        why = diagnosis.reason(error, engine.token_address) or error.message
        return f"no token for {engine.address}: {why}; correct it with bptl engines set {engine.name}"
    if isinstance(error, NotAuthenticated):
        return f"{engine.address} refuses our login: correct it with bptl engines set {engine.name}; {PATIENCE}"
    return f"{engine.address} gives no usable answer: {diagnosis.reason(error, engine.address) or error.message}"


def _manners(engine: Engine) -> list[Finding]:
    if engine.authentication == Authentication.NONE:
        return [Finding(Mark.DOUBT, "the engine asks nobody to log in: whoever reaches it can do everything")]
    nobody = anonymous(engine)
    try:
        nobody.version()
    except NotAuthenticated:
        return [Finding(Mark.GOOD, "our login is accepted: the same question without it was refused")]
    finally:
        nobody.close()
    return [Finding(Mark.DOUBT, "our login was not needed: the engine answers the same question without it")]


def _rights(engine: Engine, live: base.Engine) -> Finding:
    may_fetch = live.may_fetch()
    if may_fetch is None:
        return Finding(Mark.GOOD, "fetching is allowed: the engine asks nobody to log in")
    if may_fetch:
        return Finding(Mark.GOOD, "fetching is allowed: the engine's authorization check says so for every process")
    mappings = active_mappings(engine)
    keys = sorted({key for mapping in mappings for key in mapping.definition_keys})
    if mappings and all(mapping.definition_keys for mapping in mappings):
        refused = [key for key in keys if not live.may_fetch(definition_key=key)]
        if not refused:
            named = ", ".join(keys)
            return Finding(Mark.GOOD, f"fetching is allowed: the engine's authorization check says so for {named}")
        wherefrom = f"of {', '.join(refused)}"
    else:
        wherefrom = "of every process"
    return Finding(
        Mark.BAD,
        "fetching would find nothing, or not everything: the engine's authorization check says that "
        f"{engine.username or 'our user'} may not read and update the instances {wherefrom}; {GRANT}",
    )


def _extras(live: base.Engine) -> list[Finding]:
    """What needs more than fetching: neither good nor bad, but an operator wants to know what to expect."""
    found = []
    for extra in EXTRAS:
        names = " and ".join(str(right) for right in extra.rights)
        lacking = missing(live, extra.rights)
        if lacking:
            text = f"{extra.what} is off: our user lacks {', '.join(map(str, lacking))}; {extra.without}"
        else:
            text = f"{extra.what} is on: our user has {names}"
        found.append(Finding(Mark.GOOD, text))
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

"""Can we work for an engine? An unauthorised fetch answers an empty list, so that is asked in another way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bptl.connections.engines import anonymous, client
from bptl.connections.mappings import active_mappings
from bptl.connections.models import Authentication, Engine
from bptl.connections.secrets import Undecryptable
from bptl.engines import base
from bptl.engines.base import EngineError, NotAuthenticated

GRANT = (
    "grant it READ, UPDATE and UPDATE_VARIABLE on Process Instance, resource *. When it has rights on single process "
    "definitions, name those in the mappings"
)
PATIENCE = (
    "after wrong tries the engine refuses the right password too, for 3 s to a minute, and after ten until an "
    "administrator unlocks the user"
)


class Mark(StrEnum):
    """How a finding weighs."""

    GOOD = "ok"
    DOUBT = "doubt"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, in a sentence that says how we know it and, when it is bad, what to do."""

    mark: Mark
    text: str


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
        live = client(engine)
        version = live.version()
    except Undecryptable as error:
        return _bad(str(error))
    except NotAuthenticated:
        return _bad(f"{engine.address} refuses our login: correct it with bptl engines set {engine.name}; {PATIENCE}")
    except EngineError as error:
        return _bad(f"{engine.address} gives no usable answer: {error.message}")
    findings = [Finding(Mark.GOOD, f"{engine.address} answers: {engine.get_product_display()} {version}")]
    try:
        findings += _manners(engine)
        findings.append(_rights(engine, live))
    except EngineError as error:
        findings.append(Finding(Mark.DOUBT, f"our right to fetch could not be asked: {error.message}"))
    return Access(version, tuple(findings))


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


def _bad(text: str) -> Access:
    return Access("", (Finding(Mark.BAD, text),))

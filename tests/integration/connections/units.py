"""Units that reach services."""

from __future__ import annotations

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient
from bptl.work_units.contract import Inputs, Need, Outputs, Work, work_unit


class Zaken(ServiceClient):
    kinds = frozenset({Kind.ZAKEN})


class Anything(ServiceClient):
    pass


class Zaak(Inputs):
    """A zaak, by its address."""

    zaakUrl: str = "zaken/1"  # noqa: N815
    url: str = ""


class Omschrijving(Outputs):
    """What it says of itself."""

    omschrijving: str


@work_unit("test.read_zaak", needs={"zrc": "Zaken API", "zac": Need(Kind.OTHER, "employees", optional=True)})
def read_zaak(work: Work, inputs: Zaak) -> Omschrijving:
    """Read a zaak."""
    client = work.connect(Zaken, "zrc", url=inputs.url or None)
    return Omschrijving(omschrijving=client.fetch(inputs.url or inputs.zaakUrl)["omschrijving"])


@work_unit("test.read_anything", needs={"service": Need(None, "any service")})
def read_anything(work: Work, inputs: Zaak) -> Omschrijving:
    """Read something that needs no application."""
    return Omschrijving(omschrijving=work.connect(Anything, "service").fetch(inputs.zaakUrl)["omschrijving"])


@work_unit("test.read_two", needs={"a": Need(None, "any service"), "b": Need(None, "another one")})
def read_two(work: Work, inputs: Zaak) -> Omschrijving:
    """Read something that the first service says, unless the second says otherwise."""
    found = [work.connect(Anything, alias).fetch(inputs.zaakUrl) for alias in ("a", "b")]
    return Omschrijving(omschrijving=found[-1]["omschrijving"] or found[0]["omschrijving"])


ALL = (read_two, read_zaak, read_anything)

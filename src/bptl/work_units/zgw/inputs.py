"""Inputs that many units of this theme have: addresses of resources, the zaak, and the headers of NLX."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, WithJsonSchema

from bptl.clients.zgw import uuid_of
from bptl.work_units.contract import Inputs
from bptl.work_units.description import ADDRESS

NLX_PROCESS = "X-NLX-Request-Process-Id"
NLX_SUBJECT = "X-NLX-Request-Subject-Identifier"


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be the address of a resource, such as https://zaken.example.com/api/v1/zaken/<uuid>")
    return value


def _of_one(value: str) -> str:
    uuid_of(value)
    return value


Address = Annotated[str, AfterValidator(_address), WithJsonSchema(ADDRESS)]
"""The absolute address of a resource. It stays text: addresses are compared character by character by the APIs."""

ResourceAddress = Annotated[Address, AfterValidator(_of_one)]
"""An address that ends with the UUID of one resource."""

Rsin = Annotated[str, Field(pattern=r"^\d{9}$")]
"""Of an organisation: nine digits."""


class OfZaak(Inputs):
    """The zaak that the unit works on."""

    zaakUrl: ResourceAddress = Field(
        validation_alias=AliasChoices("zaakUrl", "zaak"), description="Address (URL) of the zaak."
    )


class Nlx(Inputs):
    """Why data are asked for, for the log of an NLX outway."""

    NLXProcessId: str = Field(
        "", pattern=r"^[ -~]*$", description=f"Process of the doelbinding; sent as the header {NLX_PROCESS}."
    )
    NLXSubjectIdentifier: str = Field(
        "", pattern=r"^[ -~]*$", description=f"Whom the data are about; sent as the header {NLX_SUBJECT}."
    )

    @property
    def headers(self) -> dict[str, str]:
        """The headers to connect with; none where the variables are empty."""
        given: dict[str, Any] = {NLX_PROCESS: self.NLXProcessId, NLX_SUBJECT: self.NLXSubjectIdentifier}
        return {name: value for name, value in given.items() if value}

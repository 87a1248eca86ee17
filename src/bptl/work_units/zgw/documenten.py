"""Documents (informatieobjecten): a new one in a zaak, and locks for models that change one in steps of their own."""

from __future__ import annotations

import base64
from datetime import date
from mimetypes import guess_type
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bptl.clients.access import Kind
from bptl.clients.catalogi import CatalogiClient
from bptl.clients.documenten import DocumentenClient
from bptl.clients.zaken import ZakenClient
from bptl.engines.variables import File
from bptl.work_units.contract import Inputs, Need, NeverAgain, Outputs, Work, work_unit
from bptl.work_units.zgw import inhoud, locks
from bptl.work_units.zgw.effects import DUTCH, choose, now
from bptl.work_units.zgw.inputs import Address, OfZaak, ResourceAddress, Rsin
from bptl.work_units.zgw.relaties import attach
from bptl.work_units.zgw.typen import informatieobjecttype_of
from bptl.work_units.zgw.zaken import kenmerk_of

Vertrouwelijkheidaanduiding = Literal[
    "openbaar",
    "beperkt_openbaar",
    "intern",
    "zaakvertrouwelijk",
    "vertrouwelijk",
    "confidentieel",
    "geheim",
    "zeer_geheim",
]

DRC = Need(Kind.DOCUMENTEN, "Documenten API; without it, the registered service that owns the address", optional=True)


class Document(Inputs):
    """The document."""

    informatieobject: ResourceAddress = Field(description="Address (URL) of the informatieobject (document).")


class LockedDocument(Document):
    """The document, and its lock."""

    lockId: str = Field(min_length=1, max_length=100, description="The lock, from the unit that locked the document.")


class Locked(Outputs):
    """The lock."""

    lockId: str = Field(description="The lock: who knows it may change the document, and unlock it.")


@work_unit(
    "zgw.lock_document",
    needs={"drc": DRC},
    replaces="bptl.work_units.zgw.tasks.documents.LockDocument",
    nl="""
    Zet een document op slot.

    Alleen wie het slot (lockId) kent, kan het document daarna wijzigen en weer van het slot halen: doe dat met
    zgw.unlock_document. Is het document al op slot, dan wordt het later opnieuw geprobeerd. Ging het antwoord met het
    slot verloren en is het document op slot, dan is de taak onzeker: het slot wordt maar één keer verteld.
    """,
)
def lock_document(work: Work, inputs: Document) -> Locked:
    """Lock a document.

    From then on only who knows the lock (lockId) can change it, or unlock it: zgw.unlock_document does that. A document
    that is locked already is tried again by the retry plan.

    The lock is recorded as soon as it is known, so a later attempt gives the same one. The Documenten API tells it only
    once: when that answer was lost and the document is locked, the task is uncertain. Then see whether somebody edits
    the document; if nobody does, unlock it by force and say that our lock did not happen.

    Differs from the existing BPTL: an address of an unregistered service is refused (credentials went anywhere).
    """
    drc = work.connect(DocumentenClient, "drc", url=inputs.informatieobject)
    return Locked(lockId=locks.take(work, drc, inputs.informatieobject).value)


@work_unit(
    "zgw.unlock_document",
    needs={"drc": DRC},
    replaces="bptl.work_units.zgw.tasks.documents.UnlockDocument",
    nl="""
    Haal een document van het slot.

    Is het document al van het slot, dan is het goed. Is het met een ander slot vergrendeld, dan wordt dat geweigerd.
    """,
)
def unlock_document(work: Work, inputs: LockedDocument) -> None:
    """Unlock a document.

    One that is not locked is what was wanted. One that is locked with another lock is an incident.

    Differs from the existing BPTL, which took the answer of the Documenten API (204) for an error after it had
    unlocked.
    """
    drc = work.connect(DocumentenClient, "drc", url=inputs.informatieobject)
    locks.unlock(work, drc, inputs.informatieobject, inputs.lockId)


class NieuwDocument(OfZaak):
    """The document, and what is known of it."""

    inhoudCodering: Literal["tekst", "base64"] = Field(
        "tekst", description="What a text in inhoud is: the content itself, or bytes written as base64."
    )
    inhoud: File | bytes | str = Field(description="The content: a file, bytes, or text (see inhoudCodering).")
    informatieobjecttype: Address | None = Field(None, description="Address of the informatieobjecttype.")
    informatieobjecttypeOmschrijving: str = Field(
        "",
        description="omschrijving of the informatieobjecttype within the zaaktype, when there is no "
        "informatieobjecttype.",
    )
    titel: str = Field(min_length=1, max_length=200, description="Title of the document.")
    auteur: str = Field(min_length=1, max_length=200, description="Who wrote it: a person or an organisation.")
    bronorganisatie: Rsin | None = Field(
        None, description="RSIN of the organisation that made or received it; empty: the bronorganisatie of the zaak."
    )
    creatiedatum: date | None = Field(None, description="Day on which it was made; empty: that of the first attempt.")
    bestandsnaam: str = Field("", max_length=255, description="Name of the file; empty: that of the file in inhoud.")
    formaat: str = Field(
        "", max_length=255, description="Media type, such as application/pdf; empty: what file or name say."
    )
    taal: str = Field("nld", pattern=r"^[a-z]{3}$", description="Language, as ISO 639-2/B writes it.")
    vertrouwelijkheidaanduiding: Vertrouwelijkheidaanduiding | None = Field(
        None, description="Who may see it; empty: what the informatieobjecttype says."
    )
    documentDetails: dict[str, Any] = Field(
        default_factory=dict,
        description="More fields of the document, as the Documenten API has them (identificatie, beschrijving, status, "
        "indicatieGebruiksrecht, …); they go before ours.",
    )

    @field_validator("inhoud")
    @classmethod
    def _decoded(cls, value: File | bytes | str, info: ValidationInfo) -> File | bytes | str:
        if isinstance(value, str) and info.data.get("inhoudCodering") == "base64":
            try:
                value = base64.b64decode("".join(value.split()), validate=True)
            except ValueError:
                raise ValueError("must be base64, because inhoudCodering says so") from None
        if not isinstance(value, File) and not value:
            raise ValueError("is empty")
        return value

    @model_validator(mode="after")
    def _names_an_informatieobjecttype(self) -> Self:
        if self.informatieobjecttype is None and not self.informatieobjecttypeOmschrijving:
            raise ValueError("give informatieobjecttype or informatieobjecttypeOmschrijving")
        return self

    def read(self) -> bytes:
        """The whole content, which a file loads from the engine. Raises NeverAgain when it is empty."""
        given = self.inhoud
        content = given.read() if isinstance(given, File) else given.encode() if isinstance(given, str) else given
        if not content:
            raise NeverAgain("the file in inhoud is empty")
        return content


class Added(Outputs):
    """The new document."""

    informatieobject: str = Field(description="Address of the document (informatieobject).")
    zaakinformatieobject: str = Field(description="Address of its relation with the zaak.")


@work_unit(
    "zgw.add_document",
    needs={
        "zrc": "Zaken API",
        "drc": "Documenten API, where the document is created",
        "ztc": Need(Kind.CATALOGI, "Catalogi API: informatieobjecttypen by their omschrijving", optional=True),
    },
    nl="""
    Maak een document van een variabele en voeg het toe aan een zaak.

    De inhoud is een bestand, bytes of tekst; tekst mag ook base64 zijn (inhoudCodering). Geef het informatieobjecttype,
    of de omschrijving daarvan binnen het zaaktype. documentDetails vult velden van het document aan of vervangt ze. Een
    bestand van meer dan 10 MiB gaat in bestandsdelen.

    Document en koppeling worden elk één keer gemaakt. Het document krijgt daarvoor het nummer van de externe taak als
    identificatie, tenzij documentDetails er een geeft.
    """,
)
def add_document(work: Work, inputs: NieuwDocument) -> Added:
    """Create a document from a variable and attach it to a zaak.

    The content is a file, bytes or text; a text may be base64 (inhoudCodering). Name the informatieobjecttype, or its
    omschrijving within the zaaktype. documentDetails adds to the fields of the document or replaces them. A file larger
    than 10 MiB goes in parts (bestandsdelen): the service locks the document until all are there, and a later attempt
    goes on with the parts that are missing.

    Document and relation are each made once. For that the document gets the id of the external task as its
    identificatie, unless documentDetails gives one: one that another document of the organisation has is an incident.
    """
    zrc = work.connect(ZakenClient, "zrc")
    drc = work.connect(DocumentenClient, "drc")
    today = date.fromisoformat(choose(work, lambda: now().astimezone(DUTCH).date().isoformat()))
    content = inputs.read()
    fields = _fields(work, inputs, zrc.zaak(inputs.zaakUrl), today=today)
    ours = not inputs.documentDetails.get("identificatie")
    informatieobject = inhoud.create(work, drc, fields, content, ours=ours)
    return Added(
        informatieobject=informatieobject,
        zaakinformatieobject=attach(work, zrc, inputs.zaakUrl, informatieobject),
    )


def _fields(work: Work, inputs: NieuwDocument, zaak: dict[str, Any], *, today: date) -> dict[str, Any]:
    file = inputs.inhoud if isinstance(inputs.inhoud, File) else None
    bestandsnaam = inputs.bestandsnaam or (file.name if file else "")
    formaat = inputs.formaat or (file.mime_type if file else "") or guess_type(bestandsnaam)[0] or ""
    fields = {
        "identificatie": kenmerk_of(work.task)["kenmerk"],
        "bronorganisatie": inputs.bronorganisatie or zaak["bronorganisatie"],
        "informatieobjecttype": inputs.informatieobjecttype
        or informatieobjecttype_of(
            work.connect(CatalogiClient, "ztc"),
            zaaktype=zaak["zaaktype"],
            omschrijving=inputs.informatieobjecttypeOmschrijving,
            day=today,
        ),
        "titel": inputs.titel,
        "auteur": inputs.auteur,
        "creatiedatum": (inputs.creatiedatum or today).isoformat(),
        "bestandsnaam": bestandsnaam,
        "formaat": formaat,
        "taal": inputs.taal,
    }
    if inputs.vertrouwelijkheidaanduiding:
        fields["vertrouwelijkheidaanduiding"] = inputs.vertrouwelijkheidaanduiding
    whole = {**fields, **inputs.documentDetails}
    return {**whole, "identificatie": whole["identificatie"] or fields["identificatie"]}

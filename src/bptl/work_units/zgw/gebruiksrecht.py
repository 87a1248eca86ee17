"""Gebruiksrechten of the documents of a zaak."""

from __future__ import annotations

from itertools import count

from bptl.clients.access import Kind
from bptl.clients.documenten import DocumentenClient
from bptl.clients.errors import Rejected, ServiceError
from bptl.clients.zaken import ZakenClient
from bptl.clients.zgw import uuid_of
from bptl.work_units.contract import Happened, Need, NotConnected, Work, work_unit
from bptl.work_units.zgw import locks
from bptl.work_units.zgw.effects import choose, send
from bptl.work_units.zgw.faults import Faults
from bptl.work_units.zgw.inputs import OfZaak
from bptl.work_units.zgw.locks import Lock


@work_unit(
    "zgw.set_indicatie_gebruiksrecht",
    needs={
        "zrc": "Zaken API: which documents the zaak has",
        "drc": Need(
            Kind.DOCUMENTEN, "Documenten API; without it, the registered service that owns each address", optional=True
        ),
    },
    replaces="bptl.work_units.zgw.tasks.documents.SetIndicatieGebruiksrecht",
    nl="""
    Zet indicatieGebruiksrecht van alle documenten van een zaak op onwaar: er gelden geen gebruiksrechten.

    Een zaak kan pas worden gesloten als deze indicatie bij elk document is gezet. Elk document wordt op slot gezet,
    gewijzigd en weer van het slot gehaald; wat al op onwaar staat, blijft zoals het is. Is een document op slot bij een
    ander, of gaat er met één iets mis, dan krijgen de andere documenten toch hun beurt; de taak mislukt daarna en noemt
    elke fout.
    """,
)
def set_indicatie_gebruiksrecht(work: Work, inputs: OfZaak) -> None:
    """Set indicatieGebruiksrecht of all documents of a zaak to false: no gebruiksrechten apply to them.

    A zaak can be closed only when this was set for each of its documents. Each one is locked, changed and unlocked, one
    after the other; one that has false already is left as it is. When something goes wrong with one, the others get
    their turn all the same, and then the task fails and names every error. A document that somebody else has locked is
    tried again by the retry plan.

    The lock of a document is recorded: whatever stops the work in between, the next attempt goes on with it, and
    unlocks. When the answer that told a lock was lost, nobody can be asked for it: if the document is locked then, the
    task is uncertain, and the incident says what to do.

    Differs from the existing BPTL, which locked all documents first, left them locked when one could not be changed,
    made a new version of those that had false already, and repeated everything on a retry.
    """
    zrc = work.connect(ZakenClient, "zrc")
    documents = list(dict.fromkeys(one["informatieobject"] for one in zrc.zaakinformatieobjecten(inputs.zaakUrl)))
    # What the first attempt found to do is gone through again, because only that shows what became of it.
    seen: dict[str, bool] = choose(work, lambda: {document: _is_free(work, document) for document in documents})
    todo = [document for document, was_free in seen.items() if not was_free]
    todo += [document for document in documents if document not in seen and not _is_free(work, document)]
    faults = Faults()
    for document in todo:
        with faults.kept(document):
            _free(work, _connect(work, document), document)
    faults.tell()


def _connect(work: Work, informatieobject: str) -> DocumentenClient:
    return work.connect(DocumentenClient, "drc", url=informatieobject)


def _is_free(work: Work, informatieobject: str) -> bool:
    try:
        return _says_free(_connect(work, informatieobject), informatieobject)
    except (ServiceError, NotConnected):
        # Its turn will tell, and the others get theirs.
        return False


def _says_free(drc: DocumentenClient, informatieobject: str) -> bool:
    return drc.informatieobject(informatieobject)["indicatieGebruiksrecht"] is False


def _free(work: Work, drc: DocumentenClient, informatieobject: str) -> None:
    # A lock that an earlier attempt has taken may be no more: given back, or broken by somebody.
    turns = (locks.take(work, drc, informatieobject, turn=turn) for turn in count(1))
    next(lock for lock in turns if _freed_under(work, drc, lock))


def _freed_under(work: Work, drc: DocumentenClient, lock: Lock) -> bool:
    """Change it, and unlock it in any case; False when the lock is no more."""
    faults = Faults()
    with faults.kept("indicatieGebruiksrecht"):
        try:
            _change(work, drc, lock)
        except Rejected as rejected:
            if rejected.has(locks.NOT_OURS) or rejected.has(locks.NOT_LOCKED):
                return False
            raise
    with faults.kept("unlock"):
        locks.give_back(work, drc, lock)
    faults.tell()
    return True


def _change(work: Work, drc: DocumentenClient, lock: Lock) -> None:
    informatieobject = lock.informatieobject
    changes = {"indicatieGebruiksrecht": False}

    def request() -> None:
        drc.change_informatieobject(informatieobject, changes, lock=lock.value)

    def ask() -> Happened | None:
        return Happened() if _says_free(drc, informatieobject) else None

    key = f"indicatieGebruiksrecht {uuid_of(informatieobject)}" + (f" #{lock.turn}" if lock.turn > 1 else "")
    send(work, drc, key, request, arguments={"informatieobject": informatieobject, **changes}, reconcile=ask)

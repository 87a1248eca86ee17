"""Locks of documents: told once, so recorded at once, and never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bptl.clients.errors import NoAnswer, Rejected, ServiceError
from bptl.work_units.contract import NotConnected, TryAgain, Uncertain
from bptl.work_units.testing import FakeWork, run
from bptl.work_units.zgw.documenten import lock_document, unlock_document
from tests.doubles.zgw.double import ALL_RIGHTS, ZgwDouble
from tests.integration.work_units.document import document, drc, path, services
from tests.integration.work_units.mortal import Killed, MortalWork
from tests.integration.work_units.zaak import APP, hidden, prevented, tried_again, work_with

OF_TOPIC = ("drc",)


def test_who_locks_gets_the_lock_and_unlocks_with_it(zgw: ZgwDouble) -> None:
    informatieobject = document(zgw)
    locked = run(lock_document, {"informatieobject": informatieobject, **APP}, work=work_with(zgw, services=OF_TOPIC))
    lock = locked.variables["lockId"]
    drc(zgw).change_informatieobject(informatieobject, {"titel": "Gewijzigd"}, lock=lock)
    (call,) = zgw.calls("POST", path(informatieobject) + "/lock")
    assert json.loads(call.content) == {}

    variables = {"informatieobject": informatieobject, "lockId": lock, **APP}
    assert run(unlock_document, variables, work=work_with(zgw, services=OF_TOPIC)).variables == {}
    assert zgw.get(informatieobject)["locked"] is False


def test_an_address_with_a_version_locks_the_document(zgw: ZgwDouble) -> None:
    informatieobject = document(zgw)
    variables = {"informatieobject": f"{informatieobject}?versie=1", **APP}
    lock = run(lock_document, variables, work=work_with(zgw, services=OF_TOPIC)).variables["lockId"]
    run(unlock_document, {**variables, "lockId": lock}, work=work_with(zgw, services=OF_TOPIC))
    assert zgw.get(informatieobject)["locked"] is False


def test_without_a_service_of_the_mapping_the_address_decides(zgw: ZgwDouble) -> None:
    work = FakeWork(services={"archief": zgw.access("drc")})
    informatieobject = document(zgw)
    run(lock_document, {"informatieobject": informatieobject, **APP}, work=work)
    assert zgw.get(informatieobject)["locked"] is True


def test_an_address_of_no_service_is_not_called(zgw: ZgwDouble) -> None:
    elsewhere = "https://elders.example.nl/documenten/2f6bb9b6-8a62-4e4c-8e42-9c7b1a3e5d11"
    with pytest.raises(NotConnected):
        run(lock_document, {"informatieobject": elsewhere, **APP}, work=FakeWork())


def test_a_document_that_somebody_edits_is_tried_again_later(zgw: ZgwDouble) -> None:
    informatieobject, work = document(zgw), work_with(zgw, services=OF_TOPIC)
    theirs = drc(zgw).lock(informatieobject)
    with pytest.raises(TryAgain, match="is locked by somebody else"):
        run(lock_document, {"informatieobject": informatieobject, **APP}, work=work)
    assert work.open_effects == set()

    drc(zgw).unlock(informatieobject, theirs)
    run(lock_document, {"informatieobject": informatieobject, **APP}, work=work)
    assert zgw.get(informatieobject)["locked"] is True


def test_a_later_attempt_gets_the_lock_that_an_earlier_one_took(zgw: ZgwDouble) -> None:
    informatieobject, work = document(zgw), work_with(zgw, services=OF_TOPIC)
    first = run(lock_document, {"informatieobject": informatieobject, **APP}, work=work).variables
    assert run(lock_document, {"informatieobject": informatieobject, **APP}, work=work).variables == first
    assert len(zgw.calls("POST", path(informatieobject) + "/lock")) == 1


@prevented
def test_a_lock_that_did_not_happen_is_taken_by_the_next_attempt(zgw: ZgwDouble, kind: Any) -> None:
    informatieobject = document(zgw)
    zgw.fault("*/lock", kind=kind, method="POST")
    tried_again(lock_document, {"informatieobject": informatieobject, **APP}, work_with(zgw, services=OF_TOPIC))
    assert zgw.get(informatieobject)["locked"] is True


@hidden
def test_a_lock_whose_answer_was_lost_is_a_question_for_a_person(zgw: ZgwDouble, kind: Any) -> None:
    informatieobject, work = document(zgw), work_with(zgw, services=OF_TOPIC)
    variables = {"informatieobject": informatieobject, **APP}
    zgw.fault("*/lock", kind=kind, method="POST")
    with pytest.raises(ServiceError):
        run(lock_document, variables, work=work)
    with pytest.raises(Uncertain, match=r"answer that told the lock was lost.*geforceerd-unlock") as raised:
        run(lock_document, variables, work=work)
    assert raised.value.key in work.open_effects

    # The person unlocks by force and says that it did not happen.
    drc(zgw, ALL_RIGHTS).unlock(informatieobject, "")
    work.open_effects.discard(raised.value.key)
    run(lock_document, variables, work=work)
    assert zgw.get(informatieobject)["locked"] is True


def test_a_process_that_died_before_it_heard_the_lock_is_a_question_too(zgw: ZgwDouble) -> None:
    informatieobject = document(zgw)
    work = MortalWork(services(zgw), call=1, moment="after")
    with pytest.raises(Killed):
        run(lock_document, {"informatieobject": informatieobject, **APP}, work=work)
    with pytest.raises(Uncertain):
        run(lock_document, {"informatieobject": informatieobject, **APP}, work=work)


@hidden
def test_an_unlock_whose_answer_was_lost_is_found_done(zgw: ZgwDouble, kind: Any) -> None:
    informatieobject = document(zgw)
    variables = {"informatieobject": informatieobject, "lockId": drc(zgw).lock(informatieobject), **APP}
    zgw.fault("*/unlock", kind=kind, method="POST")
    tried_again(unlock_document, variables, work_with(zgw, services=OF_TOPIC))
    assert len(zgw.calls("POST", path(informatieobject) + "/unlock")) == 1


def test_unlocking_what_is_not_locked_is_fine(zgw: ZgwDouble) -> None:
    variables = {"informatieobject": document(zgw), "lockId": "van gisteren", **APP}
    assert run(unlock_document, variables, work=work_with(zgw, services=OF_TOPIC)).variables == {}


def test_a_wrong_lock_is_an_incident_and_the_document_stays_locked(zgw: ZgwDouble) -> None:
    informatieobject = document(zgw)
    drc(zgw).lock(informatieobject)
    variables = {"informatieobject": informatieobject, "lockId": "een ander", **APP}
    with pytest.raises(Rejected, match="incorrect-lock-id"):
        run(unlock_document, variables, work=work_with(zgw, services=OF_TOPIC))
    assert zgw.get(informatieobject)["locked"] is True


def test_an_unlock_without_an_answer_leaves_it_open(zgw: ZgwDouble) -> None:
    informatieobject, work = document(zgw), work_with(zgw, services=OF_TOPIC)
    variables = {"informatieobject": informatieobject, "lockId": drc(zgw).lock(informatieobject), **APP}
    zgw.fault("*/unlock", kind="cut-before", method="POST")
    with pytest.raises(NoAnswer):
        run(unlock_document, variables, work=work)
    run(unlock_document, variables, work=work)
    assert zgw.get(informatieobject)["locked"] is False

"""indicatieGebruiksrecht of the documents of a zaak: all of them, and none stays locked."""

from __future__ import annotations

from typing import Any

import pytest

from bptl.clients.errors import ServiceError
from bptl.work_units.contract import NeverAgain, TryAgain, Uncertain
from bptl.work_units.testing import FakeWork, run
from bptl.work_units.zgw.gebruiksrecht import set_indicatie_gebruiksrecht
from tests.doubles.zgw.double import ALL_RIGHTS, ZgwDouble
from tests.integration.work_units.document import DOCUMENTEN, document, drc, path, services
from tests.integration.work_units.mortal import Killed, MortalWork, deaths
from tests.integration.work_units.zaak import APP, begun, hidden, prevented, tried_again, work_with, zrc

NEEDS = ("zrc", "drc")
RELATIONS = "/zaken/api/v1/zaakinformatieobjecten"


def with_documents(zgw: ZgwDouble, count: int = 2) -> tuple[str, list[str]]:
    zaak = begun(zgw)
    return zaak, [document(zgw, zaak=zaak) for _ in range(count)]


def said(zgw: ZgwDouble, documents: list[str]) -> list[tuple[bool | None, bool]]:
    """indicatieGebruiksrecht and locked of each."""
    return [(one["indicatieGebruiksrecht"], one["locked"]) for one in map(zgw.get, documents)]


def test_every_document_says_that_no_rights_apply_and_is_unlocked(zgw: ZgwDouble) -> None:
    zaak, documents = with_documents(zgw, 3)
    assert (
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work_with(zgw, services=NEEDS)).variables == {}
    )
    assert said(zgw, documents) == [(False, False)] * 3


def test_a_zaak_without_documents_is_fine(zgw: ZgwDouble) -> None:
    run(set_indicatie_gebruiksrecht, {"zaakUrl": begun(zgw), **APP}, work=work_with(zgw, services=NEEDS))


def test_a_document_that_says_so_already_gets_no_new_version(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    informatieobject = document(zgw, zaak=zaak, indicatieGebruiksrecht=False)
    drc(zgw).lock(informatieobject)  # and that somebody edits it does not matter
    run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work_with(zgw, services=NEEDS))
    assert (zgw.get(informatieobject)["versie"], zgw.get(informatieobject)["locked"]) == (1, True)


def test_a_document_that_somebody_edits_is_tried_again_and_the_others_are_done(zgw: ZgwDouble) -> None:
    zaak, (first, second) = with_documents(zgw)
    theirs, work = drc(zgw).lock(first), work_with(zgw, services=NEEDS)
    with pytest.raises(TryAgain, match=f"{first} is locked by somebody else"):
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    assert said(zgw, [first, second]) == [(None, True), (False, False)]

    drc(zgw).unlock(first, theirs)
    run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    assert said(zgw, [first, second]) == [(False, False)] * 2
    assert zgw.get(second)["versie"] == 2


def test_a_document_that_may_not_be_changed_is_unlocked_again(zgw: ZgwDouble) -> None:
    zaak, (first, second) = with_documents(zgw)
    rights = {"informatieobject": first, "startdatum": "2026-01-01T00:00:00Z", "omschrijvingVoorwaarden": "Vraag het"}
    drc(zgw, ALL_RIGHTS).create("gebruiksrechten", rights)
    with pytest.raises(ServiceError, match="existing-gebruiksrechten"):
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work_with(zgw, services=NEEDS))
    assert said(zgw, [first, second]) == [(True, False), (False, False)]


def test_every_error_is_told(zgw: ZgwDouble) -> None:
    zaak, (first, second) = with_documents(zgw)
    drc(zgw).lock(first)
    zgw.fault(path(second), kind="500-before", method="PATCH")
    with pytest.raises(TryAgain, match="2 errors") as raised:
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work_with(zgw, services=NEEDS))
    assert f"{first} is locked by somebody else" in str(raised.value)
    assert f"answered 500 to PATCH {second}" in str(raised.value)
    assert zgw.get(second)["locked"] is False


def test_a_document_of_an_unknown_service_does_not_hinder_the_others(zgw: ZgwDouble) -> None:
    zaak, documents = with_documents(zgw)
    work = FakeWork(services={"zrc": zgw.access("zrc")})
    with pytest.raises(NeverAgain, match=r"2 errors.*no such service.*no such service"):
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    assert said(zgw, documents) == [(None, False)] * 2


def test_what_is_attached_between_two_attempts_is_done_too(zgw: ZgwDouble) -> None:
    zaak, (first, second) = with_documents(zgw)
    work = work_with(zgw, services=NEEDS)
    zgw.fault(path(first), kind="503", method="PATCH")
    with pytest.raises(ServiceError):
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    third = document(zgw, zaak=zaak)
    run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    assert said(zgw, [first, second, third]) == [(False, False)] * 3


@hidden
@pytest.mark.parametrize("where", ["PATCH", "unlock"])
def test_what_was_done_without_an_answer_is_found_and_not_done_again(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zaak, documents = with_documents(zgw)
    pattern, method = (path(documents[0]), "PATCH") if where == "PATCH" else ("*/unlock", "POST")
    zgw.fault(pattern, kind=kind, method=method)
    work = work_with(zgw, services=NEEDS)
    tried_again(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work)
    assert said(zgw, documents) == [(False, False)] * 2
    assert [zgw.get(one)["versie"] for one in documents] == [2, 2]
    assert work.open_effects <= set(work.effects)


@prevented
@pytest.mark.parametrize("where", ["PATCH", "lock", "unlock"])
def test_what_was_not_done_is_done_by_the_next_attempt(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zaak, documents = with_documents(zgw)
    pattern, method = (path(documents[0]), "PATCH") if where == "PATCH" else (f"*/{where}", "POST")
    zgw.fault(pattern, kind=kind, method=method)
    work = work_with(zgw, services=NEEDS)
    tried_again(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work)
    assert said(zgw, documents) == [(False, False)] * 2


def test_wherever_a_process_dies_the_next_attempt_leaves_no_document_locked(zgw: ZgwDouble) -> None:
    whole = MortalWork(services(zgw))
    run(set_indicatie_gebruiksrecht, {"zaakUrl": with_documents(zgw)[0], **APP}, work=whole)
    questions = 0
    for call, moment in deaths(len(whole.calls)):
        zaak, documents = with_documents(zgw)
        work = MortalWork(services(zgw), call=call, moment=moment)
        with pytest.raises(Killed):
            run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
        died_at = work.calls[-1] if moment == "after" else None
        if died_at is not None and died_at.url.endswith("/lock"):
            # The only moment of which nobody can tell: who knew the lock is dead.
            questions += 1
            with pytest.raises(Uncertain, match="answer that told the lock was lost") as raised:
                run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
            drc(zgw, ALL_RIGHTS).unlock(died_at.url.removesuffix("/lock"), "")
            work.open_effects.discard(raised.value.key)
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
        assert said(zgw, documents) == [(False, False)] * 2, (call, moment)
        assert [zgw.get(one)["versie"] for one in documents] == [2, 2], (call, moment)
    assert questions == 2


def test_a_lock_that_was_broken_between_two_attempts_is_taken_anew(zgw: ZgwDouble) -> None:
    zaak, (first, second) = with_documents(zgw)
    whole = MortalWork(services(zgw))
    run(set_indicatie_gebruiksrecht, {"zaakUrl": with_documents(zgw)[0], **APP}, work=whole)
    patches = [number for number, call in enumerate(whole.calls, start=1) if call.method == "PATCH"]
    work = MortalWork(services(zgw), call=patches[0], moment="before")
    with pytest.raises(Killed):
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    drc(zgw, ALL_RIGHTS).unlock(first, "")
    run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    assert said(zgw, [first, second]) == [(False, False)] * 2


def test_a_lock_of_somebody_who_came_after_ours_was_broken_is_left_alone(zgw: ZgwDouble) -> None:
    zaak, (informatieobject,) = with_documents(zgw, 1)
    whole = MortalWork(services(zgw))
    run(set_indicatie_gebruiksrecht, {"zaakUrl": with_documents(zgw, 1)[0], **APP}, work=whole)
    work = MortalWork(services(zgw), call=len(whole.calls), moment="before")
    with pytest.raises(Killed):
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    drc(zgw, ALL_RIGHTS).unlock(informatieobject, "")
    theirs = drc(zgw).lock(informatieobject)
    run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work)
    assert said(zgw, [informatieobject]) == [(False, True)]
    drc(zgw).unlock(informatieobject, theirs)


def test_a_list_of_documents_that_cannot_be_read_changes_nothing(zgw: ZgwDouble) -> None:
    zaak, documents = with_documents(zgw)
    zgw.fault(RELATIONS, kind="503", method="GET")
    with pytest.raises(ServiceError):
        run(set_indicatie_gebruiksrecht, {"zaakUrl": zaak, **APP}, work=work_with(zgw, services=NEEDS))
    assert said(zgw, documents) == [(None, False)] * 2
    assert DOCUMENTEN in {call.path for call in zgw.requests}
    assert zrc(zgw).zaak(zaak)["url"] == zaak

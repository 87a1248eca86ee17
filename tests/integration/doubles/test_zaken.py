"""Zaken, statussen, resultaten and rollen: what is unique, what closes a zaak, and who may change a closed one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.doubles.zgw.double import ZgwDouble
from tests.integration.doubles.caller import RSIN, Caller, codes

# identificatie and numbers


def test_an_identificatie_is_unique_per_bronorganisatie(bptl: Caller, zgw: ZgwDouble) -> None:
    bptl.zaak("ZAAK-1")
    again = bptl.post("zrc/zaken", bptl.zaak_body(identificatie="ZAAK-1"))
    assert (again.status_code, codes(again)) == (400, [("identificatie", "identificatie-niet-uniek")])
    bptl.zaak("ZAAK-1", bronorganisatie="517439943")
    found = bptl.get(f"zrc/zaken?bronorganisatie={RSIN}&identificatie=ZAAK-1").json()
    assert (found["count"], zgw.count("zaken", "ZAAK-1")) == (1, 2)


def test_without_an_identificatie_one_is_given(bptl: Caller) -> None:
    first, second = bptl.zaak(), bptl.zaak()
    assert first["identificatie"].startswith("ZAAK-")
    assert first["identificatie"] != second["identificatie"]


@pytest.mark.parametrize(("number", "code"), [("123456789", "invalid"), ("12345678a", "invalid-length")])
def test_an_rsin_passes_the_eleven_test(bptl: Caller, zgw: ZgwDouble, number: str, code: str) -> None:
    with zgw.violations_expected():
        response = bptl.post("zrc/zaken", bptl.zaak_body(verantwoordelijkeOrganisatie=number))
    assert response.status_code == 400
    assert codes(response) in ([("verantwoordelijkeOrganisatie", code)], [("verantwoordelijkeOrganisatie", "invalid")])


def test_a_bsn_passes_the_eleven_test(bptl: Caller) -> None:
    zaak = bptl.zaak()
    for bsn, status in (("111222333", 201), ("111222334", 400)):
        body = bptl.rol_body(
            zaak, "Belanghebbende", betrokkeneType="natuurlijk_persoon", betrokkeneIdentificatie={"inpBsn": bsn}
        )
        assert bptl.post("zrc/rollen", body).status_code == status


def test_an_omschrijving_has_at_most_80_characters(bptl: Caller, zgw: ZgwDouble) -> None:
    bptl.zaak(omschrijving="x" * 80)
    with zgw.violations_expected() as violations:
        response = bptl.post("zrc/zaken", bptl.zaak_body(omschrijving="x" * 81))
    assert (response.status_code, codes(response)) == (400, [("omschrijving", "max_length")])
    assert "does not fit the OpenAPI description" in violations[0]


def test_a_zaak_of_a_concept_is_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    response = bptl.post("zrc/zaken", bptl.zaak_body(zaaktype=zgw.catalogue.versions[2]))
    assert codes(response) == [("zaaktype", "not-published")]


def test_related_zaken_come_back_with_all_their_fields(bptl: Caller) -> None:
    main, other = bptl.zaak(), bptl.zaak()
    related = [{"url": other["url"], "aardRelatie": "vervolg"}]
    answer = bptl.call("PATCH", main["url"], json={"relevanteAndereZaken": related}).json()
    assert answer["relevanteAndereZaken"] == [
        {"url": other["url"], "aardRelatie": "vervolg", "overigeRelatie": "", "toelichting": ""}
    ]


def test_type_and_identificatie_of_a_zaak_stay(bptl: Caller, zgw: ZgwDouble) -> None:
    zaak = bptl.zaak("ZAAK-1")
    assert bptl.call("PATCH", zaak["url"], json={"omschrijving": "anders"}).json()["omschrijving"] == "anders"
    for change in ({"identificatie": "ZAAK-2"}, {"zaaktype": zgw.catalogue.versions[0]}):
        assert codes(bptl.call("PATCH", zaak["url"], json=change)) == [(*change, "wijzigen-niet-toegelaten")]


def test_a_delete_of_a_zaak_with_a_resultaat_answers_500_though_it_is_gone(bptl: Caller) -> None:
    zaak = bptl.zaak()
    bptl.give_result(zaak)
    assert bptl.call("DELETE", zaak["url"]).status_code == 500
    assert bptl.get(zaak["url"]).status_code == 404


# statussen


def test_a_status_can_be_neither_changed_nor_deleted(bptl: Caller) -> None:
    status = bptl.made("zrc/statussen", bptl.status_body(bptl.zaak(), 1, "2026-01-02T10:00:00Z"))
    assert bptl.call("PATCH", status["url"], json={}).status_code == 405
    assert bptl.call("DELETE", status["url"]).status_code == 405


def test_a_zaak_has_one_status_at_a_moment_so_fractions_of_a_second_matter(bptl: Caller) -> None:
    zaak = bptl.zaak()
    bptl.made("zrc/statussen", bptl.status_body(zaak, 1, "2026-01-02T10:00:00.25Z"))
    again = bptl.post("zrc/statussen", bptl.status_body(zaak, 2, "2026-01-02T11:00:00.25+01:00"))
    assert (again.status_code, codes(again)) == (400, [("nonFieldErrors", "unique")])
    bptl.made("zrc/statussen", bptl.status_body(zaak, 2, "2026-01-02T10:00:00.26Z"))


@pytest.mark.parametrize(("seconds", "status"), [(2, 201), (60, 400)])
def test_a_status_in_the_future_is_refused_with_a_leeway_of_5_seconds(bptl: Caller, seconds: int, status: int) -> None:
    moment = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    response = bptl.post("zrc/statussen", bptl.status_body(bptl.zaak(), 1, moment))
    assert response.status_code == status
    if status == 400:
        assert codes(response) == [("datumStatusGezet", "date-in-future")]


def test_going_back_is_allowed_and_the_latest_moment_is_the_current_status(bptl: Caller, zgw: ZgwDouble) -> None:
    zaak = bptl.zaak()
    bptl.made("zrc/statussen", bptl.status_body(zaak, 1, "2026-01-02T10:00:00Z"))
    second = bptl.made("zrc/statussen", bptl.status_body(zaak, 2, "2026-01-03T10:00:00Z"))
    back = bptl.made("zrc/statussen", bptl.status_body(zaak, 1, "2026-01-04T10:00:00Z"))
    earlier = bptl.made("zrc/statussen", bptl.status_body(zaak, 2, "2026-01-01T10:00:00Z"))
    assert bptl.get(zaak["url"]).json()["status"] == back["url"]
    assert [earlier["indicatieLaatstGezetteStatus"], zgw.get(back["url"])["indicatieLaatstGezetteStatus"]] == [
        False,
        True,
    ]
    listed = bptl.get(f"zrc/statussen?zaak={zaak['url']}").json()["results"]
    assert [listed[0]["url"], listed[1]["url"]] == [back["url"], second["url"]]


def test_a_status_of_another_zaaktype_is_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    body = bptl.status_body(bptl.zaak(), 1, "2026-01-02T10:00:00Z")
    body["statustype"] = zgw.catalogue.statustype(1, zaaktype=zgw.catalogue.versions[0])
    assert codes(bptl.post("zrc/statussen", body)) == [("nonFieldErrors", "zaaktype-mismatch")]


# closing


def test_closing_needs_a_resultaat(bptl: Caller) -> None:
    zaak = bptl.zaak()
    response = bptl.post("zrc/statussen", bptl.status_body(zaak, 4, "2026-02-03T10:00:00Z"))
    assert (response.status_code, codes(response)) == (400, [("nonFieldErrors", "resultaat-does-not-exist")])
    assert bptl.get(zaak["url"]).json()["einddatum"] is None


def test_closing_needs_every_document_unlocked(bptl: Caller) -> None:
    zaak, document = bptl.zaak(), bptl.document(indicatieGebruiksrecht=False)
    bptl.relate(zaak, document)
    bptl.give_result(zaak)
    lock = bptl.post(f"{document['url']}/lock", {}).json()
    response = bptl.post("zrc/statussen", bptl.status_body(zaak, 4, "2026-02-03T10:00:00Z"))
    assert codes(response) == [("nonFieldErrors", "informatieobject-locked")]
    bptl.post(f"{document['url']}/unlock", lock)
    bptl.made("zrc/statussen", bptl.status_body(zaak, 4, "2026-02-03T10:00:00Z"))


def test_closing_needs_to_know_of_every_document_what_may_be_done_with_it(bptl: Caller) -> None:
    zaak, document = bptl.zaak(), bptl.document()
    bptl.relate(zaak, document)
    bptl.give_result(zaak)
    response = bptl.post("zrc/statussen", bptl.status_body(zaak, 4, "2026-02-03T10:00:00Z"))
    assert codes(response) == [("nonFieldErrors", "indicatiegebruiksrecht-unset")]


def test_closing_computes_the_archive_dates(bptl: Caller) -> None:
    zaak = bptl.closed_zaak()
    dates = (zaak["einddatum"], zaak["archiefnominatie"], zaak["archiefactiedatum"])
    assert dates == ("2026-02-03", "vernietigen", "2031-02-03")


def test_a_limited_application_may_not_touch_a_closed_zaak(bptl: Caller, zgw: ZgwDouble) -> None:
    zaak, document = bptl.closed_zaak(), bptl.document()
    waarde = {"zaak": zaak["url"], "eigenschap": zgw.catalogue.eigenschap("bouwkosten"), "waarde": "12"}
    tries = [
        bptl.call("PATCH", zaak["url"], json={"omschrijving": "x"}),
        bptl.post("zrc/statussen", bptl.status_body(zaak, 1, "2026-02-04T10:00:00Z")),
        bptl.post("zrc/rollen", bptl.rol_body(zaak, "Behandelaar")),
        bptl.post("zrc/zaakinformatieobjecten", {"zaak": zaak["url"], "informatieobject": document["url"]}),
        bptl.post(f"{zaak['url']}/zaakeigenschappen", waarde),
        bptl.call("DELETE", zaak["resultaat"]),
    ]
    assert [(one.status_code, one.json()["code"]) for one in tries] == [(403, "permission_denied")] * 6


def test_one_with_all_rights_may_and_a_new_status_opens_it_again(bptl: Caller, beheer: Caller) -> None:
    zaak = bptl.closed_zaak()
    assert beheer.call("PATCH", zaak["url"], json={"omschrijving": "x"}).status_code == 200
    beheer.made("zrc/statussen", beheer.status_body(zaak, 2, "2026-02-04T10:00:00Z"))
    opened = beheer.get(zaak["url"]).json()
    assert (opened["einddatum"], opened["archiefnominatie"], opened["archiefactiedatum"]) == (None, None, None)
    assert opened["resultaat"] == zaak["resultaat"]


def test_a_zaak_has_one_resultaat_and_of_its_own_type(bptl: Caller, zgw: ZgwDouble) -> None:
    zaak = bptl.zaak()
    other = zgw.catalogue.resultaattype("Verleend", zaaktype=zgw.catalogue.versions[0])
    wrong = bptl.post("zrc/resultaten", {"zaak": zaak["url"], "resultaattype": other})
    assert codes(wrong) == [("nonFieldErrors", "zaaktype-mismatch")]
    first = bptl.give_result(zaak)
    again = bptl.post("zrc/resultaten", {"zaak": zaak["url"], "resultaattype": first["resultaattype"]})
    assert codes(again) == [("zaak", "unique")]
    refused = zgw.catalogue.resultaattype("Geweigerd")
    assert bptl.call("PATCH", first["url"], json={"resultaattype": refused}).json()["resultaattype"] == refused


# rollen


def test_a_zaak_has_one_initiator_and_many_of_the_others(bptl: Caller) -> None:
    zaak = bptl.zaak()
    bptl.made("zrc/rollen", bptl.rol_body(zaak, "Initiator"))
    again = bptl.post("zrc/rollen", bptl.rol_body(zaak, "Initiator"))
    assert (again.status_code, codes(again)) == (400, [("nonFieldErrors", "max-occurences")])
    for _ in range(2):
        bptl.made("zrc/rollen", bptl.rol_body(zaak, "Belanghebbende"))
    initiators = bptl.get(f"zrc/rollen?zaak={zaak['url']}&omschrijvingGeneriek=initiator").json()
    assert initiators["count"] == 1


def test_a_rol_is_changed_by_put_and_not_by_patch(bptl: Caller) -> None:
    rol = bptl.made("zrc/rollen", bptl.rol_body(bptl.zaak(), "Initiator"))
    assert bptl.call("PATCH", rol["url"], json={}).status_code == 405
    body = {**rol, "roltoelichting": "anders"}
    assert bptl.call("PUT", rol["url"], json=body).json()["roltoelichting"] == "anders"


def test_who_somebody_is_comes_back_with_all_its_fields(bptl: Caller) -> None:
    rol = bptl.made("zrc/rollen", bptl.rol_body(bptl.zaak(), "Hoofdbehandelaar"))
    assert rol["betrokkeneIdentificatie"] == {
        "identificatie": "jansen",
        "achternaam": "",
        "voorletters": "",
        "voorvoegselAchternaam": "",
    }


def test_somebody_of_no_kind_at_all_does_not_fit_the_description(bptl: Caller, zgw: ZgwDouble) -> None:
    wrong = bptl.rol_body(bptl.zaak(), "Behandelaar", betrokkeneIdentificatie={"identificatie": 12})
    with zgw.violations_expected() as violations:
        response = bptl.post("zrc/rollen", wrong)
    assert (response.status_code, codes(response)) == (400, [("betrokkeneIdentificatie.identificatie", "invalid")])
    assert len(violations) == 1

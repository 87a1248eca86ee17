"""Documents: sizes, parts, locks, downloads and what links to them."""

from __future__ import annotations

import pytest
from requests import Response

from tests.doubles.zgw.double import ZgwDouble
from tests.integration.doubles.caller import RSIN, Caller, codes


def upload(bptl: Caller, part: str, lock: str, content: bytes) -> Response:
    return bptl.call("PUT", part, files={"inhoud": ("inhoud", content)}, data={"lock": lock})


# contents


def test_a_document_comes_back_byte_by_byte(bptl: Caller) -> None:
    content = bytes(range(256))
    document = bptl.document(content)
    download = bptl.get(document["inhoud"], headers={"Accept": "*/*"})
    assert (download.content, download.headers["Content-Type"]) == (content, "application/octet-stream")


def test_a_size_that_is_not_that_of_the_contents_is_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    response = bptl.post("drc/enkelvoudiginformatieobjecten", bptl.document_body(b"hallo", bestandsomvang=4))
    assert (response.status_code, codes(response)) == (400, [("nonFieldErrors", "file-size")])
    assert not zgw.all("enkelvoudiginformatieobjecten")


def test_a_size_without_contents_makes_parts_and_a_lock(bptl: Caller, zgw: ZgwDouble) -> None:
    zgw.part_size(4)
    document = bptl.document(None, bestandsomvang=10)
    assert (document["inhoud"], document["locked"]) == (None, True)
    assert [part["omvang"] for part in document["bestandsdelen"]] == [4, 4, 2]
    first, second, third = (part["url"] for part in document["bestandsdelen"])
    lock = document["lock"]
    assert codes(upload(bptl, first, "verkeerd", b"0123")) == [("nonFieldErrors", "incorrect-lock-id")]
    assert codes(upload(bptl, first, lock, b"01234")) == [("nonFieldErrors", "file-size")]
    assert upload(bptl, first, lock, b"0123").json()["voltooid"]
    upload(bptl, third, lock, b"89")
    early = bptl.post(f"{document['url']}/unlock", {"lock": lock})
    assert codes(early) == [("nonFieldErrors", "incomplete-upload")]
    upload(bptl, second, lock, b"\r\n67")
    assert bptl.post(f"{document['url']}/unlock", {"lock": lock}).status_code == 204
    whole = bptl.get(document["url"]).json()
    assert (whole["locked"], whole["bestandsdelen"]) == (False, [])
    assert bptl.get(whole["inhoud"], headers={"Accept": "*/*"}).content == b"0123\r\n6789"


def test_a_download_needs_the_token_and_may_not_accept_json_only(bptl: Caller) -> None:
    inhoud = bptl.document()["inhoud"]
    assert bptl.get(inhoud, headers={"Accept": "*/*", "Authorization": None}).status_code == 403
    assert bptl.get(inhoud, headers={"Accept": "application/json"}).status_code == 406


def test_an_identificatie_of_a_document_is_unique_per_bronorganisatie(bptl: Caller) -> None:
    bptl.document(identificatie="DOC-1")
    again = bptl.post("drc/enkelvoudiginformatieobjecten", bptl.document_body(identificatie="DOC-1"))
    assert codes(again) == [("identificatie", "identificatie-niet-uniek")]
    found = bptl.get(f"drc/enkelvoudiginformatieobjecten?identificatie=DOC-1&bronorganisatie={RSIN}").json()
    assert found["count"] == 1


# locks


def test_editing_needs_the_lock_id_in_the_body(bptl: Caller) -> None:
    document = bptl.document()
    url, change = document["url"], {"titel": "Anders"}
    assert codes(bptl.call("PATCH", url, json=change)) == [("nonFieldErrors", "unlocked")]
    lock = bptl.post(f"{url}/lock", {}).json()["lock"]
    assert codes(bptl.post(f"{url}/lock", {})) == [("nonFieldErrors", "existing-lock")]
    assert codes(bptl.call("PATCH", url, json=change)) == [("nonFieldErrors", "missing-lock-id")]
    wrong = bptl.call("PATCH", url, json={**change, "lock": "verkeerd"})
    assert codes(wrong) == [("nonFieldErrors", "incorrect-lock-id")]
    right = bptl.call("PATCH", url, json={**change, "lock": lock}).json()
    assert (right["titel"], right["versie"]) == ("Anders", 2)
    assert bptl.get(f"{url}?versie=1").json()["titel"] == "Aanvraag"
    assert codes(bptl.post(f"{url}/unlock", {"lock": "verkeerd"})) == [("nonFieldErrors", "incorrect-lock-id")]
    assert bptl.post(f"{url}/unlock", {"lock": lock}).status_code == 204
    assert bptl.get(url).json()["locked"] is False


def test_a_lock_needs_no_body(bptl: Caller) -> None:
    assert bptl.call("POST", f"{bptl.document()['url']}/lock").json()["lock"]


def test_one_with_all_rights_unlocks_with_a_wrong_lock(bptl: Caller, beheer: Caller) -> None:
    url = bptl.document()["url"]
    bptl.post(f"{url}/lock", {})
    assert beheer.post(f"{url}/unlock", {"lock": "verkeerd"}).status_code == 204


# rights


def test_gebruiksrechten_and_their_indication_go_together(bptl: Caller) -> None:
    document = bptl.document()
    lock = bptl.post(f"{document['url']}/lock", {}).json()
    early = bptl.call("PATCH", document["url"], json={**lock, "indicatieGebruiksrecht": True})
    assert codes(early) == [("indicatieGebruiksrecht", "missing-gebruiksrechten")]
    unset = bptl.call("PATCH", document["url"], json={**lock, "indicatieGebruiksrecht": False})
    assert unset.json()["indicatieGebruiksrecht"] is False
    rights = {
        "informatieobject": document["url"],
        "startdatum": "2026-01-02T00:00:00Z",
        "omschrijvingVoorwaarden": "Alleen lezen",
    }
    made = bptl.made("drc/gebruiksrechten", rights)
    assert bptl.get(document["url"]).json()["indicatieGebruiksrecht"] is True
    assert bptl.call("DELETE", made["url"]).status_code == 204
    assert bptl.get(document["url"]).json()["indicatieGebruiksrecht"] is None


# links


def test_a_document_is_attached_once_and_both_apis_know_it(bptl: Caller) -> None:
    zaak, document = bptl.zaak(), bptl.document()
    relation = bptl.relate(zaak, document)
    again = bptl.post("zrc/zaakinformatieobjecten", {"zaak": zaak["url"], "informatieobject": document["url"]})
    assert codes(again) == [("nonFieldErrors", "unique")]
    there = bptl.get(f"drc/objectinformatieobjecten?object={zaak['url']}").json()
    assert [(one["informatieobject"], one["objectType"]) for one in there] == [(document["url"], "zaak")]
    listed = bptl.get(f"zrc/zaakinformatieobjecten?zaak={zaak['url']}").json()
    assert [one["url"] for one in listed] == [relation["url"]]


def test_a_document_of_a_type_that_the_zaaktype_does_not_know_is_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    other = zgw.catalogue.add_informatieobjecttype("Onbekend")
    body = {"zaak": bptl.zaak()["url"], "informatieobject": bptl.document(informatieobjecttype=other)["url"]}
    response = bptl.post("zrc/zaakinformatieobjecten", body)
    assert codes(response) == [("nonFieldErrors", "missing-zaaktype-informatieobjecttype-relation")]


def test_a_linked_document_cannot_be_deleted(bptl: Caller, zgw: ZgwDouble) -> None:
    document = bptl.document()
    relation = bptl.relate(bptl.zaak(), document)
    assert codes(bptl.call("DELETE", document["url"])) == [("nonFieldErrors", "pending-relations")]
    bptl.call("DELETE", relation["url"])
    assert bptl.call("DELETE", document["url"]).status_code == 204
    assert not zgw.all("enkelvoudiginformatieobjecten")


# besluiten


def test_a_besluit_hangs_below_its_zaak_with_its_document(bptl: Caller, zgw: ZgwDouble) -> None:
    zaak, document = bptl.zaak(), bptl.document()
    body = {
        "besluittype": zgw.catalogue.besluittype,
        "zaak": zaak["url"],
        "verantwoordelijkeOrganisatie": RSIN,
        "datum": "2026-01-02",
        "ingangsdatum": "2026-01-03",
        "identificatie": "BESLUIT-1",
    }
    besluit = bptl.made("brc/besluiten", body)
    assert codes(bptl.post("brc/besluiten", body)) == [("identificatie", "identificatie-niet-uniek")]
    [below] = bptl.get(f"{zaak['url']}/besluiten").json()
    assert below["besluit"] == besluit["url"]
    pair = {"besluit": besluit["url"], "informatieobject": document["url"]}
    bptl.made("brc/besluitinformatieobjecten", pair)
    assert codes(bptl.post("brc/besluitinformatieobjecten", pair)) == [("nonFieldErrors", "unique")]
    there = bptl.get(f"drc/objectinformatieobjecten?informatieobject={document['url']}").json()
    assert [one["object"] for one in there] == [besluit["url"]]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"datum": "2999-01-01"}, ("datum", "future_not_allowed")),
        ({"verantwoordelijkeOrganisatie": "123456789"}, ("verantwoordelijkeOrganisatie", "invalid")),
    ],
)
def test_a_besluit_that_cannot_be_is_refused(
    bptl: Caller, zgw: ZgwDouble, change: dict[str, str], code: tuple[str, str]
) -> None:
    body = {
        "besluittype": zgw.catalogue.besluittype,
        "verantwoordelijkeOrganisatie": RSIN,
        "datum": "2026-01-02",
        "ingangsdatum": "2026-01-03",
    }
    assert codes(bptl.post("brc/besluiten", {**body, **change})) == [code]


def test_a_besluit_of_a_type_that_the_zaaktype_does_not_know_is_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    other = zgw.catalogue.add_besluittype("Ander besluit", zaaktypen=[zgw.catalogue.versions[0]])
    body = {
        "besluittype": other,
        "zaak": bptl.zaak()["url"],
        "verantwoordelijkeOrganisatie": RSIN,
        "datum": "2026-01-02",
        "ingangsdatum": "2026-01-03",
    }
    assert codes(bptl.post("brc/besluiten", body)) == [("nonFieldErrors", "zaaktype-mismatch")]

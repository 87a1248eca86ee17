"""Lists and what can be read: arrays and pages, ETags, expand, the catalogue, applications, objects."""

from __future__ import annotations

import pytest

from tests.doubles.zgw.double import ALL_RIGHTS, LIMITED, ZgwDouble
from tests.integration.doubles.caller import Caller, codes


def test_some_lists_are_plain_arrays_and_some_are_pages(bptl: Caller, zgw: ZgwDouble) -> None:
    zaak = bptl.zaak()
    bptl.relate(zaak, bptl.document())
    waarde = {"zaak": zaak["url"], "eigenschap": zgw.catalogue.eigenschap("bouwkosten"), "waarde": "12"}
    bptl.made("zrc/zaken/" + zaak["uuid"] + "/zaakeigenschappen", waarde)
    arrays = ("zrc/zaakinformatieobjecten", "drc/objectinformatieobjecten", f"{zaak['url']}/zaakeigenschappen")
    pages = ("zrc/zaken", "zrc/statussen", "zrc/rollen", "zrc/zaakobjecten", "zrc/resultaten", "ztc/statustypen")
    assert [len(bptl.get(one).json()) for one in arrays] == [1, 1, 1]
    assert all(set(bptl.get(one).json()) == {"count", "next", "previous", "results"} for one in pages)


def test_pages_have_a_size_of_100_and_links_to_each_other(bptl: Caller, zgw: ZgwDouble) -> None:
    zaaktype = zgw.catalogue.add_zaaktype("LANG", statussen=[f"Status {number}" for number in range(101)])
    first = bptl.get(f"ztc/statustypen?zaaktype={zaaktype}").json()
    assert (first["count"], len(first["results"]), first["previous"]) == (101, 100, None)
    second = bptl.get(first["next"]).json()
    assert (len(second["results"]), second["next"]) == (1, None)
    assert [one["isEindstatus"] for one in second["results"]] == [True]
    small = bptl.get(f"ztc/statustypen?zaaktype={zaaktype}&pageSize=2&page=3").json()
    assert [one["volgnummer"] for one in small["results"]] == [5, 6]
    assert bptl.get(f"ztc/statustypen?zaaktype={zaaktype}&page=3").status_code == 404


def test_an_etag_saves_reading_again_until_something_changed(bptl: Caller) -> None:
    zaak = bptl.zaak()
    etag = bptl.get(zaak["url"]).headers["ETag"]
    same = bptl.get(zaak["url"], headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    bptl.call("PATCH", zaak["url"], json={"omschrijving": "anders"})
    assert bptl.get(zaak["url"], headers={"If-None-Match": etag}).status_code == 200


def test_expand_opens_a_step_only_where_the_one_above_it_is_asked_for_too(bptl: Caller) -> None:
    zaak = bptl.zaak()
    bptl.made("zrc/statussen", bptl.status_body(zaak, 1, "2026-01-02T10:00:00Z"))
    both = bptl.get(f"{zaak['url']}?expand=status,status.statustype").json()["_expand"]
    assert both["status"]["_expand"]["statustype"]["omschrijving"] == "Ontvangen"
    assert bptl.get(f"{zaak['url']}?expand=status.statustype").json()["_expand"] == {}


def test_zaken_are_found_by_their_fields(bptl: Caller) -> None:
    first = bptl.zaak("ZAAK-1", startdatum="2026-01-02", kenmerken=[{"kenmerk": "k-1", "bron": "BPTL"}])
    second = bptl.zaak("ZAAK-2", startdatum="2026-01-03")
    queries = {
        "identificatie=ZAAK-1": [first],
        "kenmerk=k-1&kenmerk__bron=BPTL": [first],
        "identificatie__icontains=zaak": [first, second],
        "startdatum__gt=2026-01-02": [second],
        "einddatum__isnull=true&ordering=-startdatum": [second, first],
        "bronorganisatie__in=002220647,517439943&pageSize=1": [first],
        "zaaktype=" + first["zaaktype"]: [first, second],
    }
    for query, wanted in queries.items():
        found = bptl.get(f"zrc/zaken?{query}").json()["results"]
        assert [one["identificatie"] for one in found] == [one["identificatie"] for one in wanted], query
    searched = bptl.post("zrc/zaken/_zoek", {"uuid__in": [second["uuid"]]}).json()["results"]
    assert [one["identificatie"] for one in searched] == ["ZAAK-2"]


def test_a_filter_that_the_double_does_not_know_fails_the_test_instead_of_being_ignored(
    bptl: Caller, zgw: ZgwDouble
) -> None:
    with zgw.violations_expected() as violations:
        bptl.get("zrc/zaken?rol__betrokkene=x")
    assert "the double does not know ['rol__betrokkene']" in violations[0]


def test_the_catalogue_has_a_version_for_each_time(bptl: Caller, zgw: ZgwDouble) -> None:
    past, current, concept = zgw.catalogue.versions
    [catalogus] = bptl.get("ztc/catalogussen?domein=ALG&rsin=002220647").json()["results"]
    query = f"ztc/zaaktypen?catalogus={catalogus['url']}&identificatie=VERGUNNING"
    assert [one["url"] for one in bptl.get(query).json()["results"]] == [past, current]
    assert [one["url"] for one in bptl.get(f"{query}&status=concept").json()["results"]] == [concept]
    today = zgw.world.today().isoformat()
    assert [one["url"] for one in bptl.get(f"{query}&datumGeldigheid={today}").json()["results"]] == [current]
    zaaktype = bptl.get(current).json()
    assert zaaktype["statustypen"][-1] == zgw.catalogue.statustype(4)
    assert bptl.get(f"ztc/besluittypen?zaaktypen={current}").json()["count"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "catalogussen",
        "zaaktypen",
        "statustypen",
        "resultaattypen",
        "roltypen",
        "eigenschappen",
        "informatieobjecttypen",
        "zaaktype-informatieobjecttypen",
        "besluittypen",
    ],
)
def test_every_part_of_the_catalogue_fits_its_description(bptl: Caller, name: str) -> None:
    listed = bptl.get(f"ztc/{name}").json()["results"]
    assert bptl.get(listed[0]["url"]).json() == listed[0]


def test_the_autorisaties_api_shows_the_applications(bptl: Caller) -> None:
    listed = bptl.get("ac/applicaties").json()["results"]
    assert [(one["clientIds"], one["heeftAlleAutorisaties"]) for one in listed] == [
        ([LIMITED.client_id], False),
        ([ALL_RIGHTS.client_id], True),
    ]
    assert bptl.get(f"ac/applicaties/consumer?clientId={LIMITED.client_id}").json() == listed[0]
    assert bptl.get("ac/applicaties?clientIds=beheer,x").json()["count"] == 1
    assert bptl.get("ac/applicaties/consumer?clientId=x").status_code == 404


# objects


def test_objects_are_found_by_type_and_by_values_of_their_data(bptl: Caller, zgw: ZgwDouble) -> None:
    form, other = zgw.add_objecttype("Formulier"), zgw.add_objecttype("Anders")
    found = zgw.add_object(form, {"zaaktypeIdentificaties": ["VERGUNNING", "KLACHT"], "maten": {"hoogte": 12}})
    zgw.add_object(other, {"zaaktypeIdentificaties": ["VERGUNNING"]})
    wanted = "zaaktypeIdentificaties__icontains__vergunning,maten__hoogte__gte__12"
    searched = bptl.post("objects/objects/search", {"type": form, "data_attrs": wanted}).json()["results"]
    assert [one["url"] for one in searched] == [found]
    assert bptl.get(f"objects/objects?type={form}&data_attr=maten__hoogte__lt__12").json()["count"] == 0
    assert codes(bptl.get("objects/objects?data_attr=hoogte")) == [("data_attr", "invalid")]


def test_a_patch_of_an_object_merges_its_data_into_a_new_record(bptl: Caller, zgw: ZgwDouble) -> None:
    url = zgw.add_object(zgw.add_objecttype("Verzoek"), {"id": "1", "metadata": {"a": 1}})
    old = bptl.get(url).json()["record"]
    change = {**old, "data": {"metadata": {"b": 2}, "locked": True}, "correctionFor": old["index"]}
    new = bptl.call("PATCH", url, json={"record": change}).json()["record"]
    assert (new["index"], new["data"]) == (2, {"id": "1", "metadata": {"a": 1, "b": 2}, "locked": True})
    assert bptl.get(f"{url}/history").json()["count"] == 2


def test_versions_of_an_objecttype_are_numbers(bptl: Caller, zgw: ZgwDouble) -> None:
    url = zgw.add_objecttype("Checklist", labels={"filter": "x"}, schemas=[{}] * 10)
    versions = bptl.get(f"{url}/versions").json()["results"]
    assert [one["version"] for one in versions] == list(range(1, 11))
    assert bptl.get(f"{url}/versions/10").json() == versions[-1]
    assert bptl.get(url).json()["labels"] == {"filter": "x"}
    body = {"type": url, "record": {"typeVersion": 11, "data": {}, "startAt": "2026-01-02"}}
    assert bptl.post("objects/objects", body).status_code == 400


def test_an_unknown_token_of_the_objects_api_is_a_401(bptl: Caller) -> None:
    unknown = bptl.get("objects/objects", headers={"Authorization": "Token onbekend"})
    none = bptl.get("objecttypes/objecttypes", headers={"Authorization": None})
    assert (unknown.status_code, none.status_code) == (401, 401)


# relations of a zaak


def test_a_zaakobject_of_another_kind_says_which(bptl: Caller) -> None:
    body = {"zaak": bptl.zaak()["url"], "object": "https://objects.example/1", "relatieomschrijving": ""}
    other = {**body, "objectType": "overige", "objectTypeOverige": ""}
    assert codes(bptl.post("zrc/zaakobjecten", other)) == [("objectTypeOverige", "missing-object-type-overige")]
    bptl.made("zrc/zaakobjecten", {**other, "objectTypeOverige": "checklist"})
    bptl.made("zrc/zaakobjecten", {**body, "objectType": "pand", "objectTypeOverige": ""})
    listed = bptl.get(f"zrc/zaakobjecten?zaak={body['zaak']}").json()["results"]
    assert [one["objectType"] for one in listed] == ["overige", "pand"]


def test_an_eigenschap_is_changed_by_patch_and_a_second_one_is_not_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    zaak = bptl.zaak()
    body = {"zaak": zaak["url"], "eigenschap": zgw.catalogue.eigenschap("bouwkosten"), "waarde": "12"}
    first = bptl.made("zrc/zaken/" + zaak["uuid"] + "/zaakeigenschappen", body)
    assert first["naam"] == "bouwkosten"
    assert bptl.call("PATCH", first["url"], json={"waarde": "13"}).json()["waarde"] == "13"
    bptl.made("zrc/zaken/" + zaak["uuid"] + "/zaakeigenschappen", body)
    assert len(bptl.get(f"{zaak['url']}/zaakeigenschappen").json()) == 2

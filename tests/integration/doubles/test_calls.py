"""What every call needs, whatever it is about: coordinates, tokens, hosts, forms. Lines of spec/zgw.md as sentences."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.doubles.zgw.applications import Application
from tests.doubles.zgw.double import LIMITED, ZgwDouble
from tests.integration.doubles.caller import Caller, codes, token

# coordinates


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("GET", "zrc/zaken", None),
        ("GET", "zaak", None),
        ("POST", "zrc/zaken", {}),
        ("PATCH", "zaak", {}),
        ("POST", "zrc/zaken/_zoek", {}),
    ],
)
def test_zaken_without_accept_crs_are_a_412_and_with_another_system_a_406(
    bptl: Caller, method: str, address: str, body: Any
) -> None:
    url = bptl.zaak()["url"] if address == "zaak" else address
    missing = bptl.call(method, url, json=body, headers={"Accept-Crs": None})
    other = bptl.call(method, url, json=body, headers={"Accept-Crs": "EPSG:28992"})
    assert (missing.status_code, other.status_code) == (412, 406)


@pytest.mark.parametrize(("method", "address"), [("POST", "zrc/zaken"), ("PATCH", "zaak"), ("POST", "zrc/zaken/_zoek")])
def test_a_body_needs_content_crs_even_without_geometry(bptl: Caller, method: str, address: str) -> None:
    url = bptl.zaak()["url"] if address == "zaak" else address
    assert bptl.call(method, url, json={}, headers={"Content-Crs": None}).status_code == 412


def test_subresources_deletes_and_other_apis_need_no_coordinates(bptl: Caller, zgw: ZgwDouble) -> None:
    none: dict[str, str | None] = {"Accept-Crs": None, "Content-Crs": None}
    zaak = bptl.zaak()
    status = bptl.post("zrc/statussen", bptl.status_body(zaak, 1, "2026-01-02T10:00:00Z"), headers=none)
    assert status.status_code == 201
    assert bptl.get(f"{zaak['url']}/zaakeigenschappen", headers=none).status_code == 200
    assert bptl.get("ztc/zaaktypen", headers=none).status_code == 200
    assert bptl.call("DELETE", zaak["url"], headers=none).status_code == 204
    assert not zgw.all("zaken")


def test_coordinates_of_another_system_are_accepted_without_complaint(bptl: Caller) -> None:
    zaak = bptl.zaak(zaakgeometrie={"type": "Point", "coordinates": [121000.0, 487000.0]})
    assert zaak["zaakgeometrie"]["coordinates"] == [121000.0, 487000.0]


# tokens


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iat_in": -3601}, "jwt-expired"),
        ({"secret": "een ander geheim, maar ook lang genoeg"}, "invalid-jwt-signature"),
        ({"client_id": "iemand-anders"}, "invalid-client-identifier"),
        ({"client_id": None}, "missing-client-identifier"),
        ({"iat": None}, "jwt-missing-iat"),
        ({"iat_in": 60}, "jwt-not-yet-valid"),
    ],
)
def test_every_failure_of_a_token_is_a_403_with_its_code(bptl: Caller, claims: dict[str, Any], code: str) -> None:
    if "iat_in" in claims:  # seconds from now, not from when the tests were collected
        claims = {"iat": int(time.time()) + claims["iat_in"]}
    response = bptl.get("ztc/zaaktypen", headers={"Authorization": f"Bearer {token(**claims)}"})
    assert (response.status_code, response.json()["code"]) == (403, code)


def test_without_a_token_the_answer_is_a_403_too(bptl: Caller) -> None:
    assert bptl.get("ztc/zaaktypen", headers={"Authorization": None}).status_code == 403
    assert bptl.get("ztc/zaaktypen", headers={"Authorization": "Bearer abc"}).json()["code"] == "jwt-decode-error"


def test_a_token_lives_an_hour(bptl: Caller, zgw: ZgwDouble) -> None:
    made = f"Bearer {token(user_id='jansen', user_representation='J. Jansen')}"
    zgw.advance(minutes=59)
    assert bptl.get("ztc/zaaktypen", headers={"Authorization": made}).status_code == 200
    zgw.advance(minutes=1)
    assert bptl.get("ztc/zaaktypen", headers={"Authorization": made}).json()["code"] == "jwt-expired"


def test_an_application_without_a_right_gets_a_403(zgw: ZgwDouble) -> None:
    reader = Application("lezer", "een geheim van minstens 32 bytes lang", "t", scopes=frozenset({"zaken.lezen"}))
    zgw.add_application(reader)
    caller = Caller(zgw, reader)
    assert caller.get("zrc/zaken").status_code == 200
    assert caller.post("zrc/zaken", caller.zaak_body()).json()["code"] == "permission_denied"


# errors, hosts, unknown things


def test_errors_are_json_with_codes_and_the_fields_they_are_about(bptl: Caller) -> None:
    response = bptl.post("zrc/zaken", bptl.zaak_body(bronorganisatie="123456789"))
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert {"type", "code", "title", "status", "detail", "instance", "invalidParams"} == set(body)
    assert (body["code"], codes(response)) == ("invalid", [("bronorganisatie", "invalid")])


def test_who_accepts_problem_json_only_gets_a_406(bptl: Caller) -> None:
    assert bptl.get("ztc/zaaktypen", headers={"Accept": "application/problem+json"}).status_code == 406


def test_a_trailing_slash_is_a_404_in_html(bptl: Caller) -> None:
    response = bptl.get("zrc/zaken/")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html")


def test_an_unknown_uuid_is_a_404_in_json(bptl: Caller) -> None:
    response = bptl.get("zrc/zaken/5d7182f4-dc2f-4aaa-b2a2-bdc72a2ce0b4")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_links_are_built_from_the_host_that_was_asked(bptl: Caller, zgw: ZgwDouble) -> None:
    asked = zgw.root("ztc").replace("127.0.0.1", "localhost") + "zaaktypen"
    [zaaktype] = bptl.get(asked).json()["results"][-1:]
    assert zaaktype["url"].startswith(asked.rpartition("/")[0])


def test_links_to_another_host_are_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    foreign = zgw.catalogue.zaaktype.replace("127.0.0.1", "localhost")
    assert codes(bptl.post("zrc/zaken", bptl.zaak_body(zaaktype=foreign))) == [("zaaktype", "unknown-service")]


def test_a_link_that_leads_nowhere_is_refused(bptl: Caller, zgw: ZgwDouble) -> None:
    gone = f"{zgw.root('ztc')}zaaktypen/5d7182f4-dc2f-4aaa-b2a2-bdc72a2ce0b4"
    assert codes(bptl.post("zrc/zaken", bptl.zaak_body(zaaktype=gone))) == [("zaaktype", "does_not_exist")]


def test_unknown_fields_are_ignored_and_unknown_query_parameters_refused(bptl: Caller) -> None:
    assert "onbekend" not in bptl.zaak(onbekend="x")
    response = bptl.get("zrc/zaken?onbekend=x")
    assert (response.status_code, codes(response)) == (400, [("nonFieldErrors", "unknown-parameters")])


def test_a_body_that_is_no_json_is_refused(bptl: Caller) -> None:
    as_json = bptl.call("POST", "zrc/zaken", data=b"{", headers={"Content-Type": "application/json"})
    as_text = bptl.call("POST", "zrc/zaken", data=b"{}", headers={"Content-Type": "text/plain"})
    assert (as_json.status_code, as_json.json()["code"]) == (400, "parse_error")
    assert as_text.status_code == 415


def test_the_headers_of_every_request_can_be_read(bptl: Caller, zgw: ZgwDouble) -> None:
    bptl.get("zrc/zaken", headers={"X-NLX-Request-Process-Id": "p1"})
    [seen] = zgw.calls("GET", "/zaken/api/v1/zaken")
    assert (seen.application, seen.headers["x-nlx-request-process-id"], seen.status) == (LIMITED.client_id, "p1", 200)


def test_head_answers_the_headers_of_a_get(bptl: Caller) -> None:
    url = bptl.zaak()["url"]
    head, get = bptl.call("HEAD", url), bptl.get(url)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", get.headers["ETag"])


def test_a_secret_that_is_too_short_is_refused_at_once(zgw: ZgwDouble) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        zgw.add_application(Application("kort", "kort", "t"))

"""http.request against a real HTTP server: what is sent, what is read, what is done once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bptl.clients import errors
from bptl.clients.json import JsonClient
from bptl.engines.variables import File
from bptl.work_units.contract import BusinessError, InvalidInput, InvalidOutput, Uncertain
from bptl.work_units.http.request import request
from bptl.work_units.testing import OWN_INSTANCE, FakeProcesses, FakeWork, run, task_facts
from tests.doubles.outside import Outside


@pytest.fixture
def service() -> Iterator[Outside]:
    with Outside("/api/") as running:
        yield running


def work_at(service: Outside, process: dict[str, Any] | None = None, **options: Any) -> FakeWork:
    processes = FakeProcesses(instances={OWN_INSTANCE: dict(process or {})})
    return FakeWork(services={"service": service.root}, processes=processes, **options)


def call(service: Outside, process: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    return run(request, inputs, work=work_at(service, process)).variables


def asked_path(service: Outside) -> str:
    return service.asked[-1].path


def refused(service: Outside, process: dict[str, Any] | None = None, **inputs: Any) -> dict[str, str]:
    """The faults for which nothing was sent, by path."""
    with pytest.raises(InvalidInput) as raised:
        call(service, process, **inputs)
    assert service.asked == []
    return dict(raised.value.faults)


class TestTemplates:
    def test_a_value_in_a_path_is_encoded_and_cannot_become_a_step_of_it(self, service: Outside) -> None:
        service.answer("panden/a%2Fb%3Fc%20%C3%A9", {})
        call(service, {"id": "a/b?c é"}, method="GET", path="panden/{id}")
        assert asked_path(service) == "/api/panden/a%2Fb%3Fc%20%C3%A9"

    @pytest.mark.parametrize("value", ["..", ".", "../../geheim", "a/../../geheim", "..\\geheim"])
    def test_a_value_that_leads_out_of_the_path_is_refused(self, service: Outside, value: str) -> None:
        assert "path" in refused(service, {"id": value}, method="GET", path="panden/{id}/eigenaar")

    def test_two_values_that_make_a_step_out_together_are_refused(self, service: Outside) -> None:
        assert "path" in refused(service, {"a": "."}, method="GET", path="panden/{a}{a}/x")

    @pytest.mark.parametrize("value", ["", None, {"a": 1}, ["a"]])
    def test_a_value_that_would_leave_a_step_out_is_refused(self, service: Outside, value: Any) -> None:
        assert "id" in refused(service, {"id": value}, method="DELETE", path="panden/{id}")

    def test_every_missing_variable_is_named_at_once(self, service: Outside) -> None:
        faults = refused(
            service, {"zaak": {}}, method="POST", path="x/{a}", query={"q": "{b}"}, body={"c": ["{zaak.url}"]}
        )
        assert faults == {
            "a": "is missing: path needs it",
            "b": "is missing: query.q needs it",
            "zaak.url": "is missing: body.c[0] needs it",
        }

    def test_a_lone_placeholder_keeps_the_type_of_its_value_in_a_body(self, service: Outside) -> None:
        service.answer("besluiten", {}, status=201)
        process = {"bedrag": 12.5, "ja": True, "niets": None, "lijst": [1, {"a": 2}], "naam": "Jan"}
        body = {
            "bedrag": "{bedrag}",
            "ja": "{ja}",
            "niets": "{niets}",
            "lijst": "{lijst}",
            "tekst": "{naam} krijgt {bedrag}: {ja}",
            "vast": 3,
        }
        call(service, process, method="POST", path="besluiten", body=body)
        assert json.loads(service.asked[-1].body) == {
            "bedrag": 12.5,
            "ja": True,
            "niets": None,
            "lijst": [1, {"a": 2}],
            "tekst": "Jan krijgt 12.5: true",
            "vast": 3,
        }

    def test_a_body_written_as_text_is_json_and_no_value_can_break_out_of_it(self, service: Outside) -> None:
        service.answer("x", {}, status=201)
        call(service, {"naam": 'Jan", "rol": "beheerder'}, method="POST", path="x", body='{"naam": "{naam}"}')
        assert json.loads(service.asked[-1].body) == {"naam": 'Jan", "rol": "beheerder'}

    def test_a_variable_is_the_whole_body(self, service: Outside) -> None:
        service.answer("x", {}, status=201)
        call(service, {"zaak": {"a": 1}}, method="POST", path="x", body="{zaak}")
        assert json.loads(service.asked[-1].body) == {"a": 1}

    def test_a_file_becomes_base64(self, service: Outside) -> None:
        service.answer("x", {}, status=201)
        file = File("a.txt", "text/plain", load=lambda: b"hallo")
        call(service, {"bijlage": file}, method="POST", path="x", body={"inhoud": "{bijlage}"})
        assert json.loads(service.asked[-1].body) == {"inhoud": "aGFsbG8="}

    def test_double_braces_are_braces_and_a_single_one_is_a_mistake_that_is_told(self, service: Outside) -> None:
        service.answer("x", {}, status=201)
        call(service, method="POST", path="x", body={"a": "{{naam}}"})
        assert json.loads(service.asked[-1].body) == {"a": "{naam}"}
        service.asked.clear()
        assert (
            "belongs to no placeholder"
            in refused(service, method="POST", path="x", body={"a": "{mijn naam}"})["body.a"]
        )

    def test_an_address_in_data_is_called_when_it_lies_in_the_service(self, service: Outside) -> None:
        service.answer("zaken/1/besluiten", {"aantal": 2})
        process = {"zaakUrl": service.root + "zaken/1"}
        found = call(service, process, method="GET", path="{+zaakUrl}/besluiten", result={"n": "body.aantal"})
        assert found == {"n": 2}

    def test_an_address_of_somebody_else_is_never_called(self, service: Outside) -> None:
        with pytest.raises(errors.ForeignAddress):
            call(service, {"zaakUrl": "https://elders.example/zaken/1"}, method="GET", path="{+zaakUrl}")
        assert service.asked == []

    def test_a_query_leaves_out_null_and_repeats_lists(self, service: Outside) -> None:
        process = {"namen": ["a&b", "c"], "niets": None, "ja": True}
        query = {"naam": "{namen}", "leeg": "{niets}", "open": "{ja}", "tekst": "x {ja}"}
        with pytest.raises(errors.NotFound):
            call(service, process, method="GET", path="zaken", query=query)
        assert parse_qs(urlsplit(asked_path(service)).query) == {
            "naam": ["a&b", "c"],
            "open": ["true"],
            "tekst": ["x true"],
        }

    def test_values_in_xml_are_escaped(self, service: Outside) -> None:
        service.answer("x", {}, status=201)
        call(service, {"a": "<b>&"}, method="POST", path="x", contentType="application/xml", body="<a>{a}</a>")
        assert service.asked[-1].body == b"<a>&lt;b&gt;&amp;</a>"
        assert service.asked[-1].headers["Content-Type"] == "application/xml"

    def test_a_form_is_encoded(self, service: Outside) -> None:
        service.answer("x", {}, status=201)
        form = "application/x-www-form-urlencoded"
        call(service, {"a": "1&b=2"}, method="POST", path="x", contentType=form, body={"a": "{a}", "c": True})
        assert service.asked[-1].body == b"a=1%26b%3D2&c=true"

    def test_variables_of_the_task_alone_are_handed_over_and_go_first(self, service: Outside) -> None:
        service.answer("x/van-taak/van-proces", {})
        process = {"a": "van-proces", "b": "van-proces"}
        call(service, process, method="GET", path="x/{a}/{b}", variables={"a": "van-taak"})
        assert asked_path(service) == "/api/x/van-taak/van-proces"

    def test_a_call_without_process_needs_all_values_in_variables(self, service: Outside) -> None:
        work = work_at(service, {"a": 1}, task=task_facts(process_instance_id=""))
        with pytest.raises(InvalidInput, match="a: is missing: path needs it"):
            run(request, {"method": "GET", "path": "x/{a}"}, work=work)


class TestRefusals:
    @pytest.mark.parametrize(
        "name",
        [
            "Authorization",
            "cookie",
            "Host",
            "X-API-Key",
            "X-Auth-Token",
            "Content-Length",
            "Proxy-Foo",
            "a b",
            "a\r\nb",
        ],
    )
    def test_headers_that_log_in_or_frame_the_request_are_refused(self, service: Outside, name: str) -> None:
        assert "headers" in refused(service, method="GET", path="x", headers={name: "x"})

    def test_a_value_cannot_add_a_header(self, service: Outside) -> None:
        assert "headers.X-Zaak" in refused(
            service, {"a": "1\r\nAuthorization: x"}, method="GET", path="x", headers={"X-Zaak": "{a}"}
        )

    @pytest.mark.parametrize(
        ("inputs", "told"),
        [
            ({"method": "TRACE"}, "method"),
            ({"method": "GET", "body": {"a": 1}}, "a GET has no body"),
            ({"method": "POST", "repeatable": True}, "repeatable is for PUT and DELETE only"),
            ({"method": "PUT", "readOnly": True}, "readOnly is for POST only"),
            ({"method": "GET", "path": "x?y=1"}, "belongs in query"),
            ({"method": "POST", "body": "{a: 1}"}, "body: is no JSON"),
            ({"method": "GET", "result": {"a": "body.["}}, "result: a is no JMESPath expression"),
            ({"method": "GET", "result": {"bptlAppId": "body"}}, "bptlAppId cannot be set"),
            ({"method": "GET", "expectedStatus": [404]}, "expectedStatus"),
            ({"method": "GET", "errorCodes": {"500": "STUK"}}, "errorCodes"),
            ({"method": "GET", "notFound": "null", "errorCodes": {"404": "A"}}, "both say"),
            ({"method": "GET", "query": "geen json"}, "query: is no JSON"),
            ({"method": "POST", "contentType": "text/plain", "body": {"a": 1}}, "body: must be text"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
        self, service: Outside, inputs: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(InvalidInput, match=told.replace("[", r"\[")):
            call(service, **{"path": "x", **inputs})
        assert service.asked == []


class TestAnswers:
    def test_variables_are_found_in_body_headers_and_status(self, service: Outside) -> None:
        service.answer("x", {"a": {"b": [{"c": 7}]}}, status=201, Location="/x/1")
        result = (
            '{"c": "body.a.b[0].c", "plek": "headers.location", "status": "status", "alles": "body", "weg": "body.z"}'
        )
        assert call(service, method="POST", path="x", result=result) == {
            "c": 7,
            "plek": "/x/1",
            "status": 201,
            "alles": {"a": {"b": [{"c": 7}]}},
            "weg": None,
        }

    def test_an_answer_without_body_and_one_of_text_can_be_read(self, service: Outside) -> None:
        service.answer("leeg", b"", status=204)
        service.answer("tekst", b"goed", Content_Type="text/plain")
        assert call(service, method="DELETE", path="leeg", result={"b": "body"}) == {"b": None}
        assert call(service, method="GET", path="tekst", result={"b": "body"}) == {"b": "goed"}

    def test_a_404_is_an_incident_unless_the_model_says_what_it_means(self, service: Outside) -> None:
        ask: dict[str, Any] = {"method": "GET", "path": "weg", "result": {"a": "body.a", "b": "body.b"}}
        with pytest.raises(errors.NotFound):
            call(service, **ask)
        assert call(service, **ask, notFound="null") == {"a": None, "b": None}
        with pytest.raises(BusinessError) as raised:
            call(service, **ask, errorCodes={"404": "NIET_GEVONDEN"})
        assert raised.value.code == "NIET_GEVONDEN"

    def test_an_answer_that_is_too_large_is_not_read(self, service: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(JsonClient, "most_bytes", 100)
        service.answer("x", "x" * 200)
        with pytest.raises(errors.NoAnswer, match="larger than 100 bytes"):
            call(service, method="GET", path="x")

    def test_what_calls_itself_json_and_is_not_is_told(self, service: Outside) -> None:
        service.answer("x", b"<html>", Content_Type="application/json")
        with pytest.raises(errors.Unreadable, match="calls itself JSON"):
            call(service, method="GET", path="x")


class TestEffects:
    def test_a_get_is_no_effect(self, service: Outside) -> None:
        service.answer("x", {})
        work = work_at(service)
        run(request, {"method": "GET", "path": "x"}, work=work)
        assert work.effects == {}

    def test_a_search_by_post_is_no_effect_when_the_model_says_so(self, service: Outside) -> None:
        service.cut("zoek")
        work = work_at(service)
        with pytest.raises(errors.NoAnswer):
            run(request, {"method": "POST", "path": "zoek", "readOnly": True}, work=work)
        assert (work.effects, work.open_effects) == ({}, set())

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_a_write_is_done_once_and_answers_the_same_again(self, service: Outside, method: str) -> None:
        service.answer("x", {"nr": 1})
        work = work_at(service)
        inputs = {"method": method, "path": "x", "result": {"nr": "body.nr"}}
        first = run(request, inputs, work=work).variables
        service.answer("x", {"nr": 2})
        assert run(request, inputs, work=work).variables == first == {"nr": 1}
        assert len(service.asked) == 1

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_without_an_answer_a_person_decides(self, service: Outside, method: str) -> None:
        service.cut("x")
        with pytest.raises(Uncertain):
            call(service, method=method, path="x")

    def test_a_status_that_is_not_expected_leaves_it_open(self, service: Outside) -> None:
        service.answer("x", {}, status=202)
        with pytest.raises(Uncertain, match="not 201"):
            call(service, method="POST", path="x", expectedStatus=[201])

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_a_repeatable_write_without_an_answer_is_repeated(self, service: Outside, method: str) -> None:
        inputs = {"method": method, "path": "x", "repeatable": True, "result": {"nr": "body.nr"}}
        service.cut("x")
        work = work_at(service)
        with pytest.raises(errors.NoAnswer):
            run(request, inputs, work=work)
        service.answer("x", {"nr": 1})
        assert run(request, inputs, work=work).variables == {"nr": 1}

    def test_with_an_idempotency_key_every_try_sends_the_same_one(self, service: Outside) -> None:
        inputs = {"method": "POST", "path": "x", "idempotencyKey": "Idempotency-Key"}
        service.cut("x")
        work = work_at(service)
        with pytest.raises(errors.NoAnswer):
            run(request, inputs, work=work)
        service.answer("x", {}, status=201)
        run(request, inputs, work=work)
        keys = [asked.headers["Idempotency-Key"] for asked in service.asked]
        assert len(keys) == 2
        assert len(set(keys)) == 1

    def test_a_refusal_did_not_happen(self, service: Outside) -> None:
        service.answer("x", {"detail": "bestaat al"}, status=409)
        work = work_at(service)
        with pytest.raises(BusinessError, match="bestaat al"):
            run(request, {"method": "POST", "path": "x", "errorCodes": {"409": "BESTAAT_AL"}}, work=work)
        assert work.open_effects == set()

    def test_what_cannot_be_computed_from_an_answer_is_told_and_nothing_is_sent_again(self, service: Outside) -> None:
        service.answer("x", {"a": "tekst"}, status=201)
        work = work_at(service)
        inputs = {"method": "POST", "path": "x", "result": {"som": "sum(body.a)"}}
        for _ in range(2):
            with pytest.raises(InvalidOutput, match=r"result\.som"):
                run(request, inputs, work=work)
        assert len(service.asked) == 1

    def test_the_ledger_keeps_no_values_of_what_was_sent(self, service: Outside) -> None:
        service.answer("x/123456782", {}, status=201)
        work = work_at(service, {"bsn": "123456782"})
        run(request, {"method": "POST", "path": "x/{bsn}", "body": {"bsn": "{bsn}"}}, work=work)
        assert "123456782" not in repr(work._arguments)


class TestTheGuide:
    """The models of docs/how-to/call-an-api.md, with the values of their input parameters as an engine gives them."""

    PAGE = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "call-an-api.md").read_text(encoding="utf-8")

    @classmethod
    def inputs(cls, element: str) -> dict[str, str]:
        (model,) = (
            found
            for found in re.findall(r"^```xml\n(.*?)^```", cls.PAGE, flags=re.MULTILINE | re.DOTALL)
            if f'id="{element}"' in found
        )
        named = re.findall(r'<camunda:inputParameter name="(\w+)">(.*?)</camunda:inputParameter>', model, re.DOTALL)
        return dict(named)

    def test_its_read_sets_what_it_says(self, service: Outside) -> None:
        answer = {
            "pand": {"oorspronkelijkBouwjaar": 1931},
            "verblijfsobjecten": [{"gebruiksdoel": "wonen"}, {"gebruiksdoel": "winkel"}],
        }
        service.answer("panden/0344", answer)
        process = {"pandId": "0344", "peildatum": "2026-01-31"}
        assert call(service, process, **self.inputs("pand")) == {
            "bouwjaar": 1931,
            "gebruiksdoelen": ["wonen", "winkel"],
        }
        assert asked_path(service) == "/api/panden/0344?geldigOp=2026-01-31"

    def test_its_change_sends_what_it_says(self, service: Outside) -> None:
        service.answer("meldingen", {}, status=201, Location="https://meldingen/7")
        process = {"melder": {"naam": "Jan"}, "bedrag": 12.5, "locatie": {"type": "Point"}}
        assert call(service, process, **self.inputs("melding")) == {"meldingUrl": "https://meldingen/7"}
        sent = service.asked[0]
        assert json.loads(sent.body) == {
            "omschrijving": "Melding van Jan",
            "bedrag": 12.5,
            "locatie": {"type": "Point"},
        }
        assert sent.headers["Idempotency-Key"]

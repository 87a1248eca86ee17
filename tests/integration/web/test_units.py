"""The catalogue: what a modeller looks for is found, and what an administrator must mend is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from bptl.accounts.roles import Role
from bptl.connections.models import Engine, Mapping
from tests.integration.web.conftest import MakeTask, somebody

pytestmark = pytest.mark.django_db


def text(client: Client, address: str, **headers: str) -> str:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


@pytest.fixture
def broken(main_engine: Engine) -> Mapping:
    return Mapping.objects.create(engine=main_engine, topic="sturen", unit="demo.quik")


@pytest.mark.parametrize(
    "words",
    ["create_zaak", "organisatieRSIN", "CreateZaakTask", "zaak create catalogi", "ZGW.CREATE_ZAAK"],
    ids=["name", "variable", "old name", "several words", "capitals"],
)
def test_a_unit_is_found_by_what_it_says_of_itself(reader: Client, words: str) -> None:
    page = text(reader, f"/units/?q={words}")
    assert "/units/zgw.create_zaak/" in page
    assert "/units/demo.slow/" not in page
    assert f'value="{words}"' in page


def test_without_words_all_are_shown_and_with_none_that_fits_it_says_what_to_do(reader: Client) -> None:
    assert "/units/demo.slow/" in text(reader, "/units/")
    nothing = text(reader, "/units/?q=onvindbaar")
    assert "No work unit matches" in nothing
    assert "Show all work units" in nothing


def test_the_list_counts_the_mappings_of_a_unit_also_those_by_its_old_name(reader: Client, main_engine: Engine) -> None:
    Mapping.objects.create(engine=main_engine, topic="a", unit="process.call_activity")
    Mapping.objects.create(engine=main_engine, topic="b", unit="bptl.work_units.camunda_api.tasks.CallActivity")
    answer = reader.get("/units/?q=process.call_activity")
    assert [mappings for _unit, _purpose, mappings in answer.context["rows"]] == [2]
    page = text(reader, "/units/process.call_activity/")
    assert "Tasks of a" in page
    assert "Tasks of b" in page


def test_a_page_says_everything_of_a_unit(reader: Client) -> None:
    page = text(reader, "/units/demo.decide/")
    for said in ("hoogte", "Height of the building in metres.", "besluit", "AANVRAAG_ONVOLLEDIG", "No mapping uses it"):
        assert said in page
    assert "camunda:topic=&quot;demo.decide&quot;" in page
    assert "/units/demo.decide/element-template.json" in page
    started = text(reader, "/units/process.call_activity/")
    assert "CREATE_INSTANCE on process definition" in started
    assert "bptl.work_units.camunda_api.tasks.CallActivity" in started
    zaak = text(reader, "/units/zgw.create_zaak/")
    assert "bptlAppId" in zaak
    assert "zrc" in zaak


def test_the_purpose_is_in_the_language_of_the_reader(reader: Client) -> None:
    assert "Relateer een zaak aan een andere zaak." in text(reader, "/units/zgw.relate_zaak/", accept_language="nl")
    assert "Relateer een zaak aan een andere zaak." in text(reader, "/units/?q=relateer", accept_language="nl")
    assert "Relateer een zaak" not in text(reader, "/units/zgw.relate_zaak/")


def test_an_old_name_leads_to_the_unit(reader: Client) -> None:
    answer = reader.get("/units/bptl.work_units.camunda_api.tasks.CallActivity/")
    assert (answer.status_code, answer["Location"]) == (302, "/units/process.call_activity/")


def test_a_unit_that_nobody_has_is_a_page_with_those_that_look_like_it(reader: Client, broken: Mapping) -> None:
    answer = reader.get("/units/demo.quik/")
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "/units/demo.quick/" in page
    assert "Tasks of sturen" in page


def test_a_broken_mapping_is_shown_with_close_matches_and_mended_by_administrators(
    reader: Client, broken: Mapping
) -> None:
    page = text(reader, "/units/?q=onvindbaar")
    assert "main / sturen" in page
    assert '<a class="utrecht-link utrecht-link--html-a" href="/units/demo.quick/">demo.quick</a>' in page
    change = f"/mappings/{broken.pk}/change/"
    assert change not in page
    assert change in text(somebody(Role.ADMINISTRATOR), "/units/")


def saved(client: Client, address: str) -> tuple[dict[str, Any], str]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    found: dict[str, Any] = json.loads(answer.content)
    return found, answer["Content-Disposition"]


def topic(template: dict[str, Any]) -> str:
    [found] = [one["value"] for one in template["properties"] if one["binding"].get("name") == "camunda:topic"]
    return str(found)


def test_the_template_of_a_unit_is_saved_and_leads_back_to_its_page(reader: Client) -> None:
    template, disposition = saved(reader, "/units/demo.quick/element-template.json")
    assert topic(template) == "demo.quick"
    assert template["documentationRef"] == "http://testserver/units/demo.quick/"
    assert disposition == 'attachment; filename="demo.quick.json"'
    assert reader.get("/units/no.such/element-template.json").status_code == 404


def test_the_template_of_a_mapping_has_its_topic(reader: Client, main_engine: Engine) -> None:
    mapping = Mapping.objects.create(engine=main_engine, topic="leges/berekenen", unit="demo.quick")
    template, disposition = saved(reader, f"/mappings/{mapping.pk}/element-template.json")
    assert topic(template) == "leges/berekenen"
    assert disposition == 'attachment; filename="leges_berekenen.json"'


def test_a_mapping_that_no_model_can_use_has_no_template(reader: Client, broken: Mapping) -> None:
    called = Mapping.objects.create(topic="bellen", unit="demo.quick")
    assert reader.get(f"/mappings/{broken.pk}/element-template.json").status_code == 404
    assert reader.get(f"/mappings/{called.pk}/element-template.json").status_code == 404


def test_a_task_and_a_mapping_lead_to_the_page_of_their_unit(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    assert 'href="/units/demo.quick/"' in text(reader, f"/tasks/{task.pk}/")
    page = text(reader, f"/mappings/{task.mapping_id}/")
    assert 'href="/units/demo.quick/"' in page
    assert f'href="/mappings/{task.mapping_id}/element-template.json"' in page

"""Pages of mappings: seen by viewers, paused by operators, changed by administrators, checked while one types."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from bptl.accounts.audit import By
from bptl.accounts.models import AuditEntry
from bptl.accounts.roles import Role
from bptl.connections import bindings
from bptl.connections.models import Engine, Mapping, MappingService
from bptl.connections.service_models import Service
from bptl.tasks import mapping_changes
from bptl.work_units import registry
from tests.integration.connections.units import read_zaak
from tests.integration.web.conftest import MakeTask, somebody

JANSEN = By("jansen")


@pytest.fixture
def administrator(db: None) -> Client:
    return somebody(Role.ADMINISTRATOR)


@pytest.fixture
def permit(main_engine: Engine) -> Mapping:
    return Mapping.objects.create(engine=main_engine, topic="permit", unit="demo.quick")


@pytest.fixture
def zaken(db: None) -> Service:
    """A unit that needs the Zaken API, and such a service."""
    registry.load().add(read_zaak)
    return Service.objects.create(name="zaken", kind="zrc", address="http://127.0.0.1:1/", authentication="no_auth")


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return re.sub(r"\s+", " ", answer.content.decode())


def typed(client: Client, address: str, **changed: Any) -> dict[str, Any]:
    """What a browser would send for the form of this address: everything as it is, and what was ``changed``."""
    form = client.get(address).context["form"]
    values = {field.html_name: field.value() for field in form}
    values |= changed
    sent = {name: ",".join(value) if isinstance(value, list) else value for name, value in values.items()}
    return {name: value for name, value in sent.items() if value is not None and value is not False}


def save(client: Client, address: str, **changed: Any) -> Any:
    return client.post(address, {**typed(client, address, **changed), "intent": "save"}, follow=True)


def check(client: Client, address: str, **changed: Any) -> str:
    """What the page answers while somebody types."""
    answer = client.post(address, typed(client, address, **changed), headers={"HX-Request": "true"})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "<html" not in page
    return re.sub(r"\s+", " ", page)


def test_the_list_says_of_each_mapping_where_it_stands_and_what_is_here(
    reader: Client, make_task: MakeTask, main_engine: Engine
) -> None:
    for status in ("queued", "queued", "running", "delivered"):
        make_task(status)
    make_task(outcome="failed", result={"message": "no", "retries": 0})
    broken = Mapping.objects.create(engine=main_engine, topic="old", unit="gone.unit")
    mapping_changes.pause(broken.pk, by=JANSEN, reason="package is being built")
    Mapping.objects.create(engine=main_engine, topic="torn", unit="gone.unit")
    Mapping.objects.create(topic="leges", unit="demo.quick")
    rows = {row.listed.mapping.topic: row for row in reader.get("/mappings/").context["rows"]}
    assert {topic: str(row.listed.state) for topic, row in rows.items()} == {
        "permit": "active",
        "old": "paused",
        "torn": "broken",
        "leges": "active",
    }
    assert (rows["permit"].held.queued, rows["permit"].held.running, rows["permit"].held.failed) == (2, 1, 1)
    page = text(reader, "/mappings/")
    for said in ("package is being built", "there is no work unit &#x27;gone.unit&#x27;", "Calls of the REST API"):
        assert said in page
    assert "/tasks/?engine=main&amp;topic=permit&amp;status=delivered&amp;outcome=failed" in page


def test_mappings_are_searched_by_topic_unit_service_engine_and_state(
    reader: Client, permit: Mapping, zaken: Service
) -> None:
    reading = Mapping.objects.create(engine=permit.engine, topic="lezen", unit="test.read_zaak")
    MappingService.objects.create(mapping=reading, alias="zrc", service=zaken)
    Mapping.objects.create(topic="bellen", unit="demo.quick", active=False)

    def topics(query: str) -> list[str]:
        return [row.listed.mapping.topic for row in reader.get(f"/mappings/?{query}").context["rows"]]

    assert topics("q=zaken") == ["lezen"]
    assert topics("q=DEMO+permit") == ["permit"]
    assert topics("q=bptl.work_units") == []
    assert topics("engine=rest") == ["bellen"]
    assert topics("state=paused") == ["bellen"]
    assert topics("engine=main&state=active") == ["lezen", "permit"]
    assert "No mapping matches" in text(reader, "/mappings/?q=nothing")
    assert reader.get("/mappings/?q=&state=active")["Location"] == "/mappings/?state=active"


def test_an_empty_installation_says_what_a_mapping_is_and_who_makes_one(reader: Client, administrator: Client) -> None:
    assert "Administrators add them" in text(reader, "/mappings/")
    page = text(administrator, "/mappings/")
    assert "Add an engine first" in page
    assert 'href="/mappings/add/"' in page


def test_the_page_of_a_mapping_leads_to_its_unit_tasks_and_template(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    make_task(outcome="failed", result={"message": "no", "retries": 0})
    page = text(reader, f"/mappings/{task.mapping_id}/")
    for address in ("/units/demo.quick/", "/tasks/?engine=main&amp;topic=permit"):
        assert f'href="{address}"' in page
    assert f'href="/mappings/{task.mapping_id}/element-template.json"' in page
    assert "Of the latest 2 with an outcome 1 completed, 1 failed, 0 ended with a BPMN error." in page
    assert "What you can do" not in page
    assert f'href="/mappings/{task.mapping_id}/"' in text(reader, f"/tasks/{task.pk}/")
    assert f'href="/mappings/{task.mapping_id}/"' in text(reader, "/units/demo.quick/")
    assert reader.get("/mappings/999999/").status_code == 404


def test_an_engine_that_does_not_answer_is_told_beside_a_page_that_works(reader: Client, permit: Mapping) -> None:
    assert f'hx-get="/mappings/{permit.pk}/waiting/"' in text(reader, f"/mappings/{permit.pk}/")
    part = text(reader, f"/mappings/{permit.pk}/waiting/")
    assert "Engine main does not answer" in part
    assert "Look whether the engine runs" in part


def test_the_address_of_a_new_mapping_fills_its_form(administrator: Client, main_engine: Engine) -> None:
    def filled(query: str) -> tuple[Any, Any]:
        form = administrator.get(f"/mappings/add/?{query}").context["form"]
        return form["engine"].value(), form["topic"].value()

    assert filled("topic=a") == ("main", "a"), "the only engine"
    assert filled("topic=a&engine=rest") == (None, "a"), "no engine at all"
    Engine.objects.create(name="other", address="http://127.0.0.1:1/", authentication="none")
    assert filled("topic=a&engine=other") == ("other", "a")
    assert filled("topic=a") == (None, "a"), "somebody must choose"


def test_a_mapping_is_added_and_the_audit_log_names_who_did_it(administrator: Client, main_engine: Engine) -> None:
    answer = save(
        administrator,
        "/mappings/add/?topic=sturen&unit=demo.slow",
        retry_plan="R3/PT5M",
        error_codes="HTTP 404 = NIET_GEVONDEN\n\nInvalidInput=ONGELDIG",
        definition_keys="b, a",
        lock_seconds="60",
    )
    mapping = Mapping.objects.get()
    assert answer.redirect_chain == [(f"/mappings/{mapping.pk}/", 302)]
    assert (mapping.engine, mapping.topic, mapping.unit, mapping.active) == (main_engine, "sturen", "demo.slow", True)
    assert (mapping.retry_plan, mapping.definition_keys, mapping.lock_seconds) == ("R3/PT5M", ["a", "b"], 60)
    assert mapping.error_codes == {"HTTP 404": "NIET_GEVONDEN", "InvalidInput": "ONGELDIG"}
    [entry] = AuditEntry.objects.filter(action="mapping.added")
    assert (entry.actor, entry.object_name) == ("administrator", "main/sturen → demo.slow")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"topic": "permit"}, "This engine already has a mapping of this topic with the same filters."),
        ({"lock_seconds": "3"}, "Ensure this value is greater than or equal to 10."),
        ({"retry_plan": "often"}, "is no duration"),
        ({"error_codes": "HTTP 404"}, "write a cause and a code"),
        ({"unit": "made.up"}, "made.up is not one of the available choices"),
        ({"unit": "test.read_zaak", "service-zrc": ""}, "service zrc is missing: Zaken API"),
        ({"tenant_ids": "a", "without_tenant": "on"}, "Choose tenants or tasks without tenant, not both."),
        ({"engine": "", "business_key": "17"}, "Calls of the REST API have nothing to filter by"),
    ],
)
def test_faults_are_told_while_one_types_and_again_when_it_is_saved(
    administrator: Client, permit: Mapping, zaken: Service, changed: dict[str, str], told: str
) -> None:
    filled = {"topic": "other", "unit": "demo.quick", **changed}
    assert told in check(administrator, "/mappings/add/", **filled)
    refused = save(administrator, "/mappings/add/", **filled)
    assert told in refused.content.decode()
    assert "Nothing was saved yet" in refused.content.decode()
    assert Mapping.objects.count() == 1


def test_what_is_not_typed_yet_is_no_fault_until_it_is_saved(administrator: Client, main_engine: Engine) -> None:
    assert "This field is required" not in check(administrator, "/mappings/add/")
    assert "This field is required" in save(administrator, "/mappings/add/").content.decode()


def test_a_chosen_unit_brings_its_documentation_and_a_field_for_each_service(
    administrator: Client, zaken: Service, main_engine: Engine
) -> None:
    Service.objects.create(name="mail", kind="drc", address="http://127.0.0.1:2/", authentication="no_auth")
    page = check(administrator, "/mappings/add/", topic="lezen", unit="test.read_zaak")
    for said in ("Read a zaak.", "zaakUrl", "omschrijving", "Zaken API", "employees (optional)"):
        assert said in page
    zrc = page.partition('id="id_service-zrc"')[2].partition("</select>")[0]
    assert '<option value="zaken" selected>zaken (zrc)</option>' in zrc, "the only one that fits is chosen already"
    assert "mail" not in zrc
    whole = administrator.post("/mappings/add/", {"topic": "lezen", "unit": "test.read_zaak", "intent": "check"})
    assert "Read a zaak." in whole.content.decode(), "without JavaScript the button does it"
    assert Mapping.objects.count() == 0
    save(administrator, "/mappings/add/?unit=test.read_zaak&topic=lezen")
    assert bindings.of(Mapping.objects.get()) == {"zrc": zaken}


def test_a_change_says_what_waits_and_what_it_does_before_it_is_saved(
    administrator: Client, make_task: MakeTask
) -> None:
    task = make_task("running")
    make_task("queued")
    address = f"/mappings/{task.mapping_id}/change/"
    page = text(administrator, address)
    assert "1 task waits for a free place." in page
    assert "Nothing is changed yet." in page
    page = check(administrator, address, unit="demo.slow", topic="vergunning")
    assert "The new work unit does what is fetched from now on" in page
    assert "What runs now is finished by the old ones." in page
    assert "the tasks of main/vergunning are fetched" in page
    assert Mapping.objects.get().unit == "demo.quick"
    assert "Say why" in save(administrator, address, unit="demo.slow").content.decode()
    save(administrator, address, unit="demo.slow", reason="it was the wrong one")
    assert Mapping.objects.get().unit == "demo.slow"
    entry = AuditEntry.objects.get(action="mapping.changed")
    assert (entry.reason, entry.detail) == ("it was the wrong one", {"unit": "demo.quick → demo.slow"})


def test_a_change_that_somebody_else_made_meanwhile_is_not_overwritten(administrator: Client, permit: Mapping) -> None:
    address = f"/mappings/{permit.pk}/change/"
    mine = {**typed(administrator, address, priority="5", reason="urgent"), "intent": "save"}
    mapping_changes.pause(permit.pk, by=JANSEN, reason="storm")
    refused = administrator.post(address, mine)
    assert refused.status_code == 409
    assert "Somebody else has changed the mapping" in refused.content.decode()
    permit.refresh_from_db()
    assert (permit.priority, permit.active) == (0, False)
    again = {**mine, "seen": re.search(r'name="seen" value="([^"]+)"', refused.content.decode())[1]}  # type: ignore[index]
    assert administrator.post(address, again).status_code == 302
    permit.refresh_from_db()
    assert (permit.priority, permit.active, permit.pause_reason) == (5, False, "storm")


def test_a_broken_mapping_is_shown_with_its_problem_and_mended(
    administrator: Client, reader: Client, permit: Mapping
) -> None:
    Mapping.objects.update(unit="gone.unit")
    page = text(reader, f"/mappings/{permit.pk}/")
    assert "Broken: nothing is fetched" in page
    assert "there is no work unit &#x27;gone.unit&#x27;" in page
    address = f"/mappings/{permit.pk}/change/"
    assert "gone.unit (broken: not registered)" in text(administrator, address)
    save(administrator, address, priority="3", reason="it can be saved as it is")
    save(administrator, address, unit="demo.quick", reason="mended")
    permit.refresh_from_db()
    assert (permit.unit, permit.priority) == ("demo.quick", 3)


def test_a_paused_mapping_may_lack_what_its_unit_needs(
    administrator: Client, zaken: Service, main_engine: Engine
) -> None:
    filled = {"topic": "lezen", "unit": "test.read_zaak", "service-zrc": ""}
    save(administrator, "/mappings/add/", **filled, active=False)
    mapping = Mapping.objects.get()
    assert (mapping.active, bindings.of(mapping)) == (False, {})


def test_an_operator_pauses_until_a_moment_and_resumes_and_both_say_why(operator: Client, make_task: MakeTask) -> None:
    task = make_task("running")
    address = f"/mappings/{task.mapping_id}/"
    page = text(operator, f"{address}pause/")
    for said in ("1 task runs.", "What is here already is finished", "Nothing more of this topic is fetched"):
        assert said in page
    refused = operator.post(f"{address}pause/", {"reason": "", "until": "2001-01-01T10:00"})
    assert "Say why" in refused.content.decode()
    refused = operator.post(f"{address}pause/", {"reason": "storm", "until": "2001-01-01T10:00"})
    assert "This moment is over" in refused.content.decode()
    assert Mapping.objects.get().active
    until = timezone.localtime() + timedelta(days=1)
    operator.post(f"{address}pause/", {"reason": "storm", "until": f"{until:%Y-%m-%dT%H:%M}"})
    mapping = Mapping.objects.get()
    assert (mapping.paused, mapping.paused_by, mapping.pause_reason) == (True, "operator", "storm")
    assert mapping.resume_at == until.replace(second=0, microsecond=0)
    page = text(operator, address)
    for said in ("Paused: nothing is fetched", "storm", "By operator,", "It resumes by itself:"):
        assert said in page
    operator.post(f"{address}resume/", {"reason": "the storm is over"})
    assert Mapping.objects.get().active
    entries = AuditEntry.objects.filter(actor="operator", action__startswith="mapping").order_by("id")
    assert list(entries.values_list("action", "reason")) == [
        ("mapping.paused", "storm"),
        ("mapping.resumed", "the storm is over"),
    ]


def test_a_removed_mapping_leaves_its_tasks_and_says_so_before(administrator: Client, make_task: MakeTask) -> None:
    task = make_task("queued")
    address = f"/mappings/{task.mapping_id}/remove/"
    page = text(administrator, address)
    assert "1 task waits for a free place." in page
    assert "Those that wait for a place are given back to the engine" in page
    answer = administrator.post(address, {"reason": "the process is gone"}, follow=True)
    assert answer.redirect_chain == [("/mappings/", 302)]
    assert not Mapping.objects.exists()
    assert "permit" in text(administrator, f"/tasks/{task.pk}/")
    assert AuditEntry.objects.get(action="mapping.removed").reason == "the process is gone"
    assert administrator.post(address, {"reason": "again"}).status_code == 404


def test_who_may_not_change_a_mapping_is_offered_nothing_that_would_be_refused(
    reader: Client, operator: Client, permit: Mapping
) -> None:
    address = f"/mappings/{permit.pk}/"
    clients = {"viewer": reader, "operator": operator, "administrator": somebody(Role.ADMINISTRATOR)}
    offered = {name: re.findall(rf'href="{address}(\w+)/"', text(one, address)) for name, one in clients.items()}
    assert offered == {"viewer": [], "operator": ["pause"], "administrator": ["pause", "change", "owner", "remove"]}


def test_the_pages_of_mappings_speak_dutch(administrator: Client, permit: Mapping) -> None:
    for address, said in (("/mappings/", "Koppelingen"), (f"/mappings/{permit.pk}/pause/", "Pauzeren")):
        assert said in administrator.get(address, headers={"accept-language": "nl"}).content.decode()

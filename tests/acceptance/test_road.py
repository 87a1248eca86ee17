"""The road from end to end: real processes, a real engine with logins on, a user with three rights and no more."""

from __future__ import annotations

import pytest

from stage import sample
from stage.topology import CommandFailed
from tests.acceptance.town import Town

CASES = 10


def test_every_path_of_the_sample_ends_in_the_engine(town: Town) -> None:
    started = {
        number: town.start(sample.PROCESS, business_key=sample.business_key(number), **sample.variables(number))
        for number in range(1, CASES + 1)
    }

    town.wait("all cases ended", lambda: town.ended(*started.values()), seconds=120)

    refused = town.variables(started[3])
    assert refused["besluit"] == "weigeren", "18.5 m is above what is allowed"
    assert town.variables(started[1])["besluit"] == "verlenen"
    assert "besluit" not in town.variables(started[4]), "an incomplete application ends by its BPMN error"
    assert town.variables(started[4])["ontbrekend"]


def test_a_mapping_that_is_added_works_at_once(town: Town) -> None:
    case = town.one_step("later", business_key="added-later", aanvrager="N. Nieuw", bouwkosten=10_000)
    assert town.state(case) == "ACTIVE"

    town.map("later", "demo.quick")

    town.wait("the new topic is polled", lambda: town.ended(case), seconds=15)
    assert town.variables(case)["begroeting"]


def test_an_old_dotted_name_still_names_its_unit(town: Town) -> None:
    town.map("oud", "bptl.dummy.tasks.dummy")

    case = town.one_step("oud", business_key="old-name")

    town.wait("the case ended", lambda: town.ended(case))


def test_bad_input_is_an_incident_at_once_that_names_every_field(town: Town) -> None:
    town.map("slecht", "demo.decide")

    case = town.one_step("slecht", business_key="bad-input", hoogte="hoog", bijlagen="geen lijst")

    town.wait("the engine has an incident", lambda: bool(town.incidents(case)))
    (incident,) = town.incidents(case)
    assert "hoogte" in incident["incidentMessage"]
    assert "bijlagen" in incident["incidentMessage"]
    (task,) = town.tasks(business_key="bad-input")
    assert (task["status"], task["outcome"], task["attempts"]) == ("delivered", "failed", 1)


def test_a_failed_task_is_tried_again_when_a_person_says_so(town: Town) -> None:
    town.map("herstel", "demo.decide")
    case = town.one_step("herstel", business_key="mended", hoogte=-1, bijlagen='["plan.pdf"]')
    town.wait("the engine has an incident", lambda: bool(town.incidents(case)))
    town.engine.call("PUT", f"/process-instance/{case}/variables/hoogte", body={"value": 9.5, "type": "Double"})
    value = {"value": '["plan.pdf"]', "type": "Json"}
    town.engine.call("PUT", f"/process-instance/{case}/variables/bijlagen", body=value)
    (task,) = town.tasks(business_key="mended")

    town.topology.bptl("tasks", "retry", str(task["id"]), "--reason", "height was a typing error", "--actor", "jansen")

    town.wait("the case ended", lambda: town.ended(case))
    story = town.topology.bptl("tasks", "show", str(task["id"]))
    assert "jansen" in story
    assert "height was a typing error" in story


def test_a_task_that_fails_for_a_while_is_retried_by_its_plan(town: Town) -> None:
    town.map("wankel", "demo.flaky", "--retries", "R3/PT0.5S")

    case = town.one_step("wankel", business_key="flaky", failures=2, seed=1)

    town.wait("the case ended", lambda: town.ended(case))
    (task,) = town.tasks(business_key="flaky")
    assert task["attempts"] == 3


def test_a_mapping_without_its_unit_stops_nothing_else(town: Town) -> None:
    town.map("werkt", "demo.quick")
    with pytest.raises(CommandFailed, match=r"zgw\.no_such_unit"):
        town.map("stuk", "zgw.no_such_unit")

    case = town.one_step("werkt", business_key="beside-broken", aanvrager="B", bouwkosten=1)

    town.wait("the case ended", lambda: town.ended(case))


def test_the_doctor_finds_the_fleet_alive(town: Town) -> None:
    report = town.topology.bptl("doctor")

    assert "beat" in report
    assert "work" in report

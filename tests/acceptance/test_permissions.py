"""What BPTL does by default as the user whom the founding page describes, and what it says where more is needed."""

from __future__ import annotations

import json
from typing import Any

from stage import sample
from tests.acceptance.town import Town

# The fixture ``town`` is a real Operaton with authorization on; BPTL's user has stage.topology.RIGHTS and no others.


def story(town: Town, business_key: str) -> dict[str, Any]:
    (task,) = town.tasks(business_key=business_key)
    told: dict[str, Any] = json.loads(town.topology.bptl("tasks", "show", str(task["id"]), "--json"))
    return told


def test_locks_are_kept_alive_and_results_reported_with_three_rights(town: Town) -> None:
    town.map("rechten.lang", "demo.slow", "--lock", "10")

    case = town.one_step("rechten.lang", business_key="rights-long", seconds=14)

    town.wait("the case ended", lambda: town.ended(case))
    assert town.variables(case)["gewacht"] == 14
    (task,) = town.tasks(business_key="rights-long")
    assert task["attempts"] == 1


def test_a_bpmn_error_is_thrown_though_nobody_may_look_who_catches_it(town: Town) -> None:
    number = 4
    case = town.start(sample.PROCESS, business_key="rights-error", **sample.variables(number))

    town.wait("it ended by its BPMN error", lambda: town.ended(case))

    rows = town.tasks(business_key="rights-error")
    thrown = [row for row in rows if row["outcome"] == "thrown"]
    assert len(thrown) == 1
    assert "not checked" in town.topology.bptl("tasks", "show", str(thrown[0]["id"]), "--json")


def test_a_unit_that_needs_more_fails_and_names_the_permission(town: Town) -> None:
    town.map("rechten.start", "process.call_activity")

    case = town.one_step("rechten.start", business_key="rights-start", subprocessDefinition="one-step")

    town.wait("the engine has an incident", lambda: bool(town.incidents(case)))
    (incident,) = town.incidents(case)
    for right in ("READ and CREATE_INSTANCE on Process Definition", "CREATE on Process Instance"):
        assert right in incident["incidentMessage"]


def test_the_doctor_says_what_is_allowed_and_what_is_off(town: Town) -> None:
    report = town.topology.bptl("doctor")

    assert "fetching is allowed: the engine's authorization check says so for every process" in report
    assert "reading models is off: our user lacks READ on Process Definition" in report
    assert "starting processes is off: our user lacks CREATE on Process Instance, CREATE_INSTANCE on" in report

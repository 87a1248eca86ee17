"""A process starts another one with the variables that the mapping names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bptl.engines.variables import File, Xml
from bptl.work_units.contract import InvalidInput, LeaseEnded, NeverAgain, ProcessNotFound, unit_of
from bptl.work_units.process import call_activity
from bptl.work_units.testing import OWN_INSTANCE, FakeProcesses, FakeWork, run


@pytest.fixture
def processes() -> FakeProcesses:
    return FakeProcesses(definitions={"beoordelen": 3})


def test_the_latest_version_is_started_and_its_instance_id_answered(processes: FakeProcesses) -> None:
    result = run(call_activity, {"subprocessDefinition": "beoordelen"}, processes=processes)
    (started,) = processes.started
    assert (started.key, started.version, started.business_key) == ("beoordelen", 3, None)
    assert result.variables == {"processInstanceId": started.id}


@pytest.mark.parametrize("version", [2, "2"], ids=repr)
def test_a_fixed_version_is_started(processes: FakeProcesses, version: Any) -> None:
    values = {"subprocessDefinition": "beoordelen", "subprocessDefinitionVersion": version}
    run(call_activity, values, processes=processes)
    assert processes.started[0].version == 2


@pytest.mark.parametrize("mapping", [{}, None])
def test_without_mapping_all_variables_of_the_parent_are_handed_over_with_their_types(
    processes: FakeProcesses, mapping: Any
) -> None:
    parent = {
        "zaak": {"url": "https://zaken/1"},
        "op": datetime(2026, 1, 31, tzinfo=UTC),
        "plan": File("plan.pdf", "application/pdf"),
        "bericht": Xml("<a/>"),
        "niets": None,
    }
    processes.instances[OWN_INSTANCE] = dict(parent)
    values = {"subprocessDefinition": "beoordelen", "variablesMapping": mapping}
    run(call_activity, values, processes=processes)
    assert processes.started[0].variables == parent | values


def test_a_mapping_hands_over_what_it_names_under_the_new_names(processes: FakeProcesses) -> None:
    processes.instances[OWN_INSTANCE] = {"zaakUrl": "https://zaken/1", "geheim": "x"}
    values = {"subprocessDefinition": "beoordelen", "variablesMapping": {"zaakUrl": "hoofdZaakUrl"}}
    run(call_activity, values, processes=processes)
    assert processes.started[0].variables == {"hoofdZaakUrl": "https://zaken/1"}


def test_a_variable_that_the_parent_lacks_is_skipped_and_the_log_says_so(processes: FakeProcesses) -> None:
    values = {"subprocessDefinition": "beoordelen", "variablesMapping": {"b": "x", "a": "y"}}
    result = run(call_activity, values, processes=processes)
    assert processes.started[0].variables == {}
    (warning,) = [event for event in result.work.events if event["log_level"] == "warning"]
    assert (warning["event"], warning["missing"]) == ("variables.skipped", ["a", "b"])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"subprocessDefinition": "onbekend"}, "'onbekend' in any version"),
        ({"subprocessDefinition": "beoordelen", "subprocessDefinitionVersion": 4}, "'beoordelen' in version 4"),
    ],
)
def test_an_unknown_definition_or_version_is_an_incident_that_says_what_to_do(
    processes: FakeProcesses, values: dict[str, Any], named: str
) -> None:
    with pytest.raises(NeverAgain, match=named) as caught:
        run(call_activity, values, processes=processes)
    assert "READ and CREATE_INSTANCE on Process Definition" in str(caught.value)
    assert isinstance(caught.value.__cause__, ProcessNotFound)
    assert processes.started == []


def test_all_faults_of_the_variables_are_named_before_anything_is_started(processes: FakeProcesses) -> None:
    values = {"subprocessDefinition": "", "subprocessDefinitionVersion": "newest", "variablesMapping": ["a"]}
    with pytest.raises(InvalidInput) as caught:
        run(call_activity, values, processes=processes)
    assert [fault.path for fault in caught.value.faults] == list(values)
    assert processes.started == []


def test_nothing_is_started_once_the_work_is_cancelled(processes: FakeProcesses) -> None:
    with pytest.raises(LeaseEnded):
        run(call_activity, {"subprocessDefinition": "beoordelen"}, processes=processes, cancelled=True)
    assert processes.started == []


def test_the_rights_that_it_needs_are_declared() -> None:
    rights = " ".join(unit_of(call_activity).rights)
    assert "CREATE on process instance" in rights
    assert "CREATE_INSTANCE on process definition" in rights
    assert "READ on process definition" in rights


def test_the_harness_keeps_what_was_sent_to_other_processes() -> None:
    work = FakeWork(processes=FakeProcesses(definitions={"p": 1}))
    started = work.processes.start(key="p", business_key="b", variables={"a": 1})
    work.processes.set_variables({"a": 2}, process_instance_id=started)
    work.processes.correlate("betaald", process_instance_id=started, variables={"bedrag": 5})
    work.processes.signal("alarm")
    assert work.processes.variables(started, ["a"]) == {"a": 2}
    assert work.processes.started[0].variables == {"a": 1}
    assert work.processes.messages[0].name == "betaald"
    assert work.processes.signals[0].name == "alarm"


def test_the_harness_knows_no_instance_that_was_never_started() -> None:
    processes = FakeProcesses()
    for call in (
        lambda: processes.variables("x"),
        lambda: processes.set_variables({}, process_instance_id="x"),
        lambda: processes.correlate("m", process_instance_id="x"),
    ):
        with pytest.raises(ProcessNotFound, match="instance 'x'"):
            call()


def test_options_for_a_work_that_was_already_made_are_refused() -> None:
    with pytest.raises(ValueError, match="FakeWork"):
        run(call_activity, {}, work=FakeWork(), cancelled=True)

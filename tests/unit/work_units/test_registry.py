"""Units are found by name and by old name; doubles are refused; what is broken stops nothing."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from bptl.work_units import demo, process
from bptl.work_units.contract import Inputs, Work, unit_of, work_unit
from bptl.work_units.registry import GROUP, DoubledName, Registry, UnknownUnit, load


class Empty(Inputs):
    pass


@work_unit("test.one", replaces=["old.package.One", "old.package.Een"])
def one(work: Work, inputs: Empty) -> None:
    """Do one."""


@work_unit("test.one")
def another_one(work: Work, inputs: Empty) -> None:
    """Want a name that is taken."""


@work_unit("test.two", replaces="old.package.One")
def two(work: Work, inputs: Empty) -> None:
    """Want an old name that is taken."""


@work_unit("old.name")
def newcomer(work: Work, inputs: Empty) -> None:
    """Want as name what replaces.old_name has as old name."""


@work_unit("test.three", replaces="old.name")
def three(work: Work, inputs: Empty) -> None:
    """Have an old name."""


@work_unit("test.twice", replaces=["test.twice"])
def twice(work: Work, inputs: Empty) -> None:
    """Replace itself."""


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.fixture
def in_sys_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this module importable under a fixed name, as an installed package would be."""
    monkeypatch.setitem(sys.modules, "third_party_units", sys.modules[__name__])


def test_a_unit_is_found_by_its_name_and_by_each_old_name() -> None:
    registry = Registry([one])
    for name in ("test.one", "old.package.One", "old.package.Een"):
        assert registry.get(name).function is one
        assert name in registry
    assert registry.names() == ("test.one",)
    assert len(registry) == 1


def test_iteration_is_sorted_by_name() -> None:
    assert [unit.name for unit in Registry([two, newcomer, another_one])] == ["old.name", "test.one", "test.two"]


def test_an_unknown_name_is_answered_with_names_that_look_like_it() -> None:
    with pytest.raises(UnknownUnit, match=r"'test\.on'.*did you mean test\.one") as caught:
        Registry([one, three]).get("test.on")
    assert caught.value.name == "test.on"
    assert caught.value.matches[0] == "test.one"


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (one, another_one, "test.one"),
        (one, two, "old.package.One"),
        (three, newcomer, "old.name"),
        (newcomer, three, "old.name"),
    ],
)
def test_a_name_or_old_name_that_is_taken_is_refused_and_both_places_are_named(
    first: FunctionType, second: FunctionType, name: str
) -> None:
    registry = Registry([first])
    with pytest.raises(DoubledName) as caught:
        registry.add(second)
    assert caught.value.name == name
    assert caught.value.first == f"{__name__}.{first.__name__}"
    assert caught.value.second == f"{__name__}.{second.__name__}"
    assert len(registry) == 1
    assert registry.get(name).function is first


def test_a_unit_that_replaces_itself_is_refused() -> None:
    with pytest.raises(DoubledName):
        Registry([twice])


def test_the_same_unit_may_be_added_again() -> None:
    registry = Registry([one])
    assert registry.add(one) is unit_of(one)
    assert len(registry) == 1


def test_a_function_that_is_no_unit_cannot_be_added() -> None:
    with pytest.raises(TypeError):
        Registry().add(point)


@pytest.mark.usefixtures("in_sys_modules")
def test_an_entry_point_may_be_one_function() -> None:
    registry = Registry.from_entry_points([point("third", "third_party_units:three")])
    assert registry.names() == ("test.three",)
    assert registry.faults == []


@pytest.mark.usefixtures("in_sys_modules")
def test_broken_packages_are_reported_and_stop_nobody() -> None:
    registry = Registry.from_entry_points(
        [
            point("absent", "package_that_is_not_there"),
            point("empty", "third_party_units:nothing_there"),
            point("no-unit", "third_party_units:point"),
            point("demo", "bptl.work_units.demo"),
            point("third", "third_party_units:three"),
        ]
    )
    assert "demo.quick" in registry
    assert "test.three" in registry
    assert {fault.entry_point for fault in registry.faults} == {"absent", "empty", "no-unit"}
    assert "package_that_is_not_there" in registry.faults[0].error


@pytest.mark.usefixtures("in_sys_modules")
def test_of_two_packages_with_one_name_the_first_keeps_it_and_the_rest_of_the_other_is_kept() -> None:
    registry = Registry.from_entry_points([point("a", "third_party_units"), point("b", "third_party_units:three")])
    assert registry.get("test.one").function is one
    assert "test.two" in registry or "old.package.One" in registry
    assert any("'test.one' is declared by" in fault.error for fault in registry.faults)


def test_nobody_can_take_a_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    @work_unit("demo.quick")
    def pirate(work: Work, inputs: Empty) -> None:
        """Want what is ours."""

    module = ModuleType("aaa_pirate")
    module.__dict__["pirate"] = pirate
    monkeypatch.setitem(sys.modules, "aaa_pirate", module)
    registry = Registry.from_entry_points([point("aaa", "aaa_pirate"), point("demo", "bptl.work_units.demo")])
    assert registry.get("demo.quick").function is demo.quick
    assert [fault.entry_point for fault in registry.faults] == ["aaa"]


def test_a_package_is_searched_in_all_its_modules_and_a_broken_one_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "units_of_somebody"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "broken.py").write_text("raise RuntimeError('half installed')")
    (package / "good.py").write_text(
        "from bptl.work_units.contract import Inputs, Work, work_unit\n"
        "class Empty(Inputs): pass\n"
        "@work_unit('somebody.do_good')\n"
        "def do_good(work: Work, inputs: Empty) -> None:\n"
        "    'Do good.'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry.from_entry_points([point("somebody", "units_of_somebody")])
    assert registry.names() == ("somebody.do_good",)
    assert registry.faults == [("somebody (units_of_somebody.broken)", "RuntimeError: half installed")]


def test_the_installed_registry_knows_our_units_by_their_old_names_too() -> None:
    registry = load()
    assert registry.faults == []
    assert registry.get("bptl.dummy.tasks.dummy").function is demo.log_variables
    assert registry.get("bptl.work_units.camunda_api.tasks.CallActivity").function is process.call_activity
    assert load() is registry

"""What an operator does on the pages of a task, in a real browser before real processes, seen at the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from stage.engines import SANDBOX
from tests.acceptance import browser as chromium
from tests.acceptance.browser import PASSWORD, USER, Visitor
from tests.acceptance.town import Town
from tests.doubles.recorder import Recorder

UNITS = Path(__file__).parents[1] / "faults" / "units"
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium.chromium()
    if program is None:
        pytest.skip("NO PAGE IS TESTED IN A BROWSER: Chromium is missing (Debian: apt-get install chromium)")
    with chromium.started(program) as running:
        yield running


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def small_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One worker before the sandbox, and somebody who may log in."""
    logs = tmp_path_factory.mktemp("small-town")
    with Town.built(logs, product=SANDBOX, workers=1, environment={"PYTHONPATH": str(UNITS)}) as town:
        login = {"USERNAME": USER, "PASSWORD": PASSWORD, "EMAIL": "jansen@example.org"}
        environment = {f"DJANGO_SUPERUSER_{name}": value for name, value in login.items()}
        town.topology.bptl("manage", "createsuperuser", "--no-input", environment=environment)
        town.map("daden.besluit", "demo.decide")
        town.map("daden.verzend", "test.send")
        yield town


@pytest.fixture
def visit(browser: Browser, small_town: Town) -> Iterator[Visit]:
    """Make a visitor; at the end none may have seen an error."""
    visitors: list[Visitor] = []

    def make(**context: Any) -> Visitor:
        visitors.append(Visitor(browser, small_town, **{"locale": "en-GB", **context}))
        return visitors[-1]

    yield make
    said = [line for visitor in visitors for line in visitor.said]
    for visitor in visitors:
        visitor.close()
    assert said == []


def incident(town: Town, key: str) -> tuple[str, str]:
    """A case whose variable is wrong; its instance and the address of its task's page."""
    case = town.one_step("daden.besluit", business_key=key, hoogte="hoog", bijlagen=["plan.pdf"])
    town.wait("the engine has an incident", lambda: bool(town.incidents(case)))
    # The report is noted right after the engine has taken it.
    town.wait("it is noted", lambda: [task["status"] for task in town.tasks(business_key=key)] == ["delivered"])
    [task] = town.tasks(business_key=key)
    return case, f"/tasks/{task['id']}/"


def variable(page: Page, name: str, kind: str, text: str) -> None:
    fields = page.get_by_role("group", name=name, exact=True)
    fields.get_by_label("Type").select_option(kind)
    fields.get_by_label("Value").fill(text)


def test_a_wrong_variable_is_put_right_without_javascript_and_the_case_ends(visit: Visit, small_town: Town) -> None:
    case, address = incident(small_town, "daden-retry")
    page = visit(java_script_enabled=False).log_in(address)

    page.get_by_role("link", name="Retry with changed variables").click()
    expect(page.get_by_role("heading", name="What will happen")).to_be_visible()
    variable(page, "hoogte", "Double", "negen")
    page.get_by_label("Why").fill("a typing error")
    page.get_by_role("button", name="Retry with changed variables").click()

    expect(page.get_by_text("Write a number with a point")).to_be_visible()
    expect(page.get_by_label("Why")).to_have_value("a typing error")
    assert small_town.incidents(case)
    variable(page, "hoogte", "Double", "9.5")
    page.get_by_role("button", name="Retry with changed variables").click()

    expect(page.get_by_role("status").filter(has_text="Changed: hoogte.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="task.retried")).to_contain_text("a typing error")
    small_town.wait("the case ended", lambda: small_town.ended(case))
    assert small_town.variables(case)["besluit"] == "verlenen"


def test_a_plain_retry_is_heard_by_the_engine_and_fails_as_before(visit: Visit, small_town: Town) -> None:
    case, address = incident(small_town, "daden-weer")
    page = visit().log_in(address)

    page.get_by_role("link", name="Retry now").click()
    page.get_by_label("Why").fill("to see it fail again")
    page.get_by_role("button", name="Retry now").click()

    expect(page.get_by_role("status").filter(has_text="The engine offers the task again")).to_be_visible()
    small_town.wait(
        "it ran again", lambda: [task["attempts"] for task in small_town.tasks(business_key="daden-weer")] == [2]
    )
    small_town.wait("it is an incident again", lambda: bool(small_town.incidents(case)))


def test_an_effect_is_settled_and_the_case_goes_on_with_what_the_person_saw(
    visit: Visit, small_town: Town, recorder: Recorder
) -> None:
    recorder.misbehave("daden-brief", "cut")
    case = small_town.one_step("daden.verzend", business_key="daden-brief", recorder=recorder.url, key="daden-brief")
    small_town.wait("a person is asked", lambda: bool(small_town.incidents(case)))
    [task] = small_town.tasks(business_key="daden-brief")
    visitor = visit()
    page = visitor.log_in(f"/tasks/{task['id']}/")

    page.get_by_role("link", name="Settle").click()
    assert visitor.barriers() == []
    page.get_by_role("radio", name="It happened").check()
    page.get_by_label("Result, when it happened").fill("1")
    page.get_by_label("Why").fill("the letter is in the post book")
    page.get_by_role("button", name="Settle the effect").click()

    expect(page.get_by_role("status").filter(has_text="The last open effect is settled")).to_be_visible()
    small_town.wait("the case ended", lambda: small_town.ended(case))
    assert small_town.variables(case)["number"] == 1
    assert recorder.count("daden-brief") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("language", "word"), [("nl-NL", "Wat er gebeurt"), ("en-GB", "What will happen")])
def test_the_pages_of_actions_have_no_barriers_and_fit_a_phone(
    visit: Visit, small_town: Town, scheme: str, language: str, word: str
) -> None:
    _, address = incident(small_town, f"daden-{scheme}-{language}")
    visitor = visit(locale=language, color_scheme=scheme, viewport={"width": 320, "height": 844})
    page = visitor.log_in(address)
    barriers = visitor.barriers()
    for part in ("retry", "retry-with-variables", "complete"):
        page.goto(f"{address}{part}/")
        expect(page.get_by_role("heading", name=word)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, part
        barriers += visitor.barriers()
    assert barriers == []

"""Element templates in a real modeler: the panel of bpmn-js takes them, shows no error, and writes the right model."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser, Page, expect

from bptl.work_units.element_templates import element_template
from bptl.work_units.registry import load
from stage import assets
from tests.acceptance import browser as chromium

SOURCE = Path(__file__).parent / "modeler" / "modeler.js"
PAGE = """<!doctype html><meta charset="utf-8"><title>Modeler</title><link rel="stylesheet" href="modeler.css">
<style>body {{ display: grid; grid-template-columns: 1fr 24rem; height: 100vh; margin: 0 }} #panel {{ overflow: auto }}
</style><div id="canvas"></div><div id="panel"></div><script src="modeler.js"></script>"""
BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
CAMUNDA = "{http://camunda.org/schema/1.0/bpmn}"
ERRORS = ".bio-properties-panel-error"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modeler as one page."""
    assets.build()
    folder = tmp_path_factory.mktemp("modeler")
    node, _npm = assets.tools()
    command = [str(node), "node_modules/esbuild/bin/esbuild", str(SOURCE), "--bundle", "--log-level=warning"]
    command += [f"--outdir={folder}", "--loader:.woff=dataurl", "--loader:.woff2=dataurl", "--loader:.ttf=dataurl"]
    command += ["--loader:.eot=dataurl", "--loader:.svg=dataurl"]
    environment = {"NODE_PATH": str(assets.SOURCES / "node_modules"), "PATH": str(node.parent)}
    done = subprocess.run(command, cwd=assets.SOURCES, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "index.html").write_text(PAGE.format(), encoding="utf-8")
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium.chromium()
    if program is None:
        pytest.skip("NO TEMPLATE IS TRIED IN A MODELER: Chromium is missing (Debian: apt-get install chromium)")
    with chromium.started(program) as running:
        yield running


@pytest.fixture
def modeler(browser: Browser, bundle: Path) -> Iterator[Page]:
    """The modeler; at the end it may have said nothing that is an error."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(bundle.as_uri())
    page.wait_for_function("window.ready")
    yield page
    page.close()
    assert said == []


def applied(modeler: Page, template: dict[str, Any]) -> ET.Element:
    """The XML of a task after the template was chosen for it, once the panel shows it without an error."""
    assert modeler.evaluate("template => window.offer([template])", template) == []
    modeler.evaluate("id => window.apply(id)", template["id"])
    shown = "name => document.querySelector('#panel').textContent.includes(name)"
    modeler.wait_for_function(f"name => ({shown})(name) || (window.choose(), false)", arg=template["name"], polling=200)
    headers = modeler.locator("#panel .bio-properties-panel-group-header:not(.open)")
    for index in reversed(range(headers.count())):
        headers.nth(index).click()
    # The panel may still show what belonged to the template before.
    expect(modeler.locator(ERRORS)).to_have_count(0)
    return xml(modeler)


def xml(modeler: Page) -> ET.Element:
    return ET.fromstring(modeler.evaluate("window.saved()"))  # noqa: S314 - written by the modeler of this test


def parameters(model: ET.Element, kind: str) -> dict[str, str]:
    return {one.get("name", ""): one.text or "" for one in model.iter(f"{CAMUNDA}{kind}Parameter")}


def test_choosing_a_template_makes_the_service_task_that_bptl_fetches(modeler: Page) -> None:
    model = applied(modeler, element_template(load().get("demo.decide"), topic="vergunning.beslissen"))
    [task] = model.iter(f"{BPMN}serviceTask")
    assert task.get(f"{CAMUNDA}type") == "external"
    assert task.get(f"{CAMUNDA}topic") == "vergunning.beslissen"
    assert task.get(f"{CAMUNDA}modelerTemplate") == "bptl:demo.decide:vergunning.beslissen"
    assert parameters(model, "input") == {
        "hoogte": "${hoogte}",
        "bijlagen": '${execution.getVariableTyped("bijlagen", false)}',
    }
    assert parameters(model, "output")["besluit"] == '${execution.getVariableTyped("besluit", false)}'
    [error] = model.iter(f"{BPMN}error")
    assert error.get("errorCode") == "AANVRAAG_ONVOLLEDIG"
    assert [one.get("errorRef") for one in model.iter(f"{CAMUNDA}errorEventDefinition")] == [error.get("id")]
    assert [one.get("name") for one in model.iter(f"{CAMUNDA}property")] == ["RETRY_CONFIG"]


def test_the_topic_cannot_be_typed_and_a_wrong_number_is_marked(modeler: Page) -> None:
    applied(modeler, element_template(load().get("demo.decide")))
    expect(modeler.get_by_label("Topic")).to_be_disabled()
    height = modeler.get_by_label("hoogte")
    height.fill("hoog")
    expect(modeler.locator(ERRORS)).to_contain_text("number, or an expression")
    height.fill("12.5")
    expect(modeler.locator(ERRORS)).to_have_count(0)
    modeler.get_by_label("Retry plan").fill("R3/PT5M")
    modeler.wait_for_function("async () => (await window.saved()).includes('value=\"R3/PT5M\"')")
    assert parameters(xml(modeler), "input")["hoogte"] == "12.5"


def test_a_choice_is_chosen_from_a_list(modeler: Page) -> None:
    applied(modeler, element_template(load().get("demo.flaky")))
    kind = modeler.get_by_label("kind")
    expect(kind).to_have_value("try_again")
    kind.select_option("never_again")
    assert parameters(xml(modeler), "input")["kind"] == "never_again"


@pytest.mark.parametrize("language", ["en", "nl"])
def test_every_unit_is_taken_and_shown_without_an_error(modeler: Page, language: str) -> None:
    for unit in load():
        page = f"https://bptl.example.nl/units/{unit.name}/"
        model = applied(modeler, element_template(unit, page=page, language=language))
        assert [task.get(f"{CAMUNDA}topic") for task in model.iter(f"{BPMN}serviceTask")] == [unit.name]

"""The pages in a real browser before real processes: seen, filtered, paged, opened, in both languages and themes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from stage import sample
from tests.acceptance import browser as chromium
from tests.acceptance.browser import PASSWORD, USER, Scheme, Visitor
from tests.acceptance.town import Town

PROCESS_DEFINITION, BATCH = 6, 13
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium.chromium()
    if program is None:
        pytest.skip("NO PAGE IS TESTED IN A BROWSER: Chromium is missing (Debian: apt-get install chromium)")
    with chromium.started(program) as running:
        yield running


@pytest.fixture(scope="module")
def inhabited(town: Town) -> Town:
    """The town with somebody who may log in, an incident, and cases that took every path of the sample."""
    login = {"USERNAME": USER, "PASSWORD": PASSWORD, "EMAIL": "jansen@example.org"}
    environment = {f"DJANGO_SUPERUSER_{name}": value for name, value in login.items()}
    town.topology.bptl("manage", "createsuperuser", "--no-input", environment=environment)
    town.map("kamers.slecht", "demo.decide")
    bad = town.one_step("kamers.slecht", business_key="kamers-incident", hoogte="hoog", bijlagen="geen lijst")
    # More tasks than fit on one page: 12 cases have 50 steps and more.
    cases = [
        town.start(sample.PROCESS, business_key=f"kamers-{number}", **sample.variables(number))
        for number in range(1, 16)
    ]
    town.wait("all cases ended", lambda: town.ended(*cases), seconds=120)
    town.wait("the engine has an incident", lambda: bool(town.incidents(bad)))
    return town


@pytest.fixture
def visit(browser: Browser, inhabited: Town) -> Iterator[Visit]:
    """Make a visitor with a language, theme or screen of their own; at the end none may have seen an error."""
    visitors: list[Visitor] = []

    def make(**context: Any) -> Visitor:
        visitors.append(Visitor(browser, inhabited, **{"locale": "en-GB", **context}))
        return visitors[-1]

    yield make
    said = [line for visitor in visitors for line in visitor.said]
    for visitor in visitors:
        visitor.close()
    assert said == []


def test_a_stranger_is_asked_to_log_in_and_then_is_where_they_wanted_to_be(visit: Visit) -> None:
    page = visit().log_in("/tasks/?topic=kamers.slecht")
    assert page.url.endswith("/tasks/?topic=kamers.slecht")
    expect(page.get_by_role("heading", name="Tasks", level=1)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.goto("/tasks/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_tasks_appear_by_themselves_while_focus_and_place_stay(visit: Visit, inhabited: Town) -> None:
    page = visit().log_in("/tasks/?business_key=kamers-live")
    expect(page.get_by_role("heading", name="No task matches")).to_be_visible()
    inhabited.start(sample.PROCESS, business_key="kamers-live", **sample.variables(1))

    first = page.get_by_role("link", name="vergunning.registreren")
    expect(first).to_be_visible()
    first.focus()
    last = page.get_by_role("row").filter(has_text="vergunning.informeren")
    expect(last).to_contain_text("completed", timeout=60_000)

    expect(first).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="New tasks")).to_have_count(1)


def test_a_paused_list_stands_still_until_it_may_go_on(visit: Visit, inhabited: Town) -> None:
    page = visit().log_in("/tasks/?business_key=kamers-pause")
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "true")
    case = inhabited.start(sample.PROCESS, business_key="kamers-pause", **sample.variables(1))
    inhabited.wait("the case ended", lambda: inhabited.ended(case))
    page.wait_for_timeout(4_000)
    expect(page.get_by_role("heading", name="No task matches")).to_be_visible()
    pause.click()
    expect(page.get_by_role("link", name="vergunning.registreren")).to_be_visible()


def test_filters_are_chosen_kept_while_paging_and_cleared(visit: Visit) -> None:
    page = visit().log_in("/tasks/")
    page.get_by_label("Outcome").select_option(label="completed")
    page.get_by_text("More filters").click()
    page.get_by_label("Engine").select_option("operaton")
    page.get_by_role("button", name="Filter").click()
    assert page.url.endswith("/tasks/?outcome=completed&engine=operaton")
    older = page.get_by_role("navigation", name="Pages, above the list").get_by_role("link", name="Older")
    older.click()
    page.wait_for_url("**/tasks/?outcome=completed&engine=operaton&before=*")
    expect(page.get_by_label("Outcome")).to_have_value("completed")
    expect(page.get_by_label("Engine")).to_have_value("operaton")
    expect(page.get_by_role("cell", name="failed")).to_have_count(0)
    page.get_by_role("navigation", name="Pages, above the list").get_by_role("link", name="Newest").click()
    page.wait_for_url("**/tasks/?outcome=completed&engine=operaton")
    page.get_by_role("link", name="Clear all filters").click()
    page.wait_for_url("**/tasks/")


def test_an_incident_shows_its_cause_and_which_right_the_diagram_needs(visit: Visit) -> None:
    page = visit().log_in("/tasks/?topic=kamers.slecht")
    page.get_by_role("link", name="kamers.slecht").click()
    trouble = page.get_by_role("region", name="Failed, and no retries are left")
    expect(trouble).to_contain_text("hoogte: must be a number")
    expect(trouble).to_contain_text("bptl tasks retry")
    expect(page.get_by_text("Grant READ on Process Definition one-step")).to_be_visible()


def test_the_overview_leads_from_a_cause_to_its_tasks_and_shows_a_topic_without_mapping_by_itself(
    visit: Visit, inhabited: Town
) -> None:
    page = visit().log_in("/")
    troubles = page.get_by_role("region", name="Topics to look at")
    expect(troubles).to_be_visible()
    inhabited.one_step("kamers.nergens", business_key="kamers-nergens")
    expect(troubles).to_contain_text("kamers.nergens at operaton: 1 task waits", timeout=60_000)
    troubles.get_by_role("link", name="all topics").click()
    finding = page.get_by_role("row").filter(has_text="kamers.nergens")
    expect(finding).to_contain_text("waiting without a mapping")
    finding.get_by_role("link", name="Make a mapping").click()
    expect(page.get_by_label("Topic")).to_have_value("kamers.nergens")
    page.go_back()
    page.get_by_role("navigation", name="Main navigation").get_by_role("link", name="Overview").click()
    # Tasks of other tests may have failed of the same cause.
    cause = page.get_by_role("row").filter(has_text="hoogte: must be a number").filter(has_text="kamers.slecht")
    cause.get_by_role("link", name=re.compile(r"^\d+ failed")).click()
    page.wait_for_url("**/tasks/?error=*")
    expect(page.get_by_role("link", name="kamers.slecht").first).to_be_visible()


def test_failures_lead_by_their_cause_to_the_task_its_variables_and_what_it_called(
    visit: Visit, inhabited: Town
) -> None:
    inhabited.topology.bptl("manage", "shell", "--command", CALL)
    visitor = visit()
    page = visitor.log_in("/tasks/?outcome=failed&period=today")
    causes = page.get_by_role("region", name="Why they failed")
    causes.get_by_role("link", name="hoogte: must be a number").click()
    page.wait_for_url("**/tasks/?outcome=failed&period=today&error=*")
    expect(page.get_by_role("region", name="failed of")).to_contain_text("hoogte: must be a number")
    assert visitor.barriers() == []
    page.get_by_role("link", name="kamers.slecht").click()

    opened = page.get_by_text("Sent and answered")
    opened.click()
    expect(page.get_by_text("kamers-toelichting")).to_be_visible()
    box = page.get_by_role("searchbox", name="Find in the variables")
    box.fill("HOOG")
    expect(page.get_by_role("cell", name="hoogte", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="bijlagen", exact=True)).to_be_hidden()
    page.wait_for_timeout(4_000)  # It has asked for itself anew.
    expect(page.get_by_text("kamers-toelichting")).to_be_visible()
    expect(page.get_by_role("cell", name="bijlagen", exact=True)).to_be_hidden()
    expect(box).to_have_value("HOOG")
    assert visitor.barriers() == []


CALL = """
from django.db.models.functions import Now
from bptl.tasks.models import ServiceCall, Task
task = Task.objects.get(topic="kamers.slecht")
ServiceCall.objects.create(
    task=task, lease_id=task.last_lease_id, service="zaken", method="POST", url="https://zaken.example.nl/zaken",
    began_at=Now(), milliseconds=12, status=201, request_body="kamers-toelichting",
)
"""


def test_a_person_works_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit().log_in("/tasks/?topic=kamers.slecht")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    assert skip.bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("language", "word"), [("nl-NL", "Taken"), ("en-GB", "Tasks")])
def test_axe_finds_no_serious_barrier(visit: Visit, scheme: Scheme, language: str, word: str) -> None:
    visitor = visit(locale=language, color_scheme=scheme)
    visitor.page.goto("/login/")
    barriers = visitor.barriers()
    page = visitor.log_in("/tasks/")
    expect(page.get_by_role("heading", name=word, level=1)).to_be_visible()
    barriers += visitor.barriers()
    for address in (
        *("/", "/topics/", "/tasks/?topic=nothing", "/tasks/?status=wrong"),
        *("/units/", "/units/?q=nothing", "/units/demo.decide/", "/units/zgw.create_zaak/"),
    ):
        page.goto(address)
        barriers += visitor.barriers()
    page.goto("/tasks/?topic=kamers.slecht")
    page.get_by_role("link", name="kamers.slecht").click()
    expect(page.locator("#diagram .utrecht-alert")).to_be_visible()
    barriers += visitor.barriers()
    assert barriers == []


@pytest.mark.parametrize(("language", "scheme"), [("en-GB", "light"), ("nl-NL", "dark")])
def test_axe_finds_no_serious_barrier_at_what_bptl_reaches(visit: Visit, language: str, scheme: Scheme) -> None:
    visitor = visit(locale=language, color_scheme=scheme)
    page = visitor.log_in("/engines/")
    barriers = visitor.barriers()
    page.locator("tbody a").first.click()
    engine = page.url
    for address in (
        *(engine, f"{engine}change/", f"{engine}instances/"),
        *("/services/", "/services/new/", "/applications/", "/applications/new/"),
    ):
        page.goto(address)
        barriers += visitor.barriers()
    assert barriers == []


def test_an_engine_is_tested_and_an_instance_deleted_for_a_reason_without_javascript(
    visit: Visit, inhabited: Town
) -> None:
    case = inhabited.one_step("kamers.niemand", business_key="kamers-weg")
    visitor = visit(java_script_enabled=False)
    page = visitor.log_in("/engines/")
    page.get_by_role("link", name="operaton", exact=True).click()
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("region", name="What the test found")).to_contain_text("etching is allowed")

    page.get_by_role("link", name="Process instances").click()
    page.get_by_label("Business key").fill("kamers-weg")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("checkbox", name=case).check()
    page.get_by_role("button", name="Delete the marked ones").click()
    expect(page.get_by_role("region", name="What will happen")).to_contain_text("ends this process instance")
    page.get_by_label("Why").fill("a test of the permit desk")
    inhabited.engine.grant("bptl", resource_type=BATCH, permissions=("CREATE",))
    page.get_by_role("button", name="Delete", exact=True).click()

    expect(page.get_by_role("status").filter(has_text="The engine deletes the instance now")).to_be_visible()
    inhabited.wait("the engine has deleted it", lambda: inhabited.state(case) == "EXTERNALLY_TERMINATED")


def test_a_unit_is_looked_up_copied_and_saved_for_a_modeler(visit: Visit) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"]).log_in("/units/")
    page.get_by_role("searchbox").fill("building permit hoogte")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/units/?q=building+permit+hoogte")
    page.get_by_role("link", name="demo.decide").click()
    expect(page.get_by_role("row").filter(has_text="kamers.slecht")).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_have_count(1)
    assert 'camunda:topic="demo.decide"' in page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the template of kamers.slecht").click()
    assert saved.value.suggested_filename == "kamers.slecht.json"


def test_a_mapping_is_added_for_a_case_that_waits_then_paused_and_resumed(visit: Visit, inhabited: Town) -> None:
    visitor = visit()
    case = inhabited.one_step("kamers.nieuw", business_key="kamers-nieuw", hoogte=4)
    page = visitor.log_in("/mappings/add/?topic=kamers.nieuw")
    page.get_by_label("Work unit", exact=True).select_option("demo.decide")
    expect(page.get_by_role("complementary", name="demo.decide")).to_contain_text("Height of the building in metres.")
    plan = page.get_by_label("Retry plan")
    plan.fill("often")
    expect(page.get_by_text("is no duration of days")).to_be_visible()
    expect(plan).to_be_focused()
    barriers = visitor.barriers()
    plan.fill("R3/PT5M")
    expect(page.get_by_text("is no duration of days")).to_have_count(0)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="kamers.nieuw", level=1)).to_be_visible()
    inhabited.wait("the case ended", lambda: inhabited.ended(case))

    page.get_by_role("link", name="Pause", exact=True).click()
    page.get_by_label("Why").fill("the rules change tomorrow")
    page.get_by_label("Until").fill("2099-01-01T08:00")
    barriers += visitor.barriers()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("region", name="Paused: nothing is fetched")).to_contain_text("the rules change tomorrow")
    page.wait_for_timeout(6_000)  # The long poll that is under way lasts 5 s in this town, and still brings tasks.
    case = inhabited.one_step("kamers.nieuw", business_key="kamers-nieuw-2", hoogte=4)
    page.reload()
    expect(page.get_by_text("1 task of this topic waits at operaton")).to_be_visible()
    assert not inhabited.ended(case)
    page.get_by_role("link", name="Resume").click()
    page.get_by_label("Why").fill("they stay as they are")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status").filter(has_text="kamers.nieuw is resumed.")).to_be_visible()
    inhabited.wait("the case ended", lambda: inhabited.ended(case))
    assert barriers + visitor.barriers() == []


def test_a_token_is_made_and_the_machine_that_has_it_is_let_in(visit: Visit, inhabited: Town) -> None:
    visitor = visit()
    page = visitor.log_in("/tokens/add/")
    page.get_by_label("Name", exact=True).fill("kamers")
    page.get_by_label("Acts as").select_option(USER)
    barriers = visitor.barriers()
    page.get_by_role("button", name="Make the token").click()
    key = page.locator("#key").inner_text()

    def status() -> int:
        asked = page.request.post("/api/v1/work-unit", headers={"Authorization": f"Token {key}"}, data={})
        return asked.status

    assert status() == 400, "it is let in, and asked for what is missing"
    page.get_by_role("link", name="All API tokens").click()
    barriers += visitor.barriers()
    page.get_by_role("link", name="Revoke kamers").click()
    page.get_by_label("Why").fill("only for a test")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row").filter(has_text="kamers")).to_contain_text("revoked")
    assert status() == 401
    assert barriers + visitor.barriers() == []


def test_the_pages_of_mappings_and_tokens_have_no_barrier_in_the_dark_and_in_dutch(visit: Visit) -> None:
    visitor = visit(locale="nl-NL", color_scheme="dark")
    page = visitor.log_in("/mappings/")
    barriers = visitor.barriers()
    page.get_by_role("link", name="kamers.slecht", exact=True).click()
    expect(page.get_by_role("heading", name="Hoe het ermee gaat")).to_be_visible()
    barriers += visitor.barriers()
    for address in ("/mappings/add/?unit=zgw.create_zaak", "/mappings/?q=nothing", "/tokens/", "/tokens/add/"):
        page.goto(address)
        barriers += visitor.barriers()
    assert barriers == []


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_never_scrolls_sideways(visit: Visit, width: int) -> None:
    page = visit(viewport={"width": width, "height": 844}).log_in("/tasks/?topic=kamers.slecht")
    address = page.get_by_role("link", name="kamers.slecht").get_attribute("href") or ""
    page.goto("/engines/")
    engine = page.locator("tbody a").first.get_attribute("href") or ""
    for shown in (
        *(
            "/tasks/",
            address,
            "/",
            "/topics/",
            "/units/",
            "/units/zgw.create_zaak/",
            "/engines/",
            "/services/new/",
            "/applications/",
            "/mappings/",
            "/mappings/add/?unit=zgw.create_zaak",
            "/tokens/",
            "/tokens/add/",
        ),
        *(engine, f"{engine}instances/"),
    ):
        page.goto(shown)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, shown


def test_with_the_right_to_read_the_process_is_drawn_with_its_step_and_the_mark_of_its_makers(
    visit: Visit, inhabited: Town
) -> None:
    inhabited.engine.grant("bptl", resource_type=PROCESS_DEFINITION, permissions=("READ",))
    visitor = visit()
    page = visitor.log_in("/tasks/?topic=vergunning.publiceren")
    page.get_by_role("link", name="vergunning.publiceren").first.click()
    drawn = page.get_by_role("group", name="Process diagram of vergunning; this task is the step publiceren")
    expect(drawn.locator('[data-element-id="publiceren"].bptl-here')).to_be_visible()
    expect(drawn.get_by_role("link", name="Powered by bpmn.io")).to_be_visible()
    drawn.get_by_role("button", name="Zoom in").click()
    drawn.get_by_role("button", name="Show the whole process").click()
    page.wait_for_timeout(4_000)
    expect(drawn.locator('[data-element-id="publiceren"].bptl-here')).to_be_visible()
    assert visitor.barriers() == []
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the model").click()
    assert saved.value.suggested_filename == "vergunning.bpmn"


def test_the_administration_works_under_the_same_protection(visit: Visit) -> None:
    page = visit().log_in("/admin/connections/mailtemplate/")
    page.get_by_role("link", name="Add mail template").first.click()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()

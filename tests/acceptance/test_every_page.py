"""Every page, by every role, in a real browser: what the URL configuration names is visited, whoever added it.

A page that is new here is walked by itself. What it needs in its address is found in tests/acceptance/pages.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import translation
from playwright.sync_api import Browser, expect

from bptl.accounts.roles import Role
from tests.acceptance import browser as chromium
from tests.acceptance import everything, pages
from tests.acceptance.browser import Visitor
from tests.acceptance.everything import NAMES, Everything
from tests.acceptance.pages import Page

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

VISITS: dict[str, tuple[Role, dict[str, Any]]] = {
    "administrator-english-light": (
        Role.ADMINISTRATOR,
        {"locale": "en-GB", "color_scheme": "light", "viewport": WIDE},
    ),
    "administrator-dutch-dark-phone": (
        Role.ADMINISTRATOR,
        {"locale": "nl-NL", "color_scheme": "dark", "viewport": PHONE},
    ),
    "operator-dutch-light": (Role.OPERATOR, {"locale": "nl-NL", "color_scheme": "light", "viewport": PHONE}),
    "viewer-english-dark": (Role.VIEWER, {"locale": "en-GB", "color_scheme": "dark", "viewport": WIDE}),
}
"""The administrator, who sees every page, sees each in both themes and languages, with axe; what others see is less."""

LEAVES = {"logout", "oidc-ended"}
"""Pages that end the login."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium.chromium()
    if program is None:
        pytest.skip("NO PAGE IS TESTED IN A BROWSER: Chromium is missing (Debian: apt-get install chromium)")
    with chromium.started(program) as running:
        yield running


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    with everything.built(tmp_path_factory.mktemp("everything")) as built:
        yield built


@pytest.mark.parametrize("visit", VISITS)
def test_every_page_is_whole_for_who_may_see_it_and_says_who_may_to_others(
    visit: str, browser: Browser, town: Everything
) -> None:
    role, context = VISITS[visit]
    visitor = Visitor(browser, town.town, user=NAMES[role], **context)
    visitor.log_in()
    faults = [fault for page in pages.of(town) if page.name not in LEAVES for fault in _faults(visitor, page, role)]
    visitor.close()
    assert faults == []


def test_twelve_failures_were_one_mail_and_an_operator_mutes_what_comes_after(
    browser: Browser, town: Everything
) -> None:
    about = [mail for mail in town.mailbox.received if "aanvraag.beoordelen failed" in str(mail.message["Subject"])]
    assert len(about) == 1
    visitor = Visitor(browser, town.town, user=NAMES[Role.OPERATOR], locale="en-GB")
    page = visitor.log_in("/incidents/")
    page.get_by_role("link", name="aanvraag.beoordelen").click()
    page.get_by_label("For").select_option(label="4 hours")
    page.get_by_label("Reason").fill("the model is being mended")
    page.get_by_role("button", name="Mute").click()
    expect(page.get_by_role("status").filter(has_text="Nothing more is told of it until then.")).to_be_visible()
    expect(page.get_by_text("jansen muted it: the model is being mended")).to_be_visible()
    page.get_by_role("link", name="The tasks that are in this trouble now").click()
    expect(page.get_by_role("link", name="aanvraag.beoordelen")).to_have_count(12)
    assert visitor.said == []
    visitor.close()


def _faults(visitor: Visitor, page: Page, role: Role) -> list[str]:
    """What is wrong with a page for somebody with this role."""
    expected = page.status_for(role)
    # What a browser would save, or what takes no GET, is no page to look at.
    answer = visitor.page.context.request.get(page.address, max_redirects=5)
    # Neither is a part of a page, which htmx asks for.
    is_page = answer.text().lstrip().lower().startswith("<!doctype html") if _is_html(answer.headers) else False
    status = answer.status
    answer.dispose()
    if status == 405:
        return []
    if status != expected:
        return [f"{page.name} {page.address}: answers {status}, not {expected}"]
    if not is_page:
        return []
    visitor.said.clear()
    visitor.page.goto(page.address)
    visitor.page.wait_for_load_state()
    found = [f"{page.name}: console: {line}" for line in visitor.said if f"status of {expected} " not in line]
    visitor.said.clear()
    if expected == 403:
        said = visitor.page.locator("main").inner_text()
        if not any(name in said for name in _names(page.need)):
            found.append(f"{page.name}: the page of the missing right does not name {page.need}: {said}")
        return found
    width = visitor.page.viewport_size["width"] if visitor.page.viewport_size else 0
    if (content := visitor.page.evaluate("document.documentElement.scrollWidth")) > width:
        found.append(f"{page.name} {page.address}: {content} px wide on a screen of {width}")
    if role is Role.ADMINISTRATOR:
        found += [f"{page.name}: {barrier}" for barrier in visitor.barriers()]
    return found


def _is_html(headers: dict[str, str]) -> bool:
    return headers.get("content-type", "").startswith("text/html")


def _names(need: Role | str | None) -> list[str]:
    """What a role is called, in each language."""
    if not isinstance(need, Role):
        return [str(need)]
    names = [str(need)]
    for language in ("en", "nl"):
        with translation.override(language):
            names.append(str(need.label))
    return names

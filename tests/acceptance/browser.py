"""A real Chromium for the tests of the pages: where it is, how it starts, what it must never say, what axe finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

from tests.acceptance.town import Town

AXE = (
    Path(__file__).resolve().parents[2] / "src" / "bptl" / "web" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
)

# It runs as root in containers, and must call nobody.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

USER, PASSWORD = "jansen", "stadhuis-aan-de-gracht-2026"


def chromium() -> str | None:
    """The program: BPTL_CHROMIUM, else the first of the usual names on the path."""
    names = (os.environ.get("BPTL_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@contextmanager
def started(program: str) -> Iterator[Browser]:
    """A running browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody at the pages, logged in; ``said`` collects what the browser complains about."""

    def __init__(self, browser: Browser, town: Town, *, user: str = USER, **context: Any) -> None:
        self._user = user
        self._context = browser.new_context(base_url=town.topology.web_url, **context)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(20_000)
        self.said: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def log_in(self, page: str = "/") -> Page:
        """Go to a page by way of the login."""
        self.page.goto(page)
        self.page.locator("#id_username").fill(self._user)
        self.page.locator("#id_password").fill(PASSWORD)
        self.page.locator("#id_password").press("Enter")
        self.page.wait_for_url(lambda url: "/login/" not in url)
        return self.page

    def barriers(self) -> list[str]:
        """What axe calls serious or critical on the page as it is now."""
        # Evaluated as the test's own code: the page's policy would rightly refuse a script of somebody else.
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")
        assert len(found["passes"]) > 10, "axe looked at nothing"
        return [
            f"{self.page.url}: {violation['id']} ({violation['impact']}): {node['target']} {node['failureSummary']}"
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
            for node in violation["nodes"]
        ]

    def close(self) -> None:
        """Leave."""
        self._context.close()

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.said.append(f"{kind}: {text}")


Scheme = Literal["light", "dark"]

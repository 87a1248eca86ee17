"""``python -m tests.acceptance.screenshots``: the pictures of the pages in docs/assets, in English and light.

Taken in the town of ``everything`` by its administrator, whole or from the top: run it again when pages have changed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance import browser as chromium
from tests.acceptance.browser import Visitor

ASSETS = Path(__file__).resolve().parents[2] / "docs" / "assets"
WIDTH, HEIGHT = 1120, 720

SHOTS: Mapping[str, str] = {
    "overview": "overview",
    "tasks": "tasks",
    "task": "task",
    "retry": "task-retry",
    "incidents": "incidents",
    "unit": "unit",
}
"""Name of the picture → name of the page in the URL configuration."""


def main() -> None:
    """Take them all."""
    program = chromium.chromium()
    if program is None:
        sys.exit("Chromium is missing (Debian: apt-get install chromium)")
    # The rows of a page are found by the models, which want settings, but no server of theirs.
    from stage.environment import without_servers

    os.environ.update(without_servers())
    from bptl.cli.start import start_django

    start_django()
    from bptl.accounts.roles import Role
    from tests.acceptance import everything, pages

    ASSETS.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as logs,
        everything.built(Path(logs)) as town,
        chromium.started(program) as browser,
    ):
        size = {"width": WIDTH, "height": HEIGHT}
        user = everything.NAMES[Role.ADMINISTRATOR]
        visitor = Visitor(browser, town.town, user=user, locale="en-GB", color_scheme="light", viewport=size)
        visitor.log_in()
        address = {page.name: page.address for page in pages.of(town)}
        for name, page in SHOTS.items():
            visitor.page.goto(address[page])
            visitor.page.wait_for_load_state("networkidle")
            visitor.page.screenshot(path=ASSETS / f"{name}.png", animations="disabled")
            print(f"docs/assets/{name}.png", flush=True)
        visitor.close()


if __name__ == "__main__":
    main()

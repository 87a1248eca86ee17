"""Getting in, in a real browser: a lockout, a second factor, and a real identity provider whose groups say the role."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django_otp.oath import totp
from playwright.sync_api import Browser, Page, expect

from stage.environment import without_servers
from stage.ports import HOST, free_port
from stage.postgres import Postgres, connect
from stage.probes import answers
from stage.processes import Part, Stage
from tests.acceptance import browser as chromium
from tests.acceptance.browser import AXE

ADMINISTRATOR, PASSWORD = "baas", "stadhuis-aan-de-gracht-2026"
TRIES = 3


@dataclass(frozen=True)
class House:
    """The web process, its database, and an identity provider."""

    url: str
    provider: str
    postgres: Postgres

    def claims(self, subject: str, **claims: Any) -> None:
        """Tell the provider who somebody is."""
        body = json.dumps(claims).encode()
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{self.provider}/users/{subject}", body, headers, method="PUT"))

    def acts(self, actor: str) -> list[str]:
        """What the audit log says that somebody did, oldest first."""
        with connect(self.postgres.environment()) as connection:
            rows = connection.execute(
                "SELECT action FROM accounts_auditentry WHERE actor = %s ORDER BY id", [actor]
            ).fetchall()
        return [str(row[0]) for row in rows]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    logs: Path = tmp_path_factory.mktemp("house")
    port, provider_port = free_port(), free_port()
    provider = f"http://{HOST}:{provider_port}"
    with Stage() as stage:
        postgres = stage.add(Postgres())
        postgres.start()
        environment = {
            "PATH": os.environ["PATH"],
            **without_servers(),
            **postgres.environment(),
            "CACHE_URL": "locmem://",
            "IS_HTTPS": "False",
            "UWSGI_PORT": str(port),
            "UWSGI_PROCESSES": "1",
            "BPTL_ADMIN_USERNAME": ADMINISTRATOR,
            "BPTL_ADMIN_PASSWORD": PASSWORD,
            "BPTL_LOGIN_TRIES": str(TRIES),
            "BPTL_OIDC_ISSUER": provider,
            "BPTL_OIDC_CLIENT_ID": "bptl",
            "BPTL_OIDC_CLIENT_SECRET": "geheim",
            "BPTL_OIDC_NAME": "Gemeente",
            "BPTL_OIDC_OPERATORS": "behandelaars,beheer-light",
            "BPTL_OIDC_ADMINISTRATORS": "beheer",
        }
        bptl = [sys.executable, "-m", "bptl"]
        migrate = Part("migrate", [*bptl, "manage", "migrate"], log=logs / "migrate.log", environment=environment)
        migrate.start()
        assert migrate.wait(seconds=120) == 0, (logs / "migrate.log").read_text()
        command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(provider_port), "--require-nonce"]
        plain = {"PATH": os.environ["PATH"], "AUTHLIB_INSECURE_TRANSPORT": "1"}
        idp = stage.add(Part("provider", command, log=logs / "provider.log", environment=plain))
        idp.start()
        web = stage.add(Part("web", [*bptl, "web"], log=logs / "web.log", environment=environment))
        web.start()
        idp.wait_until(lambda: answers(f"{provider}/.well-known/openid-configuration"), seconds=60)
        web.wait_until(lambda: answers(f"http://{HOST}:{port}/ready"), seconds=60)
        yield House(f"http://{HOST}:{port}", provider, postgres)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium.chromium()
    if program is None:
        pytest.skip("NO LOGIN IS TESTED IN A BROWSER: Chromium is missing (Debian: apt-get install chromium)")
    with chromium.started(program) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Callable[[], Page]]:
    """A page of somebody new; at the end none of ours may have complained, and axe finds no barrier on the last."""
    said: list[str] = []
    contexts = []

    def make() -> Page:
        context = browser.new_context(base_url=house.url, locale="en-GB")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        # 429 is the answer of a lockout, which the browser mentions.
        page.on("console", lambda message: said.append(message.text) if _ours(message.text, page, house) else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert said == []


def _ours(text: str, page: Page, house: House) -> bool:
    return page.url.startswith(house.url) and "Content Security Policy" in text


def log_in(page: Page, username: str, password: str) -> None:
    page.goto("/login/")
    page.locator("#id_username").fill(username)
    page.locator("#id_password").fill(password)
    page.get_by_role("button", name="Log in").click()


def barriers(page: Page) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10, "axe looked at nothing"
    return [f"{page.url}: {one['id']}" for one in found["violations"] if one["impact"] in {"serious", "critical"}]


def test_a_guesser_is_locked_out_with_a_page_that_says_when_to_try_again(
    visit: Callable[[], Page], house: House
) -> None:
    page = visit()
    for _ in range(TRIES):
        log_in(page, "piet", "wrong")
    expect(page.get_by_role("heading", name="Locked out for a while")).to_be_visible()
    expect(page.get_by_text("Try again in 15 minutes.")).to_be_visible()
    assert barriers(page) == []
    assert house.acts("piet") == ["login.failed"] * (TRIES - 1) + ["login.locked"]
    page.goto("/login/")
    expect(page.get_by_role("link", name="Log in by Gemeente")).to_be_visible()


def test_the_administrator_of_the_environment_adds_a_second_factor_and_is_asked_for_it(
    visit: Callable[[], Page], house: House
) -> None:
    page = visit()
    log_in(page, ADMINISTRATOR, PASSWORD)
    expect(page.get_by_role("link", name="People")).to_be_visible()
    page.goto("/account/second-factor/")
    drawn = page.locator(".bptl-code svg")
    expect(drawn).to_be_visible()
    assert barriers(page) == []
    key = _bytes_of(page.locator("code").inner_text())
    page.get_by_label("Code", exact=True).fill(f"{totp(key):06d}")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
    assert barriers(page) == []
    recovery = page.locator(".bptl-codes code").first.inner_text()
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("button", name="Log out").click()

    log_in(page, ADMINISTRATOR, PASSWORD)
    expect(page.get_by_role("heading", name="Enter the code of your app")).to_be_visible()
    assert barriers(page) == []
    page.goto("/people/")
    expect(page.get_by_role("heading", name="Enter the code of your app")).to_be_visible()
    page.get_by_label("Code", exact=True).fill(recovery)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="People", level=1)).to_be_visible()
    found = []
    for address in ("/people/", "/people/invite/", "/audit/", "/settings/", "/account/", "/account/password/"):
        page.goto(address)
        found += barriers(page)
    page.goto("/people/")
    page.get_by_role("link", name=ADMINISTRATOR, exact=True).last.click()
    found += barriers(page)
    assert found == []


def test_somebody_comes_by_the_provider_with_the_role_of_their_group_and_leaves(
    visit: Callable[[], Page], house: House
) -> None:
    house.claims(
        "s-17",
        preferred_username="fatima",
        given_name="Fatima",
        family_name="El Amrani",
        email="fatima@example.org",
        groups=["behandelaars", "iedereen"],
    )
    page = visit()
    page.goto("/tasks/?topic=a")
    page.get_by_role("link", name="Log in by Gemeente").click()
    _be(page, "s-17")
    page.wait_for_url("**/tasks/?topic=a")
    page.goto("/account/")
    for text in ("fatima", "Fatima El Amrani", "operator"):
        expect(page.locator("dd").get_by_text(text, exact=True)).to_be_visible()
    page.goto("/people/")
    expect(page.get_by_text("This page needs the role administrator; yours is operator.")).to_be_visible()
    assert barriers(page) == []

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()
    assert barriers(page) == []
    page.get_by_role("link", name="Log out at the identity provider too").click()
    assert page.url.startswith(f"{house.provider}/oauth2/end_session")
    page.goto("/tasks/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert [act for act in house.acts("fatima") if act.startswith(("user", "role", "login"))] == [
        "user.came",
        "role.set",
        "login.succeeded",
        "login.ended",
    ]


def test_the_role_follows_the_groups_at_the_next_login(visit: Callable[[], Page], house: House) -> None:
    house.claims("s-18", preferred_username="kees", groups=["beheer"])
    page = visit()
    page.goto("/login/provider/")
    _be(page, "s-18")
    page.wait_for_url(f"{house.url}/")
    page.goto("/people/")
    expect(page.get_by_role("heading", name="People", level=1)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    house.claims("s-18", preferred_username="kees", groups=[])
    page.goto("/login/provider/")
    _be(page, "s-18")
    expect(page.get_by_role("heading", name="You have no role yet")).to_be_visible()
    expect(page.get_by_text(ADMINISTRATOR)).to_be_visible()
    assert barriers(page) == []


def test_a_name_of_somebody_here_is_not_taken_over(visit: Callable[[], Page], house: House) -> None:
    house.claims("s-19", preferred_username=ADMINISTRATOR, groups=["behandelaars"])
    page = visit()
    page.goto("/login/provider/")
    _be(page, "s-19")
    page.wait_for_url(f"{house.url}/")
    page.goto("/account/")
    expect(page.locator("dd").get_by_text(f"{ADMINISTRATOR}@{HOST}", exact=True)).to_be_visible()


def test_who_says_no_at_the_provider_can_still_use_a_password(visit: Callable[[], Page], house: House) -> None:
    page = visit()
    page.goto("/login/provider/")
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading", name="Logging in did not work")).to_be_visible()
    assert barriers(page) == []
    page.get_by_role("link", name="To the login page").click()
    expect(page.locator("#id_password")).to_be_visible()


def _be(page: Page, subject: str) -> None:
    page.locator("input[name=sub]").fill(subject)
    page.get_by_role("button", name="Authorize").click()


def _bytes_of(key: str) -> bytes:
    import base64

    letters = re.sub(r"[^A-Z2-7]", "", key.upper())
    return base64.b32decode(letters + "=" * (-len(letters) % 8))

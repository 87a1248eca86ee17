"""How people get in: passwords, lockout, the second factor, invitations, the first administrator; and who is told."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client, override_settings
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from bptl.accounts import people, welcome
from bptl.accounts.audit import By
from bptl.accounts.models import AuditEntry, User
from bptl.accounts.roles import Role

pytestmark = pytest.mark.django_db
PASSWORD = "stadhuis-aan-de-gracht-2026"
BY = By("test")


@pytest.fixture
def jansen() -> User:
    user = User.objects.create_user("jansen", password=PASSWORD)
    people.set_role(user, Role.ADMINISTRATOR, by=BY)
    return user


@pytest.fixture
def browser() -> Client:
    return Client(HTTP_ACCEPT_LANGUAGE="en")


def log_in(client: Client, password: str = PASSWORD, *, address: str = "192.0.2.7") -> int:
    answer = client.post("/login/", {"username": "jansen", "password": password}, REMOTE_ADDR=address)
    return answer.status_code


def said(action: str) -> list[tuple[str, str | None]]:
    return list(AuditEntry.objects.filter(action=action).values_list("actor", "address"))


def test_logins_are_in_the_audit_log_with_their_address(browser: Client, jansen: User) -> None:
    assert log_in(browser, "wrong") == 200
    assert log_in(browser) == 302
    browser.post("/logout/", REMOTE_ADDR="192.0.2.7")
    for action in ("login.failed", "login.succeeded", "login.ended"):
        assert said(action) == [("jansen", "192.0.2.7")]
    assert PASSWORD not in str(list(AuditEntry.objects.values()))


def test_too_many_wrong_passwords_lock_a_name_out_from_that_address_only(browser: Client, jansen: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        assert log_in(browser, "wrong") == 200
    assert log_in(browser, "wrong") == 429
    answer = browser.post("/login/", {"username": "jansen", "password": PASSWORD}, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) <= settings.AXES_COOLOFF_TIME.total_seconds()
    page = answer.content.decode()
    assert "Locked out for a while" in page
    assert "Try again in 15 minutes." in page
    assert said("login.locked") == [("jansen", "192.0.2.7")], "the attempts that follow leave no row each"
    assert log_in(browser, address="192.0.2.8") == 302


def test_a_lockout_ends_by_itself(browser: Client, jansen: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        log_in(browser, "wrong")
    with override_settings(AXES_COOLOFF_TIME=settings.AXES_COOLOFF_TIME * 0):
        assert log_in(browser) == 302


def test_a_caller_of_the_rest_api_is_locked_out_like_a_person(browser: Client, jansen: User) -> None:
    import base64

    def call(password: str) -> int:
        key = base64.b64encode(f"jansen:{password}".encode()).decode()
        headers = {"authorization": f"Basic {key}"}
        return browser.post("/api/v1/work-unit", "{}", content_type="application/json", headers=headers).status_code

    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        assert call("wrong") == 401
    assert call("wrong") == 429
    assert call(PASSWORD) == 429


def test_a_login_that_was_taken_away_ends_at_once(browser: Client, jansen: User) -> None:
    User.objects.create_superuser("other")
    log_in(browser)
    assert browser.get("/").status_code == 200
    people.set_active(jansen, False, by=BY)
    assert browser.get("/").status_code == 302


def code_of(user: User) -> str:
    device = TOTPDevice.objects.get(user=user)
    TOTPDevice.objects.filter(pk=device.pk).update(last_t=-1, throttling_failure_count=0)
    return f"{totp(device.bin_key):06d}"


def enrol(client: Client, user: User) -> list[str]:
    page = client.get("/account/second-factor/").content.decode()
    assert "<svg" in page
    assert "<script" not in page.partition("bptl-code")[2].partition("</div>")[0]
    answer = client.post("/account/second-factor/", {"code": code_of(user), "next": "/tasks/"})
    codes = re.findall(r'<code class="utrecht-code">(\w{8})</code>', answer.content.decode())
    assert len(codes) == 10
    return codes


def test_a_second_factor_stands_before_every_page(browser: Client, jansen: User) -> None:
    log_in(browser)
    enrol(browser, jansen)
    assert browser.get("/").status_code == 200, "who has just shown a code is not asked again"
    browser.post("/logout/")

    log_in(browser)
    for page in (
        "/",
        "/account/",
        "/account/password/",
        "/account/second-factor/",
        "/people/",
        "/admin/",
        "/api/v1/redoc/",
    ):
        answer = browser.get(page)
        assert (answer.status_code, urlsplit(answer["Location"]).path) == (302, "/login/code/"), page
    assert browser.post("/account/second-factor/remove/").status_code == 302
    assert TOTPDevice.objects.filter(user=jansen, confirmed=True).exists()
    assert "not right" in browser.post("/login/code/", {"code": "000000"}).content.decode()
    answer = browser.post("/login/code/?next=/tasks/", {"code": code_of(jansen)})
    assert answer["Location"] == "/tasks/"
    assert browser.get("/people/").status_code == 200


def test_a_recovery_code_works_once(browser: Client, jansen: User) -> None:
    log_in(browser)
    codes = enrol(browser, jansen)
    browser.post("/logout/")
    log_in(browser)
    assert browser.post("/login/code/", {"code": codes[0]}).status_code == 302
    browser.post("/logout/")
    log_in(browser)
    assert browser.post("/login/code/", {"code": codes[0]}).status_code == 200
    assert said("second_factor.recovery_code_used")


def test_a_code_leads_to_no_other_host(browser: Client, jansen: User) -> None:
    log_in(browser)
    enrol(browser, jansen)
    browser.post("/logout/")
    log_in(browser)
    answer = browser.post("/login/code/", {"code": code_of(jansen), "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_an_administrator_without_a_second_factor_is_brought_to_it_where_it_is_asked(
    browser: Client, jansen: User
) -> None:
    log_in(browser)
    with override_settings(BPTL_SECOND_FACTOR="administrators"):
        answer = browser.get("/people/")
        assert answer["Location"] == "/account/second-factor/?next=/people/"
        enrol(browser, jansen)
        assert browser.get("/people/").status_code == 200


def test_a_password_alone_opens_the_rest_api_no_more_than_the_pages(browser: Client, jansen: User) -> None:
    log_in(browser)
    enrol(browser, jansen)
    import base64

    key = base64.b64encode(f"jansen:{PASSWORD}".encode()).decode()
    answer = Client().post(
        "/api/v1/work-unit", "{}", content_type="application/json", headers={"authorization": f"Basic {key}"}
    )
    assert answer.status_code == 401


def test_an_invitation_lets_somebody_choose_a_password_once(browser: Client) -> None:
    user = welcome.invite("nieuw", role=Role.VIEWER, by=BY)
    link = welcome.path(user)
    form = browser.get(link, follow=True)
    address = form.redirect_chain[-1][0]
    assert "Choose a password" in form.content.decode()
    weak = browser.post(address, {"new_password1": "kort", "new_password2": "kort"})
    assert 'aria-invalid="true"' in weak.content.decode()
    assert browser.post(address, {"new_password1": PASSWORD, "new_password2": PASSWORD})["Location"] == "/login/"
    assert "used already" in browser.get(link, follow=True).content.decode()
    assert browser.post("/login/", {"username": "nieuw", "password": PASSWORD}).status_code == 302
    assert browser.get("/tasks/").status_code == 200


def test_a_link_ends_with_its_time(browser: Client) -> None:
    link = welcome.path(welcome.invite("nieuw", role=None, by=BY))
    with override_settings(PASSWORD_RESET_TIMEOUT=-1):
        assert "too old" in browser.get(link, follow=True).content.decode()


@override_settings(BPTL_ADMIN_USERNAME="baas", BPTL_ADMIN_PASSWORD=PASSWORD)
def test_the_first_administrator_comes_from_the_environment_only_while_there_is_none(browser: Client) -> None:
    made = welcome.make_first_administrator()
    assert made is not None
    assert made.may(Role.ADMINISTRATOR)
    User.objects.filter(pk=made.pk).update(password="!")
    assert welcome.make_first_administrator() is None
    User.objects.filter(pk=made.pk).update(is_active=False)
    assert welcome.make_first_administrator() == made
    assert browser.post("/login/", {"username": "baas", "password": PASSWORD}).status_code == 302


def test_somebody_changes_their_own_password(browser: Client, jansen: User) -> None:
    log_in(browser)
    new = "een-heel-ander-wachtwoord"
    said_form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert browser.post("/account/password/", said_form)["Location"] == "/account/"
    assert browser.get("/account/").status_code == 200
    assert log_in(Client(), new) == 302
    assert said("password.changed")


@override_settings(BPTL_OIDC_ISSUER="http://127.0.0.1:1/", OIDC_RP_CLIENT_ID="bptl", OIDC_RP_CLIENT_SECRET="x")
def test_with_a_provider_that_is_away_a_password_still_opens_the_door(browser: Client, jansen: User) -> None:
    assert "single sign-on" in browser.get("/login/").content.decode()
    answer = browser.get("/login/provider/", follow=True)
    assert answer.redirect_chain[-1][0] == "/login/provider/failed/"
    assert "Who has a password here" in answer.content.decode()
    assert browser.get("/login/provider/back/?code=a&state=b", follow=True).status_code == 200
    assert log_in(browser) == 302


def test_without_a_provider_there_is_no_door_for_it(browser: Client) -> None:
    assert browser.get("/login/provider/").status_code == 404
    assert "/login/provider/" not in browser.get("/login/").content.decode()

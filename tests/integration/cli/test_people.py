"""``bptl people`` and ``bptl tokens``: the way in for the first, and back in for everybody."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from django.test import Client

from bptl.accounts import people as domain
from bptl.accounts import tokens as keys
from bptl.accounts.audit import By
from bptl.accounts.models import AuditEntry, Token, User
from bptl.accounts.roles import Role
from bptl.cli.people import people
from bptl.cli.tokens import tokens

pytestmark = pytest.mark.django_db


def run(*arguments: str, exit_code: int = 0, group: str = "people") -> str:
    done = CliRunner().invoke(people if group == "people" else tokens, arguments)
    assert done.exit_code == exit_code, done.output
    return done.output


def test_a_link_for_the_first_administrator_opens_the_page_of_a_password() -> None:
    link = run("invite", "baas", "--role", "administrator", "--url", "https://bptl.example.com/").splitlines()[0]
    assert link.startswith("https://bptl.example.com/welcome/")
    page = Client().get(link.removeprefix("https://bptl.example.com"), follow=True)
    assert page.context["validlink"]
    assert [user.username for user in domain.administrators()] == ["baas"]


def test_who_was_kept_out_comes_back_by_a_link() -> None:
    User.objects.create_superuser("other")
    user = User.objects.create_user("jansen", is_active=False)
    run("invite", "jansen", "--role", "operator")
    user = User.objects.get(pk=user.pk)
    assert (user.is_active, user.role) == (True, Role.OPERATOR)
    assert "jansen" in run("list")


def test_the_last_administrator_cannot_be_demoted_here_either() -> None:
    User.objects.create_superuser("admin")
    assert "last active administrator" in run("set-role", "admin", "viewer", exit_code=1)
    assert "there is no user" in run("set-role", "nobody", "viewer", exit_code=2)


def test_a_token_gets_its_scopes_and_its_end_and_the_list_says_them() -> None:
    user = User.objects.create_user("flowable")
    run("create", "calls", "--user", "flowable", group="tokens")
    run("create", "reads", "--user", "flowable", "--scope", "tasks:read", "--days", "2", group="tokens")
    assert {token.name: token.scopes for token in Token.objects.all()} == {
        "calls": ["work-unit:call"],
        "reads": ["tasks:read"],
    }
    assert "valid until" in run("list", group="tokens")
    run("revoke", "calls", group="tokens")
    assert keys.find("bptl_nothing") is None
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "token.created",
        "token.created",
        "token.revoked",
    ]
    domain.set_active(user, False, by=By("test"))
    assert "its user is not active" in run("list", group="tokens")

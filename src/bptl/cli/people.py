"""``bptl people``: who may log in, with which role; the way back in when nobody can.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration.
"""

from __future__ import annotations

from typing import Any

import click

from bptl.cli.start import start_django

ROLES = click.Choice(["viewer", "operator", "administrator"])


@click.group()
def people() -> None:
    """Who may log in, with which role."""


@people.command("list")
def list_people() -> None:
    """Show everybody."""
    start_django()
    from bptl.accounts.models import User
    from bptl.cli import table

    rows = [
        (
            user.username,
            user.get_full_name(),
            user.role or "none",
            "active" if user.is_active else "kept out",
            user.last_login.isoformat(sep=" ", timespec="minutes") if user.last_login else "-",
        )
        for user in User.objects.prefetch_related("groups").order_by("username")
    ]
    table.show(("name", "full name", "role", "state", "last login"), rows)


@people.command()
@click.argument("name")
@click.option("--role", type=ROLES, help="What they may do; none for the user of a machine.")
@click.option("--email", default="", help="Their mail address.")
@click.option("--url", default="", help="Where the pages are, such as https://bptl.example.com; default: no host.")
def invite(name: str, role: str | None, email: str, url: str) -> None:
    """Make the user NAME, or renew a link, and print a link by which they choose a password: once, for some days."""
    start_django()
    from django.core.exceptions import ValidationError

    from bptl.accounts import people as domain
    from bptl.accounts import welcome
    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.accounts.models import User
    from bptl.accounts.roles import Role

    by, given = By(COMMAND_LINE), Role(role) if role else None
    user = User.objects.filter(username=name).first()
    try:
        if user is None:
            user = welcome.invite(name, role=given, email=email, by=by)
        else:
            domain.set_active(user, True, by=by)
            if given is not None:
                domain.set_role(user, given, by=by)
            welcome.note_link(user, by=by)
    except ValidationError as error:
        raise click.UsageError("; ".join(error.messages)) from error
    except domain.LastAdministrator as error:
        raise click.ClickException(str(error)) from error
    click.echo(url.rstrip("/") + welcome.path(user))
    click.echo(
        f"{name}, {role or 'no new role'}: hand over this link; whoever opens it first chooses the password", err=True
    )


@people.command("set-role")
@click.argument("name")
@click.argument("role", type=ROLES)
@click.option("--reason", default="", help="Why, for the audit log.")
def set_role(name: str, role: str, reason: str) -> None:
    """Give the user NAME the ROLE."""
    start_django()
    from bptl.accounts import people as domain
    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.accounts.roles import Role

    try:
        domain.set_role(_user(name), Role(role), by=By(COMMAND_LINE), reason=reason)
    except domain.LastAdministrator as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name} is {role}")


@people.command("remove-second-factor")
@click.argument("name")
@click.option("--reason", default="", help="Why, for the audit log.")
def remove_second_factor(name: str, reason: str) -> None:
    """Forget the app and the recovery codes of the user NAME, who lost them."""
    start_django()
    from bptl.accounts import second_factor
    from bptl.accounts.audit import COMMAND_LINE, By

    second_factor.remove(_user(name), by=By(COMMAND_LINE), reason=reason)
    click.echo(f"{name} logs in with the password alone")


def _user(name: str) -> Any:
    from bptl.accounts.models import User

    user = User.objects.filter(username=name).first()
    if user is None:
        raise click.UsageError(f"there is no user {name!r}; see bptl people list")
    return user

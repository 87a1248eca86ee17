"""``bptl tokens``: keys by which machines call the REST API.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from bptl.cli.start import start_django


@click.group()
def tokens() -> None:
    """Keys by which machines call the REST API."""


@tokens.command()
@click.argument("name")
@click.option("--user", "username", required=True, help="Username of the user as whom it calls.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["work-unit:call", "tasks:read", "tasks:act", "monitoring:read"]),
    default=["work-unit:call"],
    show_default=True,
    help="What it may do; may be repeated.",
)
@click.option("--days", type=click.IntRange(min=1), help="It expires after so many days; default: never.")
def create(name: str, username: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make a token called NAME and show its key, once: it is stored as a digest only."""
    start_django()
    from django.core.exceptions import ValidationError
    from django.utils import timezone

    from bptl.accounts import tokens as keys
    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.accounts.models import User
    from bptl.accounts.scopes import Scope

    user = User.objects.filter(username=username).first()
    if user is None:
        raise click.UsageError(f"there is no user {username!r}; make one: bptl people invite")
    if not user.is_active:
        raise click.UsageError(f"user {username!r} is not active: its tokens would be refused")
    try:
        made = keys.create(
            user,
            name=name,
            scopes=[Scope(scope) for scope in scopes],
            expires_at=timezone.now() + timedelta(days=days) if days else None,
            by=By(COMMAND_LINE),
        )
    except ValidationError as error:
        raise click.UsageError("; ".join(error.messages)) from error
    click.echo(made.key)
    click.echo(f"token {name} of user {username}: keep the key now, it is not shown again", err=True)


@tokens.command("list")
def list_tokens() -> None:
    """Show every token, never its key."""
    start_django()
    from bptl.accounts.models import Token
    from bptl.cli import table

    rows = [
        (
            str(token.pk),
            token.name,
            token.user.username,
            f"{token.beginning}…",
            ", ".join(token.scopes),
            _state(token),
            _moment(token.created_at),
            _moment(token.used_at),
        )
        for token in Token.objects.select_related("user")
    ]
    table.show(("id", "name", "user", "key", "scopes", "state", "created at", "last used at"), rows)


@tokens.command()
@click.argument("name")
@click.option("--reason", default="", help="Why; kept in the audit log.")
def revoke(name: str, reason: str) -> None:
    """Refuse the key of the token called NAME from now on."""
    start_django()
    from bptl.accounts import tokens as keys
    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.accounts.models import Token

    token = Token.objects.filter(name=name, revoked_at=None).first()
    if token is None:
        raise click.UsageError(f"there is no valid token {name!r}; see bptl tokens list")
    keys.revoke(token, by=By(COMMAND_LINE), reason=reason)
    click.echo(f"revoked token {name}")


def _state(token: Any) -> str:
    from bptl.accounts.tokens import State, state

    match state(token):
        case State.REVOKED:
            return f"revoked {_moment(token.revoked_at)}"
        case State.EXPIRED:
            return f"expired {_moment(token.expires_at)}"
        case State.USER_KEPT_OUT:
            return "its user is not active"
    return f"valid until {_moment(token.expires_at)}" if token.expires_at else "valid"


def _moment(at: datetime | None) -> str:
    return at.isoformat(sep=" ", timespec="minutes") if at else "-"

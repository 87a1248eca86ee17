"""``bptl services``: the outside services that work units call.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration. A secret is never an
argument, because other users of the machine see arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Unpack

import click

from bptl.cli.secret_options import TlsOptions, read_secret, set_tls, tls_options
from bptl.cli.start import start_django


class Options(TlsOptions):
    """What ``add`` and ``set`` can say about a service; None leaves it as it is."""

    kind: str | None
    url: str | None
    login: str | None
    client_id: str | None
    secret_env: str | None
    secret_stdin: bool
    no_secret: bool
    header: str | None
    token_url: str | None
    scope: str | None
    user_id: str | None
    user_representation: str | None
    outway: str | None
    fsc_grant_hash: str | None
    timeout: int | None
    slow_after: float | None
    records: str | None
    test_path: str | None
    most_at_once: int | None
    most_a_minute: int | None
    active: bool | None


COLUMNS = {
    "kind": "kind",
    "url": "address",
    "login": "authentication",
    "client_id": "client_id",
    "header": "header",
    "token_url": "token_address",
    "scope": "scope",
    "user_id": "user_id",
    "user_representation": "user_representation",
    "outway": "outway",
    "fsc_grant_hash": "fsc_grant_hash",
    "timeout": "timeout_seconds",
    "slow_after": "slow_after_seconds",
    "records": "data_class",
    "test_path": "test_path",
    "most_at_once": "most_at_once",
    "most_a_minute": "most_a_minute",
    "active": "active",
}


def described(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that describe a service."""
    options = (
        click.option("--kind", help="zrc, ztc, drc, brc, ac, nrc, cmc, kc, vrc; orc: any other API."),
        click.option("--url", help="Root of the API as it stands in data."),
        click.option("--login", help="zgw (default), api_key, oauth2_client_credentials or no_auth."),
        click.option("--client-id", help="Client id, for zgw and oauth2_client_credentials."),
        click.option("--secret-env", metavar="NAME", help="Environment variable that holds the secret or API key."),
        click.option("--secret-stdin", is_flag=True, help="Read the secret or API key from standard input."),
        click.option("--no-secret", is_flag=True, help="No credentials of its own: applications bring theirs."),
        click.option("--header", help="Header of an API key; default Authorization."),
        click.option("--token-url", help="Where OAuth2 tokens are given out (https)."),
        click.option("--scope", help="Scope of the OAuth2 tokens."),
        click.option("--user-id", help="Who stands in the audit trail of a ZGW API."),
        click.option("--user-representation", help="The same in words."),
        click.option("--outway", help="Where requests go when an NLX or FSC outway stands before it; '': directly."),
        click.option("--fsc-grant-hash", help="Sent to an FSC outway as Fsc-Grant-Hash."),
        click.option("--timeout", type=click.IntRange(1, 600), help="Seconds for a whole call; default 10."),
        click.option(
            "--slow-after",
            type=click.FloatRange(0.1, 600),
            help="Seconds from which on a call counts as bad for its circuit breaker; default half of the time-out.",
        ),
        click.option("--records", help="Bodies that are kept with tasks: ordinary, personal or secret (none)."),
        click.option("--test-path", help="What the connection test asks for, relative to the address."),
        click.option(
            "--most-at-once",
            type=click.IntRange(min=0),
            help="Tasks that run at the same time and use it; 0: no limit.",
        ),
        click.option(
            "--most-a-minute",
            type=click.IntRange(min=0),
            help="Tasks (not calls) that begin within a minute and use it; 0: no limit.",
        ),
        click.option("--active/--inactive", default=None, help="An inactive service is not called."),
    )
    command = tls_options(command)
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def services() -> None:
    """The outside services that work units call."""


@services.command("list")
def list_services() -> None:
    """Show every service."""
    start_django()
    from django.db.models import Count

    from bptl.cli import table
    from bptl.connections.service_models import Service

    counted = Service.objects.annotate(
        users=Count("grants", distinct=True), mapping_count=Count("mappings", distinct=True)
    )
    rows = [
        (
            service.name,
            service.kind,
            service.address,
            f"{service.authentication} {service.client_id}".strip(),
            "active" if service.active else "inactive",
            str(service.users),
            str(service.mapping_count),
        )
        for service in counted
    ]
    table.show(("name", "type", "address", "login", "state", "applications", "mappings"), rows)


@services.command()
@click.argument("name")
@described
def add(name: str, **options: Unpack[Options]) -> None:
    """Add the service NAME."""
    start_django()
    from bptl.connections.service_models import Service

    if Service.objects.filter(name=name).exists():
        raise click.UsageError(f"service {name!r} exists; change it with: bptl services set {name}")
    _save(Service(name=name), options)


@services.command("set")
@click.argument("name")
@described
def change(name: str, **options: Unpack[Options]) -> None:
    """Change what is named of the service NAME, or add it."""
    start_django()
    from bptl.connections.service_models import Service

    _save(Service.objects.filter(name=name).first() or Service(name=name), options)


@services.command()
@click.argument("name")
def test(name: str) -> None:
    """Ask the service NAME with its own login and with those of applications, and say what is wrong."""
    start_django()
    from bptl.cli import rows
    from bptl.connections import service_check

    found = service_check.check(rows.service(name))
    for finding in found:
        click.echo(f"{finding.mark:<8} {finding.text}")
    if not service_check.usable(found):
        sys.exit(1)


@services.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Forget the service NAME and the rights to it."""
    start_django()
    from django.db.models import ProtectedError

    from bptl.cli import rows

    service = rows.service(name)
    if not yes:
        click.confirm(f"Remove service {name} and {service.grants.count()} rights to it?", abort=True)
    try:
        service.delete()
    except ProtectedError as error:
        used = ", ".join(str(binding.mapping_id) for binding in service.mappings.all())
        raise click.ClickException(
            f"service {name!r} is used by mappings {used}; give them another one, or stop using it with: "
            f"bptl services set {name} --inactive"
        ) from error
    click.echo(f"removed service {name}")


def _save(service: Any, options: Options) -> None:
    from bptl.cli import rows

    given: dict[str, Any] = dict(options)
    for option, column in COLUMNS.items():
        if given[option] is not None:
            no_limit = option in {"most_at_once", "most_a_minute"} and given[option] == 0
            setattr(service, column, None if no_limit else given[option])
    secret = read_secret("--secret", env=options["secret_env"], stdin=options["secret_stdin"])
    if options["no_secret"]:
        service.client_id = service.secret = ""
    if secret is not None:
        service.secret = secret
    set_tls(service, options)
    rows.save(service)
    click.echo(f"service {service.name}: {service.kind} at {service.address}")

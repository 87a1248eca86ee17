"""``bptl engines``: the engines that BPTL works for.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration. A password or token
is never an argument, because other users of the machine see arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

import click

from bptl.cli.secret_options import TlsOptions, read_secret, set_tls, tls_options
from bptl.cli.start import start_django


class Options(TlsOptions):
    """What ``add`` and ``set`` can say about an engine; None leaves it as it is."""

    url: str | None
    product: str | None
    username: str | None
    password_env: str | None
    password_stdin: bool
    token_env: str | None
    token_stdin: bool
    token_url: str | None
    scope: str | None
    no_login: bool
    tenant: tuple[str, ...]
    all_tenants: bool
    active: bool | None


def described(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that describe an engine."""
    options = (
        click.option("--url", help="Root of the REST API, for instance https://camunda.example.com/engine-rest/"),
        click.option("--product", help="operaton (default), camunda7 or cibseven."),
        click.option("--username", help="Log in with this name and a password."),
        click.option("--password-env", metavar="NAME", help="Environment variable that holds the password."),
        click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
        click.option("--token-env", metavar="NAME", help="Environment variable that holds a bearer token."),
        click.option("--token-stdin", is_flag=True, help="Read a bearer token from standard input."),
        click.option(
            "--token-url", help="Log in with OAuth2 tokens from here; client id and secret are username and password."
        ),
        click.option("--scope", help="Scope of the OAuth2 tokens."),
        click.option("--no-login", is_flag=True, help="Log in with nothing (the default of a new engine)."),
        click.option("--tenant", multiple=True, help="Only tasks of this tenant; may be repeated."),
        click.option("--all-tenants", is_flag=True, help="Tasks of every tenant again."),
        click.option("--active/--inactive", default=None, help="An inactive engine is not polled."),
    )
    command = tls_options(command)
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def engines() -> None:
    """The engines that BPTL works for."""


@engines.command("list")
def list_engines() -> None:
    """Show every engine."""
    start_django()
    from django.db.models import Count

    from bptl.cli import table
    from bptl.connections.models import Engine

    rows = [
        (
            engine.name,
            engine.get_product_display(),
            engine.address,
            f"{engine.authentication} {engine.username}".strip(),
            ", ".join(engine.tenant_ids) or "all",
            "active" if engine.active else "inactive",
            str(engine.mapping_count),
        )
        for engine in Engine.objects.annotate(mapping_count=Count("mappings"))
    ]
    table.show(("name", "product", "address", "login", "tenants", "state", "mappings"), rows)


@engines.command()
@click.argument("name")
@described
def add(name: str, **options: Unpack[Options]) -> None:
    """Add the engine NAME."""
    start_django()
    from bptl.connections.models import Engine

    if Engine.objects.filter(name=name).exists():
        raise click.UsageError(f"engine {name!r} exists; change it with: bptl engines set {name}")
    _save(Engine(name=name, authentication="none"), options)


@engines.command("set")
@click.argument("name")
@described
def change(name: str, **options: Unpack[Options]) -> None:
    """Change what is named of the engine NAME, or add it."""
    start_django()
    from bptl.connections.models import Engine

    _save(Engine.objects.filter(name=name).first() or Engine(name=name, authentication="none"), options)


@engines.command()
@click.argument("name")
def test(name: str) -> None:
    """Ask the engine NAME for its version and whether we may fetch, and say how we know."""
    start_django()
    from bptl.cli import rows
    from bptl.connections import access

    found = access.check(rows.engine(name))
    for finding in found.findings:
        click.echo(f"{finding.mark:<8} {finding.text}")
    if not found.usable:
        sys.exit(1)


@engines.command()
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--deployment", help="Name of the deployment; default: the first file's.")
@click.option("--tenant", help="Deploy for this tenant.")
def deploy(name: str, files: tuple[Path, ...], deployment: str | None, tenant: str | None) -> None:
    """Deploy FILES (BPMN, DMN, forms) to the engine NAME; what has not changed is skipped."""
    start_django()
    from bptl.cli import rows
    from bptl.connections.engines import client

    resources = {file.name: file.read_bytes() for file in files}
    if len(resources) < len(files):
        raise click.UsageError("two files have the same name")
    number = client(rows.engine(name)).deploy(deployment or files[0].stem, resources, tenant_id=tenant)
    click.echo(f"deployment {number}: {', '.join(resources)}")


@engines.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Forget the engine NAME and its mappings."""
    start_django()
    from django.db.models import ProtectedError

    from bptl.cli import rows

    engine = rows.engine(name)
    if not yes:
        click.confirm(f"Remove engine {name} and its {engine.mappings.count()} mappings?", abort=True)
    try:
        engine.delete()
    except ProtectedError as error:
        raise click.ClickException(
            f"engine {name!r} has tasks on record; stop using it with: bptl engines set {name} --inactive"
        ) from error
    click.echo(f"removed engine {name}")


def _save(engine: Any, options: Options) -> None:
    from bptl.cli import rows

    if options["url"] is not None:
        engine.address = options["url"]
    if options["product"] is not None:
        engine.product = options["product"]
    if options["active"] is not None:
        engine.active = options["active"]
    if options["tenant"] or options["all_tenants"]:
        engine.tenant_ids = list(options["tenant"])
    _set_login(engine, options)
    set_tls(engine, options)
    rows.save(engine)
    click.echo(f"engine {engine.name}: {engine.address}")


def _set_login(engine: Any, options: Options) -> None:
    password = read_secret("--password", env=options["password_env"], stdin=options["password_stdin"])
    token = read_secret("--token", env=options["token_env"], stdin=options["token_stdin"])
    named = options["username"] is not None or password is not None or options["token_url"] is not None
    ways = [named, token is not None, options["no_login"]]
    if sum(ways) > 1:
        raise click.UsageError("choose one: a username and password, a token, or --no-login")
    if options["no_login"]:
        engine.authentication = "none"
    elif token is not None:
        engine.authentication, engine.secret = "bearer", token
    elif options["username"] is not None or password is not None or options["token_url"] is not None:
        way = "oauth2_client_credentials" if options["token_url"] is not None else engine.authentication
        way = way if way == "oauth2_client_credentials" else "basic"
        if engine.authentication != way and password is None:
            raise click.UsageError("a username needs a password: --password-env or --password-stdin")
        engine.authentication = way
        if options["username"] is not None:
            engine.username = options["username"]
        if password is not None:
            engine.secret = password
    if options["token_url"] is not None:
        engine.token_address = options["token_url"]
    if options["scope"] is not None:
        engine.scope = options["scope"]

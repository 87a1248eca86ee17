"""``bptl applications``: for whom tasks are done, and what may be used for them.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration. A secret is never an
argument, because other users of the machine see arguments.
"""

from __future__ import annotations

from typing import Any

import click

from bptl.cli.secret_options import read_secret
from bptl.cli.start import start_django


@click.group()
def applications() -> None:
    """For whom tasks are done (bptlAppId), and which units and services may be used for them."""


@applications.command("list")
def list_applications() -> None:
    """Show every application with its units and services."""
    start_django()
    from bptl.cli import table
    from bptl.connections.service_models import Application

    rows = [
        (
            application.label,
            application.app_id,
            ", ".join(application.units) or "none",
            ", ".join(_told(grant) for grant in application.grants.all()) or "none",
            "active" if application.active else "inactive",
        )
        for application in Application.objects.prefetch_related("grants__service")
    ]
    table.show(("label", "application id", "units", "services", "state"), rows)


def _told(grant: Any) -> str:
    return f"{grant.service.name} ({'as the service' if grant.as_service else grant.client_id or 'own key'})"


@applications.command()
@click.argument("app_id")
@click.option("--label", required=True, help="What people call it.")
@click.option("--unit", "units", multiple=True, help="A unit, a theme such as zgw.*, or *; may be repeated.")
def add(app_id: str, label: str, units: tuple[str, ...]) -> None:
    """Add the application that models name APP_ID in bptlAppId."""
    start_django()
    from bptl.cli import rows
    from bptl.connections.service_models import Application

    if Application.objects.filter(app_id=app_id).exists():
        raise click.UsageError(f"application {app_id!r} exists; change it with: bptl applications set")
    made = rows.save(Application(app_id=app_id, label=label, units=list(units)))
    click.echo(f"application {made.label}: {made.app_id}, units {', '.join(made.units) or 'none'}")


@applications.command("set")
@click.argument("app_id")
@click.option("--label", help="What people call it.")
@click.option("--unit", "units", multiple=True, help="Exactly these units; may be repeated.")
@click.option("--no-units", is_flag=True, help="No units any more.")
@click.option("--active/--inactive", default=None, help="Nothing is done for an inactive one.")
def change(app_id: str, label: str | None, units: tuple[str, ...], no_units: bool, active: bool | None) -> None:
    """Change what is named of the application APP_ID."""
    start_django()
    from bptl.cli import rows

    application = rows.application(app_id)
    if label is not None:
        application.label = label
    if units or no_units:
        application.units = list(units)
    if active is not None:
        application.active = active
    rows.save(application)
    click.echo(f"application {application.label}: units {', '.join(application.units) or 'none'}")


@applications.command()
@click.argument("app_id")
@click.argument("service_name", metavar="SERVICE")
@click.option("--as-service", is_flag=True, help="With the service's own credentials.")
@click.option("--client-id", help="Client id of the application at this service.")
@click.option("--secret-env", metavar="NAME", help="Environment variable that holds its secret or API key.")
@click.option("--secret-stdin", is_flag=True, help="Read its secret or API key from standard input.")
@click.option("--user-id", help="Who stands in the audit trail of a ZGW API.")
@click.option("--user-representation", help="The same in words.")
def grant(
    app_id: str,
    service_name: str,
    as_service: bool,
    client_id: str | None,
    secret_env: str | None,
    secret_stdin: bool,
    user_id: str | None,
    user_representation: str | None,
) -> None:
    """Let the application APP_ID use SERVICE, with credentials of its own or, said aloud, with the service's."""
    start_django()
    from bptl.cli import rows
    from bptl.connections.service_models import ServiceGrant

    secret = read_secret("--secret", env=secret_env, stdin=secret_stdin)
    if as_service and (client_id is not None or secret is not None):
        raise click.UsageError("choose one: --as-service, or a client id and secret")
    application, service = rows.application(app_id), rows.service(service_name)
    right = ServiceGrant.objects.filter(application=application, service=service).first() or ServiceGrant(
        application=application, service=service
    )
    if as_service:
        right.as_service = True
    elif client_id is not None or secret is not None:
        right.as_service = False
    for column, value in (("client_id", client_id), ("user_id", user_id), ("user_representation", user_representation)):
        if value is not None:
            setattr(right, column, value)
    if secret is not None:
        right.secret = secret
    rows.save(right)
    how = "with the service's own credentials" if right.as_service else "with its own credentials"
    click.echo(f"application {application.label} may use {service.name} {how}")
    components = application.components
    if components and "*" not in components and service.kind not in components and service.asks_for_client_id:
        click.echo(
            f"remark: the Autorisaties API gives it no rights in {service.kind} (it has {', '.join(components)})"
        )


@applications.command()
@click.argument("app_id")
@click.argument("service_name", metavar="SERVICE")
def revoke(app_id: str, service_name: str) -> None:
    """Take the right to SERVICE from the application APP_ID, and forget its credentials there."""
    start_django()
    from bptl.cli import rows

    application, service = rows.application(app_id), rows.service(service_name)
    if not application.grants.filter(service=service).delete()[0]:
        raise click.UsageError(f"application {application.label} has no right to {service.name}")
    click.echo(f"application {application.label} may not use {service.name} any more")


@applications.command()
@click.argument("app_id")
def remove(app_id: str) -> None:
    """Forget the application APP_ID, its rights and its credentials."""
    start_django()
    from bptl.cli import rows

    application = rows.application(app_id)
    application.delete()
    click.echo(f"removed application {application.label}")


@applications.command("import")
@click.option("--service", "service_name", required=True, help="Name of a service of type ac.")
@click.option("--unit", "units", multiple=True, help="Units of new applications; may be repeated.")
def import_them(service_name: str, units: tuple[str, ...]) -> None:
    """Read the applications of an Autorisaties API; a second time changes nothing."""
    start_django()
    from django.core.exceptions import ValidationError

    from bptl.cli import rows
    from bptl.clients.access import Kind
    from bptl.clients.errors import ServiceError
    from bptl.connections.importing import import_applications

    service = rows.service(service_name)
    if service.kind != Kind.AUTORISATIES:
        raise click.UsageError(f"service {service.name} is of type {service.kind}; ac is needed")
    try:
        done = import_applications(service, units=units)
    except ServiceError as error:
        raise click.ClickException(f"{error}; see: bptl services test {service.name}") from error
    except ValidationError as error:
        raise click.ClickException("; ".join(error.messages)) from error
    for what, labels in (("added", done.added), ("changed", done.changed), ("no longer there", done.gone)):
        for label in labels:
            click.echo(f"{what}: {label}")
    click.echo(f"{len(done.added)} added, {len(done.changed)} changed, {len(done.unchanged)} as they were")

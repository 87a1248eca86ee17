"""``bptl mappings``: which work unit does which topic.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from bptl.cli.start import start_django


@click.group()
def mappings() -> None:
    """Which work unit does which topic of which engine."""


@mappings.command("list")
def list_mappings() -> None:
    """Show every mapping with its problems."""
    start_django()
    from bptl.cli import table
    from bptl.connections.mappings import problems
    from bptl.connections.models import Mapping

    rows = [
        (
            str(mapping.pk),
            mapping.engine_name,
            mapping.topic,
            mapping.unit,
            ", ".join(str(binding) for binding in mapping.services.all()) or "-",
            _state(mapping),
            f"{mapping.lock_seconds} s",
            f"{mapping.longest_run.total_seconds():.0f} s",
            mapping.retry_plan or "-",
            "; ".join(problems(mapping)) or "-",
        )
        for mapping in Mapping.objects.select_related("engine").prefetch_related("services__service")
    ]
    table.show(
        ("id", "engine", "topic", "unit", "services", "state", "lock", "longest run", "retries", "problems"), rows
    )


def _state(mapping: Any) -> str:
    if not mapping.paused:
        return "active"
    until = f" until {mapping.resume_at.astimezone():%Y-%m-%d %H:%M}" if mapping.resume_at else ""
    because = f": {mapping.pause_reason}" if mapping.pause_reason else ""
    return f"paused{until}{because}"


def _codes(pairs: tuple[str, ...]) -> dict[str, str]:
    codes = {}
    for pair in pairs:
        cause, equals, code = pair.partition("=")
        if not equals or not cause.strip() or not code.strip():
            raise click.BadParameter(
                f"{pair!r}: write for instance 'HTTP 404=NIET_GEVONDEN'", param_hint="--error-code"
            )
        codes[cause.strip()] = code.strip()
    return codes


@mappings.command()
@click.option("--engine", "engine_name", required=True, help="Name of the engine; rest: for calls of the REST API.")
@click.option("--topic", required=True, help="Topic of the external task.")
@click.option("--unit", required=True, help="Name of the work unit; see bptl units.")
@click.option("--service", "pairs", multiple=True, metavar="ALIAS=NAME", help="A service that the unit needs.")
@click.option("--lock", type=click.IntRange(min=10), default=300, show_default=True, help="Seconds.")
@click.option(
    "--longest-run", type=click.IntRange(min=1), help="Seconds; default CELERY_TASK_SOFT_TIME_LIMIT, else 600."
)
@click.option("--most-at-once", type=click.IntRange(min=1), help="So many of its tasks run at the same time.")
@click.option(
    "--quarantine-after",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="So many processes may die on a task before it waits for a person.",
)
@click.option(
    "--error-code", multiple=True, metavar="CAUSE=CODE", help="A BPMN error for HTTP 404 or a class of errors."
)
@click.option("--retries", default="", help="R3/PT5M or PT30S,PT5M,PT1H; default: the model's, else the unit's.")
@click.option("--priority", type=int, default=0, show_default=True, help="Added to the engine's priority.")
@click.option("--engine-priority/--no-engine-priority", default=True, show_default=True, help="Fetch by priority.")
@click.option("--oldest-first", is_flag=True, help="Fetch the oldest task first (Camunda 7.21 or newer).")
@click.option("--business-key", default="", help="Only tasks with this business key.")
@click.option("--definition-key", multiple=True, help="Only this process definition; may be repeated.")
@click.option("--version-tag", default="", help="Only process definitions with this version tag.")
@click.option("--tenant", multiple=True, help="Only this tenant; may be repeated. Default: the tenants of the engine.")
@click.option("--without-tenant", is_flag=True, help="Only tasks without tenant.")
@click.option("--local-variables", is_flag=True, help="Give the unit only the task's own variables.")
@click.option("--paused", is_flag=True, help="Do not fetch yet.")
def add(
    engine_name: str,
    topic: str,
    unit: str,
    pairs: tuple[str, ...],
    lock: int,
    longest_run: int | None,
    most_at_once: int | None,
    quarantine_after: int,
    error_code: tuple[str, ...],
    retries: str,
    priority: int,
    engine_priority: bool,
    oldest_first: bool,
    business_key: str,
    definition_key: tuple[str, ...],
    version_tag: str,
    tenant: tuple[str, ...],
    without_tenant: bool,
    local_variables: bool,
    paused: bool,
) -> None:
    """Let UNIT do the tasks of TOPIC."""
    start_django()
    from bptl.cli import rows
    from bptl.connections.models import WITHOUT_ENGINE, Mapping
    from bptl.work_units import registry

    try:
        registry.load().get(unit)
    except registry.UnknownUnit as error:
        raise click.UsageError(f"{error}; see bptl units") from error
    mapping = Mapping(
        engine=None if engine_name == WITHOUT_ENGINE else rows.engine(engine_name),
        topic=topic,
        unit=unit,
        active=not paused,
        lock_seconds=lock,
        longest_run_seconds=longest_run,
        most_at_once=most_at_once,
        quarantine_after=quarantine_after,
        error_codes=_codes(error_code),
        retry_plan=retries,
        priority=priority,
        use_engine_priority=engine_priority,
        oldest_first=oldest_first,
        business_key=business_key,
        definition_keys=list(definition_key),
        version_tag=version_tag,
        tenant_ids=list(tenant),
        without_tenant=without_tenant,
        local_variables=local_variables,
    )
    rows.save_mapping(mapping, _services(pairs))
    click.echo(f"mapping {mapping.pk}: {mapping}")


@mappings.command("set")
@click.argument("number", type=int)
@click.option("--service", "pairs", multiple=True, metavar="ALIAS=NAME", help="A service of the unit; may be repeated.")
@click.option("--no-service", "aliases", multiple=True, metavar="ALIAS", help="No service under this alias any more.")
@click.option("--most-at-once", type=click.IntRange(min=0), help="Its tasks that run at the same time; 0: no limit.")
@click.option("--quarantine-after", type=click.IntRange(min=1), help="Processes that may die on a task.")
def change(
    number: int,
    pairs: tuple[str, ...],
    aliases: tuple[str, ...],
    most_at_once: int | None,
    quarantine_after: int | None,
) -> None:
    """Give mapping NUMBER other services or other limits; the rest stays."""
    start_django()
    from bptl.cli import rows
    from bptl.connections import bindings

    mapping = rows.mapping(number)
    bound = {alias: service for alias, service in bindings.of(mapping).items() if alias not in aliases}
    if most_at_once is not None:
        mapping.most_at_once = most_at_once or None
    if quarantine_after is not None:
        mapping.quarantine_after = quarantine_after
    rows.save_mapping(mapping, bound | _services(pairs))
    told = ", ".join(str(binding) for binding in mapping.services.all()) or "none"
    click.echo(f"mapping {mapping.pk}: {mapping}, services {told}")


def _services(pairs: tuple[str, ...]) -> dict[str, Any]:
    from bptl.cli import rows

    found: dict[str, Any] = {}
    for pair in pairs:
        alias, equals, name = pair.partition("=")
        if not equals or not alias or not name:
            raise click.BadParameter(f"{pair!r}: write for instance zrc=open-zaak", param_hint="--service")
        found[alias] = rows.service(name)
    return found


@mappings.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Why; shown with the mapping and kept in the audit log.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]),
    help="It resumes by itself then, local time; default: when somebody resumes it.",
)
def pause(number: int, reason: str, until: datetime | None) -> None:
    """Stop fetching for mapping NUMBER; what was fetched is finished."""
    start_django()
    from django.core.exceptions import ValidationError
    from django.utils import timezone

    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.cli import rows
    from bptl.tasks import mapping_changes

    known = rows.mapping(number)
    moment = timezone.make_aware(until) if until else None
    try:
        mapping = mapping_changes.pause(known.pk, by=By(COMMAND_LINE), reason=reason, until=moment)
    except ValidationError as error:
        raise click.UsageError(rows.faults(error)) from error
    click.echo(f"mapping {number} is {_state(mapping)}: {mapping}")


@mappings.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Why; kept in the audit log.")
def resume(number: int, reason: str) -> None:
    """Fetch for mapping NUMBER again."""
    start_django()
    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.cli import rows
    from bptl.connections.mappings import problems
    from bptl.tasks import mapping_changes

    mapping = mapping_changes.resume(rows.mapping(number).pk, by=By(COMMAND_LINE), reason=reason)
    click.echo(f"resumed mapping {number}: {mapping}")
    for problem in problems(mapping):
        click.echo(f"not fetched yet: {problem}")


@mappings.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Why; kept in the audit log.")
def remove(number: int, reason: str) -> None:
    """Forget mapping NUMBER; tasks on record stay."""
    start_django()
    from bptl.accounts.audit import COMMAND_LINE, By
    from bptl.cli import rows
    from bptl.tasks import mapping_changes

    mapping = mapping_changes.remove(rows.mapping(number).pk, by=By(COMMAND_LINE), reason=reason)
    click.echo(f"removed mapping {number}: {mapping}")

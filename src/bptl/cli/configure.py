"""``bptl configure``: engines, services, applications and mappings from a file.

The library's own management command is not installed: its faults repeat what stands in the file, secrets too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from bptl.cli.start import start_django


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only say whether the file can be read; change nothing.")
def configure(file: Path, check: bool) -> None:
    """Bring engines, services, applications and mappings to what FILE (YAML) says, all of it or nothing."""
    start_django()
    from django_setup_configuration.exceptions import ConfigurationException, ValidateRequirementsFailure
    from django_setup_configuration.runner import SetupConfigurationRunner
    from pydantic import ValidationError

    from bptl.connections.setup import ApplicationStep, EngineStep, MappingStep, ServiceStep, Step

    try:
        runner = SetupConfigurationRunner(
            steps=[EngineStep, ServiceStep, ApplicationStep, MappingStep], yaml_source=file
        )
        enabled = runner.enabled_steps
        runner.validate_all_requirements()  # type: ignore[no-untyped-call]
    except ValidateRequirementsFailure as error:
        faults = [fault for failed in error.exceptions for fault in _faults(failed.validation_error)]
        raise click.ClickException("\n".join(faults)) from None
    except ValidationError as error:
        raise click.ClickException("\n".join(_faults(error))) from None
    except (ConfigurationException, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for step in runner.configured_steps:
        if step not in enabled:
            click.echo(f"{step.namespace}: left alone; the file does not say {step.enable_setting}: true")
    if check:
        click.echo(f"{file} can be read")
        return
    results = runner.execute_all()
    # What came after the first fault may have failed because of it.
    fault = next((result.run_exception for result in results if result.run_exception is not None), None)
    if isinstance(fault, ConfigurationException):
        raise click.ClickException(f"{fault}; nothing was changed")
    if fault is not None:
        raise fault
    for result in results:
        if isinstance(result.step, Step):
            done = result.step.outcome
            told = f"{len(done.made)} made, {len(done.changed)} changed, {len(done.same)} as they were"
            click.echo(f"{result.step.namespace}: {told}")


def _faults(error: object) -> Iterator[str]:
    """Where in the file and what is wrong, without what stands there."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
        hint = "; no such field" if fault["type"] == "extra_forbidden" else ""
        yield f"{where}: {fault['msg']}{hint}"

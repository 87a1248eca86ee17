"""`bptl units`: the catalogue of work units, and one unit in full. Needs no Django and no database."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from bptl.work_units.contract import Need, WorkUnit
from bptl.work_units.description import VariableDescription, inputs_of, outputs_of
from bptl.work_units.registry import Registry, UnknownUnit, load
from bptl.work_units.snippet import snippet

HEADINGS = ("name", "summary", "inputs", "outputs", "services", "replaces")
SUMMARY = HEADINGS.index("summary")
LEAST_SUMMARY = 30
LANGUAGES = ("en", "nl")
GAP = "  "


@click.group(name="units", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.pass_context
def units(context: click.Context, *, as_json: bool) -> None:
    """Work units: list them, or show one."""
    if context.invoked_subcommand is not None:
        return
    registry = load()
    _report_faults(registry)
    if as_json:
        click.echo(json.dumps([_facts(unit) for unit in registry], indent=2, ensure_ascii=False, default=str))
    else:
        click.echo(_table([_row(unit) for unit in registry]))


@units.command(name="show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the unit's page, where it has both.")
def show(*, name: str, as_json: bool, language: str) -> None:
    """Explain the unit NAME (an old dotted name will do): its variables, errors, retries, rights, a model snippet."""
    registry = load()
    try:
        unit = registry.get(name)
    except UnknownUnit as error:
        _report_faults(registry)
        raise click.ClickException(f"{error}; `bptl units` lists all") from error
    if as_json:
        click.echo(json.dumps(_facts(unit), indent=2, ensure_ascii=False, default=str))
    else:
        click.echo("\n\n".join(_page(unit, language=language)))


def _report_faults(registry: Registry) -> None:
    for fault in registry.faults:
        click.echo(f"Units of {fault.entry_point} could not be loaded: {fault.error}", err=True)


def _row(unit: WorkUnit) -> tuple[str, ...]:
    inputs = [variable.name + ("" if variable.required else "?") for variable in inputs_of(unit) if variable.is_top]
    outputs = [variable.name for variable in outputs_of(unit) if variable.is_top]
    cells = (inputs, outputs, sorted(unit.needs), unit.replaces)
    return (unit.name, unit.summary, *(", ".join(cell) or "-" for cell in cells))


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns wide enough for their longest word, so that names stay whole; the summary takes what is left."""
    columns = list(zip(HEADINGS, *rows, strict=True))
    widths = [max(len(word) for cell in column for word in cell.split()) for column in columns]
    left = shutil.get_terminal_size((160, 24)).columns - sum(widths) + widths[SUMMARY] - len(GAP) * (len(widths) - 1)
    widths[SUMMARY] = max(left, LEAST_SUMMARY)
    rule = tuple("-" * width for width in widths)
    lines: list[str] = []
    for row in (HEADINGS, rule, *rows):
        cells = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
            lines.append(GAP.join(padded).rstrip())
    return "\n".join([*lines, "", "A ? marks an optional input. `bptl units show NAME` explains one unit."])


def _page(unit: WorkUnit, *, language: str) -> list[str]:
    throws = [f"{code}: {meaning}" for code, meaning in sorted(unit.throws.items())]
    services = [f"{alias}: {_need(need)}" for alias, need in sorted(unit.needs.items())]
    return [
        unit.name,
        unit.documented(language),
        _section("Inputs", [line for variable in inputs_of(unit) for line in _input_lines(variable)]),
        _section("Outputs", [line for variable in outputs_of(unit) for line in _output_lines(variable)]),
        *([_section("Waits", ["somebody outside may have to give the outputs"])] if unit.may_wait else []),
        _section("BPMN errors thrown", throws),
        _section("Retry plan", [unit.retry_plan or "the default plan"]),
        _section("Services", services),
        _section("Engine rights beyond READ, UPDATE and UPDATE_VARIABLE on process instance", unit.rights),
        _section("Old names", unit.replaces),
        _section("In a model", snippet(unit).splitlines()),
    ]


def _need(need: Need) -> str:
    kind = f" ({need.kind})" if need.kind else ""
    return f"{need.purpose}{kind}" + (", optional" if need.optional else "")


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines or ["none"])])


def _input_lines(variable: VariableDescription) -> list[str]:
    need = "required" if variable.required else f"optional, default {_shown(variable.default)}"
    also = f"; also accepted as {', '.join(variable.also)}" if variable.also else ""
    return [f"{variable.name} ({variable.type}, {need}{also})", *_description(variable)]


def _output_lines(variable: VariableDescription) -> list[str]:
    sometimes = "" if variable.required else ", not always set"
    return [f"{variable.name} ({variable.type}{sometimes})", *_description(variable)]


def _description(variable: VariableDescription) -> list[str]:
    return [f"    {variable.description}"] if variable.description else []


def _shown(default: Any) -> str:
    return "empty" if default is None or default == "" else json.dumps(default, ensure_ascii=False, default=str)


def _facts(unit: WorkUnit) -> dict[str, Any]:
    return {
        "name": unit.name,
        "summary": unit.summary,
        "documentation": unit.documentation,
        "documentation_nl": unit.documentation_nl,
        "inputs": [_variable(variable) for variable in inputs_of(unit)],
        "outputs": [_variable(variable) for variable in outputs_of(unit)],
        "services": {
            alias: {"kind": need.kind, "purpose": need.purpose, "optional": need.optional}
            for alias, need in unit.needs.items()
        },
        "may_wait": unit.may_wait,
        "throws": dict(unit.throws),
        "retry_plan": unit.retry_plan,
        "rights": list(unit.rights),
        "replaces": list(unit.replaces),
        "snippet": snippet(unit),
    }


def _variable(variable: VariableDescription) -> dict[str, Any]:
    return {**variable._asdict(), "also": list(variable.also)}

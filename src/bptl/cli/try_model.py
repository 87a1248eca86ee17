"""``bptl try``: one model from start to end in a sandbox that is thrown away; for modellers, and for their CI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bptl.cli.trial.answers import Answers, InvalidOption, pairs, variables
from bptl.work_units.registry import UnknownUnit, load

if TYPE_CHECKING:
    from bptl.cli.trial.run import Verdict

LONGEST_VALUE = 100


@click.command(name="try")
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--var", "given", multiple=True, metavar="NAME=VALUE", help="A variable; the value is JSON, else text.")
@click.option("--answer", "answers", multiple=True, metavar="KEY={…}", help="Variables in place of a unit or person.")
@click.option("--unit", "units", multiple=True, metavar="TOPIC=UNIT", help="The work unit that does a topic.")
@click.option("--process", default="", help="The process to start, where the first file has several.")
@click.option("--business-key", help="The business key of the instance.")
@click.option("--max-steps", type=click.IntRange(min=1), default=1000, show_default=True, help="End a circle.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def try_model(
    models: tuple[Path, ...],
    given: tuple[str, ...],
    answers: tuple[str, ...],
    units: tuple[str, ...],
    process: str,
    business_key: str | None,
    max_steps: int,
    *,
    as_json: bool,
) -> None:
    """Run the BPMN file MODELS (and those that it calls) once, and show the path that it takes.

    External tasks are done by the work unit that is called like their topic, by --unit, or by --answer. KEY is a topic,
    an element's id, or the name of a message or signal; the answer is JSON: variables to set, {"error": "CODE"} for a
    BPMN error, {"fail": "text"} for a failure. Nobody waits: time jumps to the next timer or retry when nothing else
    can happen. The exit code is 1, with the reason, when the model does not come to its end.
    """
    try:
        # SpiffWorkflow is an optional extra: a production image does without it.
        from bptl.cli.trial.run import Plan, attempt
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}; install it with: pip install 'bptl[sandbox]'") from error
    from bptl.lib import log

    log.configure(level="WARNING", form="console")
    registry = load()
    try:
        plan = Plan(
            files={path.name: path.read_bytes() for path in models},
            process=process,
            business_key=business_key,
            variables=variables(given),
            unit_of_topic=pairs(units, form="topic=unit"),
            max_steps=max_steps,
        )
        for name in plan.unit_of_topic.values():
            registry.get(name)
        verdict = attempt(plan, answers=Answers(answers), registry=registry)
    except (InvalidOption, UnknownUnit) as error:
        raise click.UsageError(str(error)) from error
    click.echo(json.dumps(verdict.to_json(), indent=2, ensure_ascii=False) if as_json else _text(verdict))
    if not verdict.ended:
        raise SystemExit(1)


def _text(verdict: Verdict) -> str:
    lines = []
    if verdict.process:
        lines += [f"{verdict.process}  {verdict.name}".rstrip(), *_values(verdict.given, indent=6), ""]
    width = max((len(step.element) for step in verdict.steps), default=0)
    for number, step in enumerate(verdict.steps, 1):
        where = f"({step.process}) " if step.process != verdict.process else ""
        name = f"{where}{step.name or step.type}" + (" [cancelled]" if step.cancelled else "")
        lines.append(f"{number:4}  {step.element.ljust(width)}  {name}" + (f"  ← {step.by}" if step.by else ""))
        lines += _values(step.variables, indent=width + 8)
    if verdict.steps:
        lines.append("")
    lines += [f"note: nobody asked for the answer {key}" for key in verdict.unused]
    passed = f"{len(verdict.steps)} steps, {verdict.seconds:g} s of the engine's time"
    if verdict.ended:
        return "\n".join([*lines, f"ended: {passed}"])
    return "\n".join([*lines, *(f"reason: {reason}" for reason in verdict.reasons), f"NOT ended: {passed}"])


def _values(values: Any, *, indent: int) -> list[str]:
    return [f"{' ' * indent}{name} = {_shown(value)}" for name, value in values.items()]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"

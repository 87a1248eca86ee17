"""``bptl tasks``: where tasks are, why, and what a person does about them.

Imports that need the models stand inside the commands, so that ``--help`` needs no configuration.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import click

from bptl.cli.start import start_django
from bptl.lib.redaction import without_own_keys

T = TypeVar("T")


def accountable(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add who acts and why; both are kept with the task."""
    actor = click.option("--actor", default=getpass.getuser, show_default="your login", help="Who does this.")
    reason = click.option("--reason", required=True, help="Why; kept with the task.")
    return reason(actor(command))


_moment = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@click.group()
def tasks() -> None:
    """Where tasks are, and what to do about them."""


@tasks.command("list")
@click.option("--status", default="", help="queued, running, waiting, performed, delivered, returned, uncertain, lost.")
@click.option("--outcome", default="", help="completed, failed or thrown.")
@click.option("--engine", default="", help="Name of the engine.")
@click.option("--topic", default="", help="Topic of the external task.")
@click.option("--unit", default="", help="Name of a work unit: tasks of the mappings that have it now.")
@click.option("--application", default="", help="bptlAppId: for whom the work is done.")
@click.option("--process-instance", default="", help="Id of the process instance.")
@click.option("--business-key", default="", help="Business key of the process instance.")
@click.option("--error", default="", help="Key of a cause of failures, as the page of tasks has it in its address.")
@click.option("--text", default="", help="Stands in the name or value of a variable.")
@click.option("--since", type=_moment, help="First seen at this moment or later, local time.")
@click.option("--until", type=_moment, help="First seen before this moment, local time.")
@click.option("--before", type=int, help="Only tasks with a lower number: continues a list.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most tasks to show.")
@as_json
def list_tasks(
    status: str,
    outcome: str,
    engine: str,
    topic: str,
    unit: str,
    application: str,
    process_instance: str,
    business_key: str,
    error: str,
    text: str,
    since: datetime | None,
    until: datetime | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show tasks, newest first."""
    start_django()
    from django.utils import timezone

    from bptl.cli import stories, table
    from bptl.tasks import search, walks
    from bptl.tasks.filters import TaskFilter
    from bptl.tasks.lifecycle import Outcome, Status

    _must_be_one_of("--status", status, [str(known) for known in Status])
    _must_be_one_of("--outcome", outcome, [str(known) for known in Outcome if known])
    wanted = TaskFilter(
        status=status,
        outcome=outcome,
        engine=engine,
        topic=topic,
        unit=unit,
        application=application,
        process_instance_id=process_instance,
        business_key=business_key,
        error_group=error,
        text=text,
        since=timezone.make_aware(since) if since else None,
        until=timezone.make_aware(until) if until else None,
        before_id=before,
    )
    try:
        found = search.page(wanted, limit=limit)
    except walks.TooSlow:
        raise click.ClickException("the search took too long and was stopped; add a filter, such as --topic") from None
    if as_json:
        _print_json([stories.facts(task) for task in found.tasks])
    else:
        table.show(stories.HEADING, [stories.row(task) for task in found.tasks])
    if found.searched:
        click.echo(
            f"The list ends after a search through {found.searched:,} tasks. There may be more beyond: go on with"
            f" --before {found.older}.",
            err=True,
        )


@tasks.command()
@as_json
def count(as_json: bool) -> None:
    """Show how many tasks there are by status and outcome (as JSON: status → outcome → number).

    More than 10,000 of a kind are estimated from PostgreSQL's statistics; the table says *about*.
    """
    start_django()
    from bptl.cli import stories, table
    from bptl.tasks import queries

    counts = sorted(queries.counts().items())
    if as_json:
        nested: dict[str, dict[str, int]] = {}
        for (status, outcome), amount in counts:
            nested.setdefault(status, {})[outcome] = amount.rounded
        _print_json(nested)
    else:
        table.show(("status", "outcome", "tasks"), [(*state, stories.amount(found)) for state, found in counts])


@tasks.command()
@click.argument("number", type=int)
@as_json
def show(number: int, as_json: bool) -> None:
    """Tell all that is known of task NUMBER: its error, its walk, its effects, its variables, what can be done now."""
    start_django()
    from bptl.cli import stories
    from bptl.tasks import queries
    from bptl.tasks.models import Task

    try:
        story = queries.story(number, bodies=as_json)
    except Task.DoesNotExist:
        raise click.ClickException(f"there is no task {number}; see bptl tasks list") from None
    if as_json:
        _print_json(stories.whole(story))
    else:
        click.echo(without_own_keys("\n".join(stories.page(story))))


@tasks.command()
@click.argument("numbers", type=int, nargs=-1, required=True)
@click.option("--var", "texts", multiple=True, metavar="NAME=JSON", help="A variable to change first; may be repeated.")
@accountable
def retry(numbers: tuple[int, ...], texts: tuple[str, ...], actor: str, reason: str) -> None:
    """Let the engine offer the failed tasks NUMBERS once more, with changed variables if any are given."""
    variables = dict(_variable(text) for text in texts)
    start_django()
    from bptl.tasks import actions

    refused = 0
    for number in numbers:
        try:
            _do(number, partial(actions.retry, number, variables=variables, actor=actor, reason=reason))
        except click.ClickException as error:
            refused += 1
            error.show()
        else:
            click.echo(f"task {number}: the engine offers it again")
    sys.exit(1 if refused else 0)


@tasks.command("deliver-again")
@click.argument("number", type=int)
@accountable
def deliver_again(number: int, actor: str, reason: str) -> None:
    """Report the stored result of task NUMBER again; its work is not repeated."""
    start_django()
    from bptl.tasks import actions

    _do(number, partial(actions.deliver_again, number, actor=actor, reason=reason))
    click.echo(f"task {number}: its result is reported again")


@tasks.command()
@click.argument("number", type=int)
@click.option("--var", "texts", multiple=True, metavar="NAME=JSON", help="A variable to set; may be repeated.")
@accountable
def complete(number: int, texts: tuple[str, ...], actor: str, reason: str) -> None:
    """Say that the work of task NUMBER is done; its unit is not run again."""
    start_django()
    from bptl.tasks import actions

    variables = dict(_variable(text) for text in texts)
    _do(number, partial(actions.complete_by_hand, number, variables, actor=actor, reason=reason))
    click.echo(f"task {number}: completed by hand")


@tasks.command()
@click.argument("number", type=int)
@click.option("--var", "texts", multiple=True, metavar="NAME=JSON", help="A variable of the answer; may be repeated.")
@accountable
def answer(number: int, texts: tuple[str, ...], actor: str, reason: str) -> None:
    """Answer in the place of whoever the waiting task NUMBER waits for; its address is refused from then on."""
    variables = dict(_variable(text) for text in texts)
    start_django()
    from bptl.tasks import answering
    from bptl.tasks.lifecycle import Outcome

    said = answering.Answer(Outcome.COMPLETED, variables)
    _do(number, partial(answering.by_person, number, said, actor=actor, reason=reason))
    click.echo(f"task {number}: answered, its engine is told")


@tasks.command()
@click.argument("number", type=int)
@accountable
def fail(number: int, actor: str, reason: str) -> None:
    """Let the waiting task NUMBER fail now, without retries: an incident at its engine."""
    start_django()
    from bptl.tasks import answering
    from bptl.tasks.lifecycle import Outcome

    said = answering.Answer(Outcome.FAILED, {}, message=f"ended by {actor}: {reason}", retries=0)
    _do(number, partial(answering.by_person, number, said, actor=actor, reason=reason))
    click.echo(f"task {number}: has failed, it is an incident at its engine")


@tasks.command()
@click.argument("effect", type=int)
@click.option("--happened", "answer", flag_value="it happened", help="The service shows that it happened.")
@click.option("--did-not-happen", "answer", flag_value="it did not happen", help="It certainly did not: do it again.")
@click.option(
    "--result", "text", metavar="JSON", help="What the effect gave, when it happened: its unit goes on with it."
)
@accountable
def settle(effect: int, answer: str | None, text: str | None, actor: str, reason: str) -> None:
    """Say what became of the open EFFECT of an uncertain task; bptl tasks show names its number.

    When it was the last open one, the task runs again: what happened is not repeated, what did not is done.
    """
    if answer is None:
        raise click.UsageError("say --happened or --did-not-happen")
    happened = answer == "it happened"
    if text is not None and not happened:
        raise click.UsageError("--result: what did not happen has no result")
    try:
        result = None if text is None else _json(text)
    except ValueError:
        raise click.UsageError(
            f"--result {text}: {text!r} is not JSON; a text needs quotes: --result '\"{text}\"'"
        ) from None
    start_django()
    from bptl.tasks import actions
    from bptl.tasks.models import Effect

    try:
        number = Effect.objects.get(id=effect).task_id
    except Effect.DoesNotExist:
        raise click.ClickException(f"there is no effect {effect}; bptl tasks show names those of a task") from None
    last = _do(
        number, partial(actions.settle_effect, effect, happened=happened, result=result, actor=actor, reason=reason)
    )
    then = "runs again under its next lease" if last else f"waits for other answers, see bptl tasks show {number}"
    click.echo(f"effect {effect}: {answer}; task {number} {then}")


@tasks.command("give-up")
@click.argument("number", type=int)
@accountable
def give_up(number: int, actor: str, reason: str) -> None:
    """Leave the uncertain task NUMBER as the incident that it is at its engine."""
    start_django()
    from bptl.tasks import actions

    _do(number, partial(actions.give_up, number, actor=actor, reason=reason))
    click.echo(f"task {number}: given up, it stays an incident at its engine")


@tasks.command("hand-back")
@click.argument("number", type=int)
@accountable
def hand_back(number: int, actor: str, reason: str) -> None:
    """End our lease on task NUMBER, so that the engine offers it again; a running unit is cancelled."""
    start_django()
    from bptl.tasks import actions

    _do(number, partial(actions.hand_back, number, actor=actor, reason=reason))
    click.echo(f"task {number}: handed back to its engine")


def _do(number: int, action: Callable[[], T]) -> T:
    """Run one action and answer what it does; a refusal becomes one line."""
    from bptl.engines.base import EngineError
    from bptl.engines.variables import UnsendableValue
    from bptl.tasks.actions import ActionRefused
    from bptl.tasks.answering import Misfit, NoUnit
    from bptl.tasks.lifecycle import TransitionRefused
    from bptl.tasks.models import Task

    try:
        return action()
    except Task.DoesNotExist:
        raise click.ClickException(f"there is no task {number}; see bptl tasks list") from None
    except (ActionRefused, TransitionRefused) as error:
        raise click.ClickException(str(error)) from error
    except (Misfit, NoUnit) as error:
        raise click.ClickException(f"task {number}: {error}") from error
    except UnsendableValue as error:
        raise click.ClickException(f"task {number}: {error}") from error
    except EngineError as error:
        raise click.ClickException(f"task {number}: the engine did not do it: {error.message}") from error


def _variable(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not (sign and name):
        raise click.UsageError(f"--var {text}: write NAME=JSON, for instance --var 'besluit=\"verlenen\"'")
    try:
        return name, _json(value)
    except ValueError:
        raise click.UsageError(
            f"--var {text}: {value!r} is not JSON; a text needs quotes: --var '{name}=\"{value}\"'"
        ) from None


def _json(text: str) -> Any:
    """The value that ``text`` says; ValueError when it is no JSON or no database takes it (half a character)."""
    value = json.loads(text)
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    return value


def _must_be_one_of(option: str, value: str, known: list[str]) -> None:
    if value and value not in known:
        raise click.UsageError(f"{option}: {value!r} is none of {', '.join(known)}")


def _print_json(data: Any) -> None:
    click.echo(without_own_keys(json.dumps(data, indent=2, ensure_ascii=False, default=str)))

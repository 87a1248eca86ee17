"""The pages of docs/reference that are made from code: ``python -m stage.reference [FOLDER]`` writes them.

``--check`` writes nothing and ends with 1 when a page is not what the code says.
Reads the settings, so the environment must be fit to start with; a setting there changes the defaults that are shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import click
from django.db.models import Field, Model

from bptl.cli.main import VERBS, bptl
from bptl.cli.start import start_django
from bptl.lib.instruments import Instrument, Registry
from bptl.work_units import registry
from bptl.work_units.contract import Need, WorkUnit
from bptl.work_units.description import VariableDescription, inputs_of, outputs_of
from bptl.work_units.snippet import snippet

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
OURS = ("bptl.work_units.",)


def environment() -> str:
    """The variables that the processes read."""
    from bptl.conf.reference import page
    from bptl.conf.settings import environment as read

    return page(read.declared)


def command_line() -> str:
    """Every command with its arguments and options."""
    context = click.Context(bptl, info_name="bptl")
    lines = [
        "# Command line",
        "",
        "Made from the commands in `src/bptl/cli` by `./run docs`. `--help` behind any of them says the same and needs",
        "no configuration. Exit code 0: done; 1: failed; 2: wrong usage or configuration.",
        "",
        *_table(("Verb", "What it does"), [(f"[`bptl {v.name}`](#bptl-{v.name})", v.summary) for v in VERBS]),
    ]
    for verb in VERBS:
        command = bptl.get_command(context, verb.name)
        assert command is not None
        lines += _command(command, click.Context(command, info_name=verb.name, parent=context))
    return _page(lines)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = "##" if isinstance(command, click.Group) or context.parent is context.find_root() else "###"
    yield from ("", f"{depth} {context.command_path}", "")
    arguments = " ".join(part for part in command.collect_usage_pieces(context) if part != "[OPTIONS]")
    yield from (f"    {context.command_path} {arguments}".rstrip(), "")
    yield from (line.strip() for line in (command.help or "").strip().splitlines())
    listed = [param for param in command.params if isinstance(param, click.Option)]
    options = [record for option in listed if (record := option.get_help_record(context))]
    if options:
        yield from ("", *_table(("Option", "What it does"), [(f"`{name}`", text) for name, text in options]))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _command(below, click.Context(below, info_name=name, parent=context))


def work_units() -> str:
    """The catalogue: the units that come with BPTL, not those of packages that happen to be installed here."""
    units = [unit for unit in registry.load() if unit.function.__module__.startswith(OURS)]
    lines = [
        "# Work units",
        "",
        "Made from the units that come with BPTL by `./run docs`. `bptl units` lists those of your installation, with",
        "the ones of other packages; `bptl units --json` is for machines.",
        "",
        *_table(("Unit", "What it does"), [(f"[`{u.name}`](#{_anchor(u.name)})", u.summary) for u in units]),
    ]
    for unit in units:
        lines += _unit(unit)
    return _page(lines)


def _unit(unit: WorkUnit) -> Iterator[str]:
    yield from ("", f"## {unit.name}", "", unit.documentation, "")
    inputs = [(f"`{one.name}`", one.type, _need(one), one.description) for one in inputs_of(unit)]
    yield from _table(("Input", "Type", "Needed", "What it is"), inputs) if inputs else ("No inputs.",)
    yield ""
    outputs = [
        (f"`{one.name}`", one.type, "always" if one.required else "not always", one.description)
        for one in outputs_of(unit)
    ]
    yield from _table(("Output", "Type", "Set", "What it is"), outputs) if outputs else ("No outputs.",)
    facts = [f"BPMN error `{code}`: {meaning}" for code, meaning in sorted(unit.throws.items())]
    facts += ["Waits: somebody outside may have to give the outputs"] if unit.may_wait else []
    facts += [f"Retry plan: `{unit.retry_plan}`" if unit.retry_plan else "Retry plan: the default"]
    facts += [f"Service `{alias}`: {_service(need)}" for alias, need in sorted(unit.needs.items())]
    facts += [f"Right at the engine, beyond those of fetching: {right}" for right in unit.rights]
    facts += [f"Old name: `{name}`" for name in unit.replaces]
    yield from ("", *(f"- {fact}" for fact in facts))
    if unit.documentation_nl:
        yield from ("", "**In Dutch.**", "", unit.documentation_nl)
    yield from ("", "In a model:", "", "```xml", *snippet(unit).splitlines(), "```")


def _service(need: Need) -> str:
    kind = f" ({need.kind})" if need.kind else ""
    return f"{need.purpose}{kind}" + (", optional" if need.optional else "")


def _need(one: VariableDescription) -> str:
    also = f"; also accepted as {', '.join(one.also)}" if one.also else ""
    if one.required:
        return f"required{also}"
    if one.default in (None, "", [], {}):
        return f"optional{also}"
    return f"optional, `{json.dumps(one.default, ensure_ascii=False, default=str)}`{also}"


def rows() -> str:
    """The tables of BPTL and what their columns are called and mean."""
    from django.utils import translation

    from bptl.connections import models as connections
    from bptl.tasks import models as tasks
    from bptl.telling import models as telling

    lines = [
        "# Database rows",
        "",
        "Made from `models.py` of `tasks`, `telling` and `connections` by `./run docs`. Read them freely;",
        "change them with pages and commands only: a row that is changed by hand may break a promise that rests on it.",
        "Which row is written when is in [the walk of a task](../explanation/walk.md#rows). Times are PostgreSQL's",
        "unless they say otherwise. Tables of Django, of django-celery-beat and of people's logins are not listed.",
    ]
    with translation.override("en"):
        for model in (
            *(tasks.Task, tasks.Lease, tasks.Event, tasks.Callback, tasks.Fetch, tasks.Process, tasks.PollLeadership),
            *(telling.Incident, telling.Sighting, telling.Message, telling.Look),
            *(connections.Engine, connections.Mapping, connections.MailTemplate),
            *(connections.Breaker, connections.Opening),
        ):
            lines += _model(model)
    return _page(lines)


def _model(model: type[Model]) -> Iterator[str]:
    yield from ("", f"## {model._meta.db_table}", "", " ".join((model.__doc__ or "").split()), "")
    fields = [field for field in model._meta.get_fields() if isinstance(field, Field)]
    yield from _table(("Column", "Type", "What it is"), [_column(field) for field in fields])


def _column(field: Field[object, object]) -> tuple[str, str, str]:
    target = field.related_model
    points = f" → {target._meta.db_table}" if isinstance(target, type) else ""
    choices = ", ".join(str(value) for value, _ in field.flatchoices if value) if field.flatchoices else ""
    said = [str(field.verbose_name), choices, str(field.help_text).rstrip(".")]
    kind = field.get_internal_type().removesuffix("Field")
    nullable = " or null" if field.null else ""
    return (f"`{field.column}`", f"{kind}{points}{nullable}", ". ".join(text for text in said if text))


def _table(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(heading)
    yield "|---" * len(heading) + "|"
    yield from map(_row, lines)


def _row(cells: Iterable[str]) -> str:
    texts = (" ".join(cell.split()).replace("|", "\\|") or "–" for cell in cells)
    return f"| {' | '.join(texts)} |"


def _anchor(name: str) -> str:
    """The id that both GitHub and MkDocs give to a heading of this text."""
    return name.replace(".", "")


def _page(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def rest_api() -> str:
    """The description of the REST API, which must be valid OpenAPI and described without a doubt."""
    # Read here: they need the settings.
    from django.utils import translation
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiYamlRenderer
    from drf_spectacular.validation import validate_schema

    with translation.override("en"):
        described = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        validate_schema(described)  # type: ignore[no-untyped-call]
        if GENERATOR_STATS:
            GENERATOR_STATS.emit_summary()
            raise ValueError("the description of the REST API is not complete; see above")
        text: bytes = OpenApiYamlRenderer().render(described, renderer_context={})  # type: ignore[no-untyped-call]
    return text.decode()


def metrics() -> str:
    """What the processes tell Prometheus."""
    # Read here: the second needs the settings.
    from bptl.api.fleet import FLEET
    from bptl.tasks.metrics import PROCESS

    lines = [
        "# Metrics",
        "",
        "Made from `src/bptl/tasks/metrics.py` and `src/bptl/api/fleet.py` by `./run docs`. How to read them:",
        "[monitor BPTL](../how-to/monitor.md). Labels are names of engines and services, topics of mappings and words",
        "of BPTL, never a task, a case or a person; of one metric a process tells at most 2,000 series and counts what",
        "comes on top as `other`.",
        "",
        "## Of each process",
        "",
        "Told at `BPTL_METRICS_ADDRESS` by the processes in the second column, each about itself: add them up.",
        "Beside them stand those of the Prometheus client about the process: `process_resident_memory_bytes`,",
        "`process_cpu_seconds_total`, `process_open_fds`, `process_start_time_seconds` and `python_info`.",
        "",
        *_instruments(PROCESS),
        "",
        "## Of the fleet",
        "",
        "Read from PostgreSQL and the broker by whichever web process is asked, at `/metrics` with a token and at",
        "`BPTL_METRICS_ADDRESS` without. Two web processes tell the same: take the greatest, such as",
        "`max by (status) (…)`, and never the sum.",
        "",
        *_instruments(FLEET),
    ]
    return _page(lines)


def _instruments(registry: Registry) -> Iterator[str]:
    yield from _table(("Metric", "Told by", "Kind", "Labels", "What it is"), map(_instrument, registry))


def _instrument(one: Instrument) -> tuple[str, str, str, str, str]:
    told = one.declared
    kind = type(one).__name__.lower()
    labels = ", ".join(f"`{label}`" for label in told.labels)
    return (f"`{told.name}`", told.told_by, kind, labels, told.help)


PAGES: dict[str, Callable[[], str]] = {
    "metrics.md": metrics,
    "environment.md": environment,
    "command-line.md": command_line,
    "work-units.md": work_units,
    "rows.md": rows,
    "openapi.yaml": rest_api,
}


def stale(folder: Path = FOLDER) -> list[str]:
    """The pages that are not what the code says."""
    start_django()
    return [
        name
        for name, page in PAGES.items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != page()
    ]


def main(folder: Path = FOLDER) -> None:
    """Write every page into ``folder``, which must exist."""
    start_django()
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        main(*map(Path, sys.argv[1:2]))
    elif found := stale():
        sys.exit(f"not what the code says any more: {', '.join(found)}; write them anew with ./run docs")

"""The ``bptl`` command: a verb is imported only when it is called, so that one that needs no database asks for none."""

from __future__ import annotations

import os
import signal
import sys

import click

from bptl import __version__
from bptl.cli.lazy import LazyGroup, Verb

VERBS = (
    Verb("web", "bptl.cli.web", "Serve the pages for people."),
    Verb("poll", "bptl.cli.processes", "Fetch work from the engines (long-polling worker)."),
    Verb("work", "bptl.cli.processes", "Run work units and report their outcomes (worker)."),
    Verb("beat", "bptl.cli.processes", "Kick off the periodic jobs."),
    Verb("flower", "bptl.cli.processes", "Show workers and jobs to operators (Flower)."),
    Verb("wait", "bptl.cli.wait", "Wait for database and broker, apply migrations, become a command."),
    Verb("alive", "bptl.cli.alive", "Does the process of this container live? For health checks."),
    Verb("engines", "bptl.cli.engines", "The engines that BPTL works for."),
    Verb("services", "bptl.cli.services", "The outside services that work units call."),
    Verb("breakers", "bptl.cli.breakers", "Services and engines that are known to be down; maintenance windows."),
    Verb("applications", "bptl.cli.applications", "For whom tasks are done, and what may be used for them."),
    Verb("mappings", "bptl.cli.mappings", "Which work unit does which topic."),
    Verb("configure", "bptl.cli.configure", "Bring engines, services, applications and mappings to what a file says."),
    Verb("secrets", "bptl.cli.secrets", "The keys under which secrets are stored."),
    Verb("tasks", "bptl.cli.task_commands", "Where tasks are, and what to do about them."),
    Verb("incidents", "bptl.cli.incidents", "What goes wrong, and what was told of it."),
    Verb("people", "bptl.cli.people", "Who may log in, with which role."),
    Verb("tokens", "bptl.cli.tokens", "Keys by which machines call the REST API."),
    Verb("units", "bptl.cli.units", "The catalogue of work units."),
    Verb("try", "bptl.cli.try_model", "Run one BPMN model in a sandbox and show its path.", "try_model"),
    Verb("sandbox", "bptl.cli.sandbox", "A small BPMN engine for laptops and tests; not for production."),
    Verb("doctor", "bptl.cli.doctor", "Check everything and say what to do."),
    Verb("manage", "bptl.cli.manage", "Django's own commands: migrate, createsuperuser, …"),
)


@click.group(cls=LazyGroup, verbs=VERBS)
@click.version_option(__version__, message="bptl %(version)s")
def bptl() -> None:
    """Business Process Task Library: runs the external tasks of BPMN engines and reports their results."""


def main() -> None:
    """Run the command line; known faults end as one line each on stderr, with exit code 2 for the configuration."""
    _obey_early_stop()
    try:
        bptl(prog_name="bptl")
    except Exception as error:
        # Only here, because it imports Django's database layer, which most successful commands can do without.
        from bptl.cli import faults

        explained = faults.explain(error)
        if explained is None:
            raise
        for line in explained.lines:
            click.echo(f"bptl: {line}", err=True)
        sys.exit(explained.exit_code)


def _obey_early_stop() -> None:
    """Let SIGTERM end this process before a library has taken it over.

    The kernel ignores a signal that the first process of a container has no handler for: a stop while the process
    still starts or waits would last until the container is killed.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

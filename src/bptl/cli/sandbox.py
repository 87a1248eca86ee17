"""``bptl sandbox``: the small engine, in this process, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--data", type=click.Path(dir_okay=False, path_type=Path), help="Keep everything in this file.")
@click.option("--clock", type=int, default=0, help="Run this many milliseconds ahead of real time.")
@click.option("--user", help="Want HTTP Basic authentication; the administrator's name.")
@click.option("--password", envvar="BPTL_SANDBOX_PASSWORD", help="The administrator's password.")
def sandbox(host: str, port: int, data: Path | None, clock: int, user: str | None, password: str | None) -> None:
    """Run BPMN on this machine: a small engine with the Camunda 7 REST API. NOT for production.

    Without --data everything is forgotten at the end. POST /test/clock {"offsetMs": n} moves the engine's time.
    """
    if bool(user) != bool(password):
        raise click.UsageError("--user and --password (or BPTL_SANDBOX_PASSWORD) belong together")
    try:
        # SpiffWorkflow is an optional extra: a production image does without it.
        from bptl.sandbox.clock import Clock
        from bptl.sandbox.engine import Engine
        from bptl.sandbox.server import Server, host_of
        from bptl.sandbox.store import Store, StoreTaken
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}; install it with: pip install 'bptl[sandbox]'") from error
    from bptl.lib import log

    log.configure(level="WARNING", form="console")
    try:
        server = Server(
            (host, port), Engine(Store(data), Clock(offset=clock)), users={user: password or ""} if user else {}
        )
    except (StoreTaken, OSError) as error:
        raise click.ClickException(str(error)) from error
    signal.signal(signal.SIGTERM, _leave)
    click.echo(f"BPTL sandbox at {host_of(server)} (data: {data or 'in memory, forgotten at the end'})")
    click.echo("This engine is for laptops and tests. It is NOT for production.")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("stopped")
    finally:
        server.server_close()


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

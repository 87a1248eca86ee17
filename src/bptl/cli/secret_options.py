"""Options for what must not be an argument, because other users of the machine see arguments; and for TLS."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class TlsOptions(TypedDict):
    """What the options of ``tls_options`` say; None leaves it as it is."""

    certificate: Path | None
    key: Path | None
    no_certificate: bool
    authorities: Path | None
    system_authorities: bool


def tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for a client certificate and for own certificate authorities."""
    options = (
        click.option("--certificate", type=FILE, help="Client certificate (PEM), with those that it rests on."),
        click.option("--key", type=FILE, help="Its private key (PEM, without a password)."),
        click.option("--no-certificate", is_flag=True, help="Forget the client certificate and its key."),
        click.option("--authorities", type=FILE, help="Trust these certificate authorities (PEM) and no others."),
        click.option("--system-authorities", is_flag=True, help="Trust those of the system again."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def set_tls(row: Any, options: TlsOptions) -> None:
    """Give a row what the options say."""
    if options["no_certificate"]:
        row.certificate = row.key = ""
    if options["certificate"] is not None:
        row.certificate = options["certificate"].read_text()
    if options["key"] is not None:
        row.key = options["key"].read_text()
    if options["system_authorities"]:
        row.authorities = ""
    if options["authorities"] is not None:
        row.authorities = options["authorities"].read_text()


def read_secret(option: str, *, env: str | None, stdin: bool) -> str | None:
    """The secret that ``option`` says where to find; None when it says nothing."""
    if env is not None and stdin:
        raise click.UsageError(f"choose one: {option}-env or {option}-stdin")
    if env is not None:
        value = os.environ.get(env, "")
        if not value:
            raise click.UsageError(f"{option}-env: the environment variable {env} is not set")
        return value
    if stdin:
        value = sys.stdin.readline().rstrip("\r\n")
        if not value:
            raise click.UsageError(f"{option}-stdin: standard input is empty")
        return value
    return None

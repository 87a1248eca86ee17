"""Rows for a terminal: columns as wide as their widest cell, two blanks apart."""

from __future__ import annotations

from collections.abc import Sequence

import click


def show(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print ``rows`` below ``heading``; every row has as many cells as the heading."""
    widths = [max(len(cell) for cell in column) for column in zip(heading, *rows, strict=True)]
    for row in (heading, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

"""Saving and finding rows from the command line, with faults in the words of its options."""

from __future__ import annotations

from typing import TypeVar

import click
from django.core.exceptions import ValidationError
from django.db.models import Model

from bptl.connections.models import Engine, Mapping

Row = TypeVar("Row", bound=Model)


def save(row: Row) -> Row:
    """Check ``row`` as the admin pages do and save it; a fault is a usage error that names every field."""
    try:
        row.full_clean()
    except ValidationError as error:
        faults = [
            message if field == "__all__" else f"{field}: {message}"
            for field, messages in error.message_dict.items()
            for message in messages
        ]
        raise click.UsageError("; ".join(faults)) from error
    row.save()
    return row


def engine(name: str) -> Engine:
    """The engine called ``name``; a usage error names those that exist."""
    try:
        return Engine.objects.get(name=name)
    except Engine.DoesNotExist:
        known = ", ".join(Engine.objects.values_list("name", flat=True)) or "none yet; see bptl engines add --help"
        raise click.UsageError(f"there is no engine {name!r} (known: {known})") from None


def mapping(number: int) -> Mapping:
    """The mapping with this id."""
    try:
        return Mapping.objects.select_related("engine").get(pk=number)
    except Mapping.DoesNotExist:
        raise click.UsageError(f"there is no mapping {number}; see bptl mappings list") from None

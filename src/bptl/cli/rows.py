"""Saving and finding rows from the command line, with faults in the words of its options."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import TypeVar

import click
from django.core.exceptions import ValidationError
from django.db.models import Model

from bptl.accounts.audit import COMMAND_LINE, By
from bptl.connections.models import Engine, Mapping
from bptl.connections.service_models import Application, Service
from bptl.tasks import mapping_changes

Row = TypeVar("Row", bound=Model)


def save(row: Row) -> Row:
    """Check ``row`` as the admin pages do and save it; a fault is a usage error that names every field."""
    try:
        row.full_clean()
    except ValidationError as error:
        raise click.UsageError(faults(error)) from error
    row.save()
    return row


def save_mapping(mapping: Mapping, services: MappingOf[str, Service]) -> None:
    """The same for a mapping with its services by alias."""
    try:
        mapping_changes.save(mapping, services, by=By(COMMAND_LINE))
    except ValidationError as error:
        raise click.UsageError(faults(error)) from error


def faults(error: ValidationError) -> str:
    """Every fault in one line, with the name of its field."""
    if not hasattr(error, "error_dict"):
        return "; ".join(error.messages)
    return "; ".join(
        message if field == "__all__" else f"{field}: {message}"
        for field, messages in error.message_dict.items()
        for message in messages
    )


def engine(name: str) -> Engine:
    """The engine called ``name``; a usage error names those that exist."""
    try:
        return Engine.objects.get(name=name)
    except Engine.DoesNotExist:
        known = ", ".join(Engine.objects.values_list("name", flat=True)) or "none yet; see bptl engines add --help"
        raise click.UsageError(f"there is no engine {name!r} (known: {known})") from None


def service(name: str) -> Service:
    """The service called ``name``; a usage error names those that exist."""
    try:
        return Service.objects.get(name=name)
    except Service.DoesNotExist:
        known = ", ".join(Service.objects.values_list("name", flat=True)) or "none yet; see bptl services add --help"
        raise click.UsageError(f"there is no service {name!r} (known: {known})") from None


def application(app_id: str) -> Application:
    """The application with this id."""
    try:
        return Application.objects.get(app_id=app_id)
    except Application.DoesNotExist:
        raise click.UsageError(f"there is no application {app_id!r}; see bptl applications list") from None


def mapping(number: int) -> Mapping:
    """The mapping with this id."""
    try:
        return Mapping.objects.select_related("engine").get(pk=number)
    except Mapping.DoesNotExist:
        raise click.UsageError(f"there is no mapping {number}; see bptl mappings list") from None

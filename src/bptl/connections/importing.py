"""Applications as an Autorisaties API knows them become rows; what was granted to them here stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from bptl.clients.autorisaties import Applicatie, AutorisatiesClient
from bptl.clients.gate import OpenGate
from bptl.connections import sessions
from bptl.connections.service_models import Application, Service

EVERYWHERE = "*"


@dataclass(slots=True)
class Imported:
    """Labels, by what became of them; ``gone`` are ours of that API which it has no longer: they are left alone."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def import_applications(service: Service, *, units: Sequence[str] = ()) -> Imported:
    """Read every application of ``service``, an Autorisaties API, with its own credentials; new ones may run ``units``.

    A second import changes nothing. Raises ServiceError (then nothing was stored), secrets.Undecryptable and
    ValidationError.
    """
    found = list(AutorisatiesClient(sessions.access(service, None), OpenGate()).applicaties())
    imported = Imported()
    with transaction.atomic():
        known = {row.app_id: row for row in Application.objects.select_for_update()}
        for applicatie in found:
            row = known.pop(applicatie["url"], None)
            is_new = row is None
            row = row or Application(app_id=applicatie["url"], units=list(units))
            before = (row.label, row.client_ids, row.components)
            row.label, row.client_ids, row.components = _facts(applicatie)
            row.full_clean()
            if not is_new and before == (row.label, row.client_ids, row.components):
                imported.unchanged.append(row.label)
                continue
            row.save()
            (imported.added if is_new else imported.changed).append(row.label)
    imported.gone = [row.label for app_id, row in known.items() if app_id.startswith(service.address)]
    return imported


def _facts(applicatie: Applicatie) -> tuple[str, list[str], list[str]]:
    components = {autorisatie["component"] for autorisatie in applicatie.get("autorisaties", [])}
    if applicatie.get("heeftAlleAutorisaties"):
        components = {EVERYWHERE}
    label = applicatie.get("label") or applicatie["url"].rpartition("/")[2]
    return label, sorted(applicatie.get("clientIds", [])), sorted(components)

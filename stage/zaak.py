"""The demo's other sample: a whole case in the ZGW APIs, from registering the zaak to closing it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stage.engine_rest import EngineRefused, EngineRest
from stage.neighbours import CLIENT, SECRET

MODEL = Path(__file__).resolve().parent / "models" / "zaak.bpmn"
PROCESS = "zaak"
EVERY = 4
"""Every so many-th case of the demo is one of these."""

APPLICATION = "https://autorisaties.example/api/v1/applicaties/vergunningen"
"""bptlAppId of its models: for whom the work is done."""

ORGANISATION = {"organisatieRSIN": "002220647", "catalogusDomein": "ALG", "zaaktypeIdentificatie": "VERGUNNING"}

UNIT_OF_TOPIC: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "zaak.registreren": ("zgw.create_zaak", ("zrc", "ztc")),
    "zaak.betrokkene": ("zgw.create_rol", ("zrc", "ztc")),
    "zaak.status": ("zgw.create_status", ("zrc", "ztc")),
    "zaak.document": ("zgw.add_document", ("zrc", "drc", "ztc")),
    "zaak.besluit": ("zgw.create_besluit", ("brc", "zrc", "ztc")),
    "zaak.mail": ("mail.send", ()),
    "zaak.sluiten": ("zgw.close_zaak", ("zrc", "ztc")),
}
"""Topic → unit, and the aliases of the services that it calls."""

NAMES = {"zrc": "zaken", "ztc": "catalogi", "drc": "documenten", "brc": "besluiten"}
"""Alias, which is also the kind of the API → name of the service in BPTL."""

_APPLICANTS = ("A. de Boer", "B. Yılmaz", "C. van der Meer", "D. Ouédraogo", "E. Smit")
_THINKING_SECONDS = 2.0


def variables(number: int) -> dict[str, Any]:
    """The variables with which case ``number`` is started. Objects are said to be JSON: see ``sample.variables``."""
    name = _APPLICANTS[number % len(_APPLICANTS)]
    initials, _, surname = name.partition(" ")
    identificatie = f"VERGUNNING-{number:05d}"
    objects = {
        "zaakDetails": {"identificatie": identificatie, "omschrijving": f"Dakkapel van {name}"},
        "betrokkene": {
            "betrokkeneType": "natuurlijk_persoon",
            "roltoelichting": "Aanvrager",
            "betrokkeneIdentificatie": {"voorletters": initials, "geslachtsnaam": surname},
        },
        "documentDetails": {"indicatieGebruiksrecht": False},
        "sender": {"name": "Gemeente Voorbeeld", "email": "vergunningen@gemeente.example"},
        "receiver": {"name": name, "email": f"aanvrager-{number}@post.example"},
        "email": {"subject": f"Besluit in zaak {identificatie}", "content": "Uw aanvraag is behandeld."},
        "context": {"zaakIdentificatie": identificatie, "zaakOmschrijving": f"Dakkapel van {name}"},
    }
    as_json = {field: {"value": json.dumps(value), "type": "Json"} for field, value in objects.items()}
    return {"bptlAppId": APPLICATION, **ORGANISATION, **as_json}


def configuration(engine: str, *, roots: Mapping[str, str]) -> dict[str, Any]:
    """What ``bptl configure`` needs to know: services at ``roots`` (by alias), the application, the mappings."""
    services = [
        {"name": name, "kind": alias, "address": roots[alias], "authentication": "zgw"} for alias, name in NAMES.items()
    ]
    own = {"client_id": CLIENT, "secret": {"value_from": {"env": SECRET}}}
    application = {
        "app_id": APPLICATION,
        "label": "Vergunningen",
        "units": ["zgw.*", "mail.send"],
        "services": [{"service": name, **own} for name in NAMES.values()],
    }
    mappings = [
        {"engine": engine, "topic": topic, "unit": unit, "services": {alias: NAMES[alias] for alias in aliases}}
        for topic, (unit, aliases) in UNIT_OF_TOPIC.items()
    ]
    return {
        "services_config_enable": True,
        "services": {"items": services},
        "applications_config_enable": True,
        "applications": {"items": [application]},
        "mappings_config_enable": True,
        "mappings": {"items": mappings},
    }


def decide(rest: EngineRest) -> int:
    """Complete user tasks that somebody has thought about for two seconds; how many. Every third is refused."""
    decided = 0
    for task in rest.user_tasks(key=PROCESS):
        age = datetime.now(UTC) - datetime.fromisoformat(task["created"])
        if age.total_seconds() < _THINKING_SECONDS:
            continue
        instance = rest.call("GET", f"/history/process-instance/{task['processInstanceId']}")
        granted = int(instance["businessKey"].rpartition("-")[2]) // EVERY % 3 != 0
        # Whoever watches the demo may have decided meanwhile.
        with suppress(EngineRefused):
            answer = {"verlenen": {"value": granted, "type": "Boolean"}}
            rest.call("POST", f"/task/{task['id']}/complete", body={"variables": answer})
            decided += 1
    return decided

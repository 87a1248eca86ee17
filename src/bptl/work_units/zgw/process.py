"""The process that belongs to a zaaktype."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bptl.clients.access import Kind
from bptl.clients.catalogi import CatalogiClient
from bptl.clients.objects import ObjectsClient
from bptl.clients.objecttypes import ObjecttypesClient
from bptl.clients.zaken import ZakenClient
from bptl.work_units.contract import Need, NeverAgain, ProcessNotFound, Work, work_unit
from bptl.work_units.zgw.effects import choose
from bptl.work_units.zgw.inputs import Address, OfZaak

FORM = "StartCamundaProcessForm"
"""Name of the objecttype that says which process belongs to which zaaktypen, as the ZAC uses it."""


class Gestart(OfZaak):
    """For which zaak, and by whom."""

    bptlAppId: str = Field(min_length=1, description="Application for which this is done; handed on to the process.")
    initiator: str | None = Field(None, description="Who starts it; empty: the initiator among the rollen of the zaak.")
    formObjecttype: Address | None = Field(
        None, description=f"Address of the objecttype of the forms; empty: the one that is named {FORM}."
    )


@work_unit(
    "zgw.start_process",
    needs={
        "zrc": "Zaken API",
        "ztc": "Catalogi API",
        "objects": Need(Kind.OTHER, "Objects API: the forms that say which process belongs to a zaaktype"),
        "objecttypes": Need(Kind.OTHER, "Objecttypes API: the objecttype of the forms by its name", optional=True),
    },
    rights=(
        "CREATE on process instance",
        "CREATE_INSTANCE on process definition",
        "READ on process definition",
        "READ_HISTORY on process definition (only to find a start whose answer was lost, when it has ended already)",
    ),
    replaces="bptl.work_units.zgw.tasks.zaakprocess.StartCamundaProcessTask",
    nl="""
    Start het proces dat bij het zaaktype van een zaak hoort.

    Welk proces dat is, staat in een object van het type StartCamundaProcessForm: het object met het domein van de
    catalogus en de identificatie van het zaaktype noemt de sleutel van de procesdefinitie. Is er geen, dan gebeurt er
    niets. Het proces krijgt bptlAppId, zaakUrl, zaakIdentificatie, zaakDetails (omschrijving, zaaktypeOmschrijving,
    toelichting) en, als die bekend is, initiator.
    """,
)
def start_process(work: Work, inputs: Gestart) -> None:
    """Start the process that belongs to the zaaktype of a zaak.

    Which one is said by an object of the type StartCamundaProcessForm: the one with the domein of the catalogus and the
    identificatie of the zaaktype names the key of the process definition. Nothing happens where there is none; the log
    says so. The process gets bptlAppId, zaakUrl, zaakIdentificatie, zaakDetails (omschrijving, zaaktypeOmschrijving,
    toelichting) and, where it is known, initiator. Its latest version is started once, however often the task is tried.

    Differs from the existing BPTL: the objecttype is not a setting, but the variable formObjecttype, or is found by its
    name through the service objecttypes. A zaaktype fits a form by its whole identificatie; before, ZT-1 found the form
    of ZT-10 too.
    """
    zrc = work.connect(ZakenClient, "zrc")
    ztc = work.connect(CatalogiClient, "ztc")
    zaak = zrc.zaak(inputs.zaakUrl)
    zaaktype = ztc.zaaktype(zaak["zaaktype"])
    # The same at every attempt: another key would be another start.
    key = choose(work, lambda: _definition_key(work, ztc, inputs, zaaktype))
    if key is None:
        work.log.warning("process.none_for_zaaktype", zaaktype=zaak["zaaktype"])
        return
    variables: dict[str, Any] = {
        "bptlAppId": inputs.bptlAppId,
        "zaakUrl": inputs.zaakUrl,
        "zaakIdentificatie": zaak["identificatie"],
        "zaakDetails": {
            "omschrijving": zaak["omschrijving"],
            "zaaktypeOmschrijving": zaaktype["omschrijving"],
            "toelichting": zaak["toelichting"],
        },
    }
    initiator = inputs.initiator or _initiator(zrc, inputs.zaakUrl)
    if initiator:
        variables["initiator"] = initiator
    try:
        started = work.processes.start(key=key, variables=variables)
    except ProcessNotFound as error:
        raise NeverAgain(
            f"the form of zaaktype {zaaktype['identificatie']!r} names the process definition {key!r}, which the "
            "engine does not have or BPTL's user may not see: deploy it, correct camundaProcessDefinitionKey of the "
            "form, or grant READ and CREATE_INSTANCE on Process Definition and CREATE on Process Instance"
        ) from error
    work.log.info("process.started", process=key, started_instance=started)


def _definition_key(work: Work, ztc: CatalogiClient, inputs: Gestart, zaaktype: dict[str, Any]) -> str | None:
    objecttype = inputs.formObjecttype or _objecttype(work)
    domein = ztc.catalogus(zaaktype["catalogus"])["domein"]
    objects = work.connect(ObjectsClient, "objects")
    forms = [
        form
        for form in objects.objects(objecttype, data_attr=[f"zaaktypeCatalogus__exact__{domein}"])
        if zaaktype["identificatie"] in form["record"]["data"].get("zaaktypeIdentificaties", [])
    ]
    if not forms:
        return None
    if len(forms) > 1:
        work.log.warning("form.several", forms=[form["url"] for form in forms])
    key = forms[0]["record"]["data"].get("camundaProcessDefinitionKey")
    if not key:
        raise NeverAgain(f"object {forms[0]['url']} names no camundaProcessDefinitionKey: correct it")
    return str(key)


def _objecttype(work: Work) -> str:
    found = [one for one in work.connect(ObjecttypesClient, "objecttypes").objecttypes() if one["name"] == FORM]
    if len(found) != 1:
        raise NeverAgain(
            f"the Objecttypes API has {len(found) or 'no'} objecttypes that are named {FORM!r}: give formObjecttype"
        )
    return str(found[0]["url"])


def _initiator(zrc: ZakenClient, zaak: str) -> str | None:
    for rol in zrc.rollen(zaak):
        if rol["omschrijvingGeneriek"] == "initiator":
            return (rol.get("betrokkeneIdentificatie") or {}).get("identificatie") or None
    return None

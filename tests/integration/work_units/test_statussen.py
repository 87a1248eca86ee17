"""A status is set by its type or number, once, at a moment that stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bptl.clients.errors import Rejected
from bptl.work_units.contract import NeverAgain
from bptl.work_units.testing import run
from bptl.work_units.zgw.statussen import create_status
from tests.doubles.zgw.double import ALL_RIGHTS, ZgwDouble
from tests.integration.work_units.zaak import (
    APP,
    begun,
    closed,
    hidden,
    nothing_made,
    prevented,
    tried_again,
    work_with,
    zrc,
)


def test_a_status_is_set_by_its_number(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "statusVolgnummer": "2", "toelichting": "Wij kijken", **APP}
    url = run(create_status, variables, work=work_with(zgw)).variables["statusUrl"]
    status = zgw.get(url)
    assert (status["statustype"], status["statustoelichting"]) == (zgw.catalogue.statustype(2), "Wij kijken")


def test_a_status_is_set_by_its_type_without_the_catalogus(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "statustype": zgw.catalogue.statustype(3), **APP}
    url = run(create_status, variables, work=work_with(zgw, services=["zrc"])).variables["statusUrl"]
    assert zgw.get(url)["statustype"] == variables["statustype"]


def test_the_number_goes_before_the_type(zgw: ZgwDouble) -> None:
    given = {"statusVolgnummer": 2, "statustype": zgw.catalogue.statustype(3)}
    url = run(create_status, {"zaakUrl": begun(zgw), **given, **APP}, work=work_with(zgw)).variables["statusUrl"]
    assert zgw.get(url)["statustype"] == zgw.catalogue.statustype(2)


def test_a_number_on_the_second_page_is_found(zgw: ZgwDouble) -> None:
    zaaktype = zgw.catalogue.add_zaaktype("LANG", statussen=[f"Stap {step}" for step in range(1, 103)])
    variables = {"zaakUrl": begun(zgw, zaaktype=zaaktype), "statusVolgnummer": 101, **APP}
    url = run(create_status, variables, work=work_with(zgw)).variables["statusUrl"]
    assert zgw.get(url)["statustype"] == zgw.catalogue.statustype(101, zaaktype=zaaktype)


def test_an_unknown_number_is_an_incident_that_names_those_there_are(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "statusVolgnummer": 9, **APP}
    with nothing_made(zgw), pytest.raises(NeverAgain, match=r"it has 1 \(Ontvangen\), 2 .*correct statusVolgnummer"):
        run(create_status, variables, work=work_with(zgw))


@hidden
def test_a_status_that_was_set_without_an_answer_is_not_set_again(zgw: ZgwDouble, kind: Any) -> None:
    zgw.fault("/zaken/api/v1/statussen", kind=kind, method="POST")
    tried_again(create_status, {"zaakUrl": begun(zgw), "statusVolgnummer": 2, **APP}, work_with(zgw))
    assert zgw.count("statussen") == 1


@prevented
def test_a_status_that_was_not_set_is_set_by_the_next_attempt(zgw: ZgwDouble, kind: Any) -> None:
    zgw.fault("/zaken/api/v1/statussen", kind=kind, method="POST")
    tried_again(create_status, {"zaakUrl": begun(zgw), "statusVolgnummer": 2, **APP}, work_with(zgw))
    assert zgw.count("statussen") == 1


def test_the_same_status_of_somebody_else_is_not_taken_for_ours(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    moment = datetime.now(UTC).isoformat()
    zrc(zgw).create_status({"zaak": zaak, "statustype": zgw.catalogue.statustype(2), "datumStatusGezet": moment})
    work = work_with(zgw, open_effects=["create-status"])
    run(create_status, {"zaakUrl": zaak, "statusVolgnummer": 2, **APP}, work=work)
    assert zgw.count("statussen") == 2


def test_a_status_that_an_earlier_try_set_late_is_found_when_its_moment_is_taken(zgw: ZgwDouble) -> None:
    zaak, moment = begun(zgw), datetime.now(UTC).isoformat()
    ours = {"zaak": zaak, "statustype": zgw.catalogue.statustype(2), "datumStatusGezet": moment}
    late = zrc(zgw).create_status(ours)["url"]
    work = work_with(zgw, effects={"choose": moment})
    assert run(create_status, {"zaakUrl": zaak, "statusVolgnummer": 2, **APP}, work=work).variables["statusUrl"] == late


def test_a_limited_application_cannot_set_a_status_of_a_closed_zaak(zgw: ZgwDouble) -> None:
    zaak = closed(zgw)
    with nothing_made(zgw), pytest.raises(Rejected, match="403"):
        run(create_status, {"zaakUrl": zaak, "statusVolgnummer": 2, **APP}, work=work_with(zgw))
    assert zgw.get(zaak)["einddatum"]


def test_an_application_with_all_rights_reopens_a_closed_zaak(zgw: ZgwDouble) -> None:
    zaak = closed(zgw)
    run(create_status, {"zaakUrl": zaak, "statusVolgnummer": 2, **APP}, work=work_with(zgw, application=ALL_RIGHTS))
    assert zgw.get(zaak)["einddatum"] is None

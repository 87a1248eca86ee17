"""Whose credentials a task really sends, read at the receiving end, and who is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jwt
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bptl.connections import directory, services
from bptl.connections.mail import TaskMail
from bptl.connections.models import Mapping as TopicMapping
from bptl.connections.models import MappingService
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.engines.nobody import Nobody
from bptl.tasks.execution.work import Cancellation, RunningWork
from bptl.work_units import registry
from bptl.work_units.contract import APPLICATION, InvalidInput, NotConnected, NotGranted, Pending, TaskFacts
from tests.doubles.outside import Outside

FACTS = TaskFacts(1, "main", "lees", "x", "i", "p", "a", "", "", 1)


def perform(mapping: TopicMapping, **values: Any) -> Mapping[str, Any]:
    """Run the unit of a mapping as a worker does."""
    unit = registry.load().get(mapping.unit)
    work = RunningWork(
        FACTS,
        unit=unit.name,
        lease_id=None,
        cancellation=Cancellation(),
        engine=Nobody(),
        services=services.of(mapping, unit, application=values.get(APPLICATION)),
        mail=TaskMail,
        record=lambda call: None,
    )
    answer = unit.run(work, values)
    assert not isinstance(answer, Pending)
    return answer


def sent(outside: Outside) -> dict[str, Any]:
    """The claims of the token that came in with the last request, whoever signed it."""
    scheme, _, token = outside.asked[-1].headers["Authorization"].partition(" ")
    assert scheme == "Bearer"
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_the_credentials_that_arrive_are_those_of_the_application(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    assert perform(mapping, bptlAppId=grant.application.app_id) == {"omschrijving": "dakkapel"}
    token = outside.asked[0].headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, "geheim-van-vergunningen", algorithms=["HS256"])
    assert (claims["iss"], claims["client_id"]) == ("vergunningen", "vergunningen")
    assert 0 < claims["exp"] - claims["iat"] < 3600


def test_two_applications_on_one_connection_keep_their_own_credentials(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    other = Application.objects.create(app_id="andere", label="Andere", units=["*"])
    own = ServiceGrant(application=other, service=grant.service, client_id="andere")
    own.secret = "geheim-van-andere"
    own.save()
    for app_id, client_id in [(grant.application.app_id, "vergunningen"), ("andere", "andere")] * 2:
        perform(mapping, bptlAppId=app_id)
        assert sent(outside)["client_id"] == client_id


def test_an_application_may_be_told_to_use_the_service_s_own_credentials(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    grant.as_service = True
    grant.full_clean()
    grant.save()
    perform(mapping, bptlAppId=grant.application.app_id)
    assert sent(outside)["client_id"] == "bptl"
    assert grant.encrypted_secret == ""


def test_an_unknown_application_is_refused_before_anything_is_sent(outside: Outside, mapping: TopicMapping) -> None:
    with pytest.raises(NotGranted, match="no application has this id"):
        perform(mapping, bptlAppId="https://ac.example.nl/applicaties/onbekend")
    assert outside.asked == []


def test_a_task_that_names_no_application_is_told_which_variable_is_missing(
    outside: Outside, mapping: TopicMapping
) -> None:
    with pytest.raises(InvalidInput, match="bptlAppId"):
        perform(mapping)
    assert outside.asked == []


def test_an_application_without_right_to_the_service_is_told_which_right_is_missing(
    outside: Outside, mapping: TopicMapping, application: Application
) -> None:
    with pytest.raises(NotConnected, match=r"Vergunningen .* has no right to service zaken"):
        perform(mapping, bptlAppId=application.app_id)
    assert outside.asked == []


def test_an_application_without_right_to_the_unit_is_told_which_right_is_missing(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    Application.objects.update(units=["demo.*"])
    with pytest.raises(NotGranted, match=r"may not run unit test\.read_zaak"):
        perform(mapping, bptlAppId=grant.application.app_id)
    assert outside.asked == []


def test_nothing_is_done_for_an_inactive_application(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    Application.objects.update(active=False)
    with pytest.raises(NotGranted, match="not active"):
        perform(mapping, bptlAppId=grant.application.app_id)
    assert outside.asked == []


def test_a_right_that_is_taken_away_counts_for_the_next_task(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "FRESH", 0.0)
    perform(mapping, bptlAppId=grant.application.app_id)
    grant.delete()
    with pytest.raises(NotConnected, match="has no right"):
        perform(mapping, bptlAppId=grant.application.app_id)
    assert len(outside.asked) == 1


def test_a_changed_secret_signs_the_next_call(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "FRESH", 0.0)
    perform(mapping, bptlAppId=grant.application.app_id)
    grant.secret = "nieuw-geheim-van-vergunningen"
    grant.save()
    perform(mapping, bptlAppId=grant.application.app_id)
    token = outside.asked[-1].headers["Authorization"].removeprefix("Bearer ")
    jwt.decode(token, "nieuw-geheim-van-vergunningen", algorithms=["HS256"])


def test_a_unit_that_needs_no_application_uses_the_service_s_own_credentials(
    outside: Outside, mapped: Callable[..., TopicMapping], zaken: Service, units_that_reach: None
) -> None:
    mapping = mapped("iets", "test.read_anything")
    MappingService.objects.create(mapping=mapping, alias="service", service=zaken)
    perform(mapping)
    assert sent(outside)["client_id"] == "bptl"


def test_an_application_that_is_named_counts_for_every_unit(
    outside: Outside, mapped: Callable[..., TopicMapping], grant: ServiceGrant
) -> None:
    mapping = mapped("iets", "test.read_anything")
    MappingService.objects.create(mapping=mapping, alias="service", service=grant.service)
    perform(mapping, bptlAppId=grant.application.app_id)
    assert sent(outside)["client_id"] == "vergunningen"
    with pytest.raises(NotGranted):
        perform(mapping, bptlAppId="onbekend")


def test_a_service_without_credentials_of_its_own_is_not_called_without_application(
    outside: Outside, mapped: Callable[..., TopicMapping], zaken: Service, units_that_reach: None
) -> None:
    zaken.client_id = zaken.secret = ""
    zaken.full_clean()
    zaken.save()
    mapping = mapped("iets", "test.read_anything")
    MappingService.objects.create(mapping=mapping, alias="service", service=zaken)
    with pytest.raises(NotConnected, match="no credentials of its own"):
        perform(mapping)
    assert outside.asked == []


def test_an_address_in_data_leads_to_the_registered_service_that_owns_it_and_to_no_other(
    mapping: TopicMapping, grant: ServiceGrant
) -> None:
    with Outside("/andere/zaken/api/v1/") as elsewhere:
        elsewhere.answer("zaken/9", {"omschrijving": "kap"})
        there = {"bptlAppId": grant.application.app_id, "url": elsewhere.root + "zaken/9"}
        with pytest.raises(NotConnected, match="no active service of type zrc is registered"):
            perform(mapping, **there)
        other = Service.objects.create(name="andere", kind="zrc", address=elsewhere.root, authentication="no_auth")
        directory.forget()
        with pytest.raises(NotConnected, match="no right to service andere"):
            perform(mapping, **there)
        ServiceGrant.objects.create(application=grant.application, service=other, as_service=True)
        directory.forget()
        assert perform(mapping, **there) == {"omschrijving": "kap"}
        assert "Authorization" not in elsewhere.asked[-1].headers


def test_the_service_whose_root_says_most_of_an_address_is_called(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    wide = outside.root.removesuffix("zaken/api/v1/")
    other = Service.objects.create(name="alles", kind="zrc", address=wide, authentication="no_auth")
    ServiceGrant.objects.create(application=grant.application, service=other, as_service=True)
    MappingService.objects.all().delete()
    perform(mapping, bptlAppId=grant.application.app_id, url=outside.root + "zaken/1")
    assert sent(outside)["client_id"] == "vergunningen"


def test_a_second_task_asks_the_database_nothing(mapping: TopicMapping, grant: ServiceGrant) -> None:
    (known,) = TopicMapping.objects.prefetch_related("services__service").filter(pk=mapping.pk)
    perform(known, bptlAppId=grant.application.app_id)
    with CaptureQueriesContext(connection) as asked:
        perform(known, bptlAppId=grant.application.app_id)
    assert len(asked) == 0


def test_a_unit_without_needs_asks_the_database_nothing(mapped: Callable[..., TopicMapping]) -> None:
    mapping = mapped("snel")
    unit = registry.load().get("demo.quick")
    with CaptureQueriesContext(connection) as asked:
        services.of(mapping, unit, application="onbekend")
    assert len(asked) == 0


def test_through_an_outway_requests_go_there_with_the_hash_of_the_grant_and_data_stay_as_they_are(
    mapping: TopicMapping, grant: ServiceGrant
) -> None:
    with Outside("/gemeente/zaken/") as outway:
        outway.answer("zaken/1", {"omschrijving": "dakkapel"})
        service = grant.service
        service.outway, service.fsc_grant_hash = outway.root, "$1$4$hash"
        service.full_clean()
        service.save()
        url = service.address + "zaken/1"
        assert perform(mapping, bptlAppId=grant.application.app_id, url=url) == {"omschrijving": "dakkapel"}
        assert outway.asked[0].path == "/gemeente/zaken/zaken/1"
        assert outway.asked[0].headers["Fsc-Grant-Hash"] == "$1$4$hash"


def test_an_api_key_is_the_application_s_in_the_header_of_the_service(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    service = grant.service
    service.authentication, service.header = "api_key", "X-Api-Key"
    service.full_clean()
    service.save()
    grant.secret = "Token van-vergunningen"
    grant.full_clean()
    grant.save()
    perform(mapping, bptlAppId=grant.application.app_id)
    assert outside.asked[0].headers["X-Api-Key"] == "Token van-vergunningen"
    assert "Authorization" not in outside.asked[0].headers


def test_credentials_that_no_longer_fit_the_service_are_refused_and_not_replaced(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant
) -> None:
    ServiceGrant.objects.update(client_id="")
    with pytest.raises(NotConnected, match="has no client id for service zaken"):
        perform(mapping, bptlAppId=grant.application.app_id)
    assert outside.asked == []


def test_a_secret_that_no_key_opens_is_an_incident_that_names_the_setting(
    outside: Outside, mapping: TopicMapping, grant: ServiceGrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [Fernet.generate_key().decode()])
    grant.save()
    with pytest.raises(NotConnected, match="BPTL_ENCRYPTION_KEYS"):
        perform(mapping, bptlAppId=grant.application.app_id)
    assert outside.asked == []

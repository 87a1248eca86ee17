"""Secrets in every field, then everything that BPTL says and stores is searched for them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner
from django.core import serializers
from django.db import connection
from django.test import Client
from django.urls import reverse

from bptl.accounts.models import User
from bptl.cli.main import bptl
from bptl.clients.errors import ServiceError
from bptl.connections import engines, service_check, sessions
from bptl.connections.models import Engine, Mapping
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.lib import log
from bptl.tasks.execution.faults import details_of, message_of
from tests.doubles.certificates import Authority
from tests.doubles.outside import Answer, Outside
from tests.integration.connections.test_rights import perform

SECRETS = {
    "engine": "geheim-een-van-de-motor",
    "service": "geheim-twee-van-de-dienst",
    "grant": "geheim-drie-van-de-toepassing",
    "oauth": "geheim-vier-bij-de-token-server",
}
TOKEN = "toegangstoken-vijf-in-het-geheugen"


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def outside(authority: Authority) -> Iterator[Outside]:
    with Outside(pair=authority.issue()) as running:
        running.answer("zaken/1", {"omschrijving": "dakkapel"})
        running.answers["/token"] = Answer(200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 60})
        yield running


@pytest.fixture
def key(authority: Authority, zaken: Service, grant: ServiceGrant, engine: Engine) -> str:
    """Every field of every row holds a secret; answers the private key."""
    own = authority.issue("bptl")
    zaken.secret, zaken.certificate, zaken.key = SECRETS["service"], own.certificate, own.key
    zaken.authorities = authority.certificate
    zaken.save()
    grant.secret = SECRETS["grant"]
    grant.save()
    other = Service(
        name="oauth",
        kind="orc",
        address=zaken.address.replace("/zaken/", "/objecten/"),
        authentication="oauth2_client_credentials",
        client_id="bptl",
        token_address=zaken.address.partition("/zaken/")[0] + "/token",
    )
    other.secret, other.authorities = SECRETS["oauth"], authority.certificate
    other.full_clean()
    other.save()
    engine.authentication, engine.username, engine.secret = "basic", "bptl", SECRETS["engine"]
    engine.certificate, engine.key, engine.authorities = own.certificate, own.key, authority.certificate
    engine.address = zaken.address
    engine.save()
    return own.key


@contextmanager
def everything_logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    log.configure(level="DEBUG", form="json")
    try:
        yield written
    finally:
        log.configure()


def without_secrets(text: str, key: str) -> str:
    for secret in [*SECRETS.values(), TOKEN, key.splitlines()[1]]:
        assert secret not in text
    return text


def test_no_table_log_incident_page_or_command_shows_a_secret(
    outside: Outside, key: str, mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    app_id = Application.objects.get().app_id
    with everything_logged(monkeypatch) as logged:
        perform(mapping, bptlAppId=app_id)
        for answer in (Answer(403, {"code": "invalid-jwt-signature"}), Answer(500, {}), Answer(200, b"<html>")):
            outside.answers[outside.path + "zaken/1"] = answer
            try:
                perform(mapping, bptlAppId=app_id)
            except ServiceError as error:
                said += [message_of(error), details_of(error), repr(error)]
        for service in Service.objects.all():
            said += [finding.text for finding in service_check.check(service)]
            said.append(repr(sessions.access(service, None)))
        said.append(repr(vars(engines.client(Engine.objects.get()))))
    assert len(said) > 12
    without_secrets("\n".join(said), key)
    without_secrets(logged.getvalue(), key)

    rows: list[Any] = [*Service.objects.all(), *ServiceGrant.objects.all(), *Engine.objects.all()]
    without_secrets(serializers.serialize("json", rows), key)
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT to_jsonb(row)::text FROM "{table}" AS row')  # noqa: S608 - names of our tables
            without_secrets(json.dumps(cursor.fetchall()), key)

    administrator = Client(HTTP_ACCEPT_LANGUAGE="en")
    administrator.force_login(User.objects.create_superuser("admin", password="not-used-here"))
    for row in [*Service.objects.all(), *Engine.objects.all(), *Application.objects.all()]:
        name = row._meta.model_name
        for address in (reverse(f"{name}s"), *(reverse(page, args=[row.pk]) for page in (name, f"{name}-change"))):
            opened = administrator.get(address)
            assert opened.status_code == 200
            assert "encrypted_" not in without_secrets(opened.content.decode(), key)
    granted = ServiceGrant.objects.get()
    without_secrets(
        administrator.get(reverse("grant-change", args=[granted.application_id, granted.pk])).content.decode(), key
    )
    without_secrets(administrator.get(reverse("audit")).content.decode(), key)
    for line in ("services list", "applications list", "engines list", "services test zaken", "mappings list"):
        without_secrets(CliRunner().invoke(bptl, line.split()).output, key)


def test_an_access_and_its_login_hide_what_they_hold(zaken: Service) -> None:
    access = sessions.access(zaken, None)
    assert "geheim" not in repr(access)
    assert "geheim" not in repr(access.auth)

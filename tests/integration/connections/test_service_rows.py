"""What must never be stored of services and applications is refused, by the forms and by the database in any case."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from bptl.connections import mappings, pem_files, rotation
from bptl.connections.models import Engine, Mapping, MappingService
from bptl.connections.rotation import Unreadable
from bptl.connections.service_models import Application, Service, ServiceGrant
from tests.doubles.certificates import Authority

pytestmark = pytest.mark.django_db
ROOT = "https://zaken.example.nl/api/v1/"


def faults(row: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    return caught.value.message_dict


@pytest.mark.parametrize(
    "address",
    ["ftp://zaken/", "zaken", "https://me:pw@zaken/", "https://zaken/?a=1", "https://zaken/#a", "https://a b/"],
)
def test_an_address_that_is_no_root_is_refused_by_the_form_and_by_the_database(address: str) -> None:
    assert "address" in faults(Service(name="z", kind="zrc", address=address, authentication="no_auth"))
    with pytest.raises(IntegrityError, match="service_address_is_a_root"):
        Service.objects.create(name="z", kind="zrc", address=address, authentication="no_auth")


def test_equal_addresses_are_one_text_and_stored_once(zaken: Service) -> None:
    typed = zaken.address.removesuffix("/").replace("http", "HTTP")
    assert "address" in faults(Service(name="z", kind="zrc", address=typed, authentication="no_auth"))


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"kind": "zcr"}, "service_kind_is_known"),
        ({"data_class": "open"}, "service_data_class_is_known"),
        ({"outway": "http://outway"}, "service_outway_is_a_root"),
        ({"client_id": "bptl"}, "service_(login|client)_"),
        ({"authentication": "zgw", "client_id": "bptl"}, "service_client_with_secret"),
        ({"authentication": "basic"}, "service_login_is_whole"),
        (
            {"authentication": "oauth2_client_credentials", "token_address": "http://insecure/token"},
            "service_login_is_whole",
        ),
        ({"timeout_seconds": 0}, "service_timeout_1_to_600_s"),
        ({"most_at_once": 0}, "service_at_least_1_at_once"),
        ({"most_a_minute": 0}, "service_at_least_1_a_minute"),
        ({"encrypted_key": "x"}, "service_certificate_with_key"),
    ],
)
def test_the_database_refuses_a_service_that_cannot_work(fields: dict[str, Any], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        Service.objects.create(**{"name": "z", "kind": "zrc", "address": ROOT, "authentication": "no_auth", **fields})


def test_the_database_refuses_rights_that_contradict_themselves(application: Application, zaken: Service) -> None:
    for fields in ({"as_service": True, "client_id": "x"}, {"as_service": False}):
        with pytest.raises(IntegrityError, match="grant_with_one_kind"), transaction.atomic():
            ServiceGrant.objects.create(application=application, service=zaken, **fields)
    ServiceGrant.objects.create(application=application, service=zaken, as_service=True)
    with pytest.raises(IntegrityError, match="grant_once"):
        ServiceGrant.objects.create(application=application, service=zaken, as_service=True)


def test_a_right_asks_for_exactly_the_credentials_that_the_service_asks_for(
    application: Application, zaken: Service
) -> None:
    assert "client_id" in faults(ServiceGrant(application=application, service=zaken))
    assert "secret" in faults(ServiceGrant(application=application, service=zaken, client_id="x"))
    zaken.client_id = zaken.secret = ""
    assert "as_service" in faults(ServiceGrant(application=application, service=zaken, as_service=True))


def test_one_alias_has_one_service(mapping: Mapping, zaken: Service) -> None:
    with pytest.raises(IntegrityError, match="mapping_service_alias_once"):
        MappingService.objects.create(mapping=mapping, alias="zrc", service=zaken)


def test_a_certificate_with_the_key_of_another_is_refused() -> None:
    authority = Authority()
    made = Service(name="z", kind="zrc", address=ROOT, authentication="no_auth")
    made.certificate, made.key = authority.issue("a").certificate, authority.issue("b").key
    assert set(faults(made)) == {"key"}
    made.certificate = "no certificate"
    assert set(faults(made)) == {"certificate"}
    made.certificate = made.key = ""
    made.authorities = "none"
    assert set(faults(made)) == {"authorities"}


def test_a_mapping_that_lost_its_service_is_shown_as_broken_and_not_fetched(
    engine: Engine, mapping: Mapping, zaken: Service
) -> None:
    assert [found.pk for found in mappings.active_mappings(engine)] == [mapping.pk]
    zaken.active = False
    zaken.save()
    assert mappings.active_mappings(engine) == []
    assert "not active" in mappings.problems(mapping)[0]
    MappingService.objects.all().delete()
    assert "zrc" in mappings.problems(Mapping.objects.get(pk=mapping.pk))[0]
    assert mappings.active_mappings(engine) == []


def test_a_broken_mapping_can_be_paused_and_not_resumed(mapping: Mapping) -> None:
    with pytest.raises(ValidationError):
        mappings.save(mapping, {})
    assert mapping.services.count() == 1
    mapping.active = False
    mappings.save(mapping, {})
    assert mapping.services.count() == 0


def test_an_optional_service_may_be_missing_and_must_fit_when_it_is_there(mapping: Mapping, zaken: Service) -> None:
    assert mappings.problems(mapping) == []
    with pytest.raises(ValidationError, match="orc"):
        mappings.save(mapping, {"zrc": zaken, "zac": zaken})


def test_every_secret_of_every_row_gets_the_first_key_and_nothing_counts_as_changed(
    grant: ServiceGrant, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Authority().issue("bptl")
    service = grant.service
    service.certificate, service.key, service.authorities = own.certificate, own.key, Authority().certificate
    service.save()
    engine.authentication, engine.secret = "bearer", "van-de-motor"
    engine.save()
    before = [row.updated_at for row in (Service.objects.get(), ServiceGrant.objects.get(), Engine.objects.get())]
    new = Fernet.generate_key().decode()
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [new, *settings.BPTL_ENCRYPTION_KEYS])
    assert rotation.rotate() == 6
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [new])
    service, grant, engine = Service.objects.get(), ServiceGrant.objects.get(), Engine.objects.get()
    assert (service.secret, service.key, grant.secret) == ("geheim-van-de-dienst", own.key, "geheim-van-vergunningen")
    assert [row.updated_at for row in (service, grant, engine)] == before


def test_a_rotation_that_cannot_read_a_secret_names_it_and_changes_nothing(
    grant: ServiceGrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (Service.objects.values().get(), ServiceGrant.objects.values().get())
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [Fernet.generate_key().decode()])
    with pytest.raises(Unreadable, match="service zaken: secret cannot be read"):
        rotation.rotate()
    assert (Service.objects.values().get(), ServiceGrant.objects.values().get()) == before


def test_a_key_is_a_file_that_only_we_can_read_and_that_ends_with_its_process(tmp_path: Path) -> None:
    file = Path(pem_files.path("-----BEGIN PRIVATE KEY-----"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert pem_files.path("-----BEGIN PRIVATE KEY-----") == str(file)
    program = "from bptl.connections import pem_files; print(pem_files.path('x'))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not Path(ended.stdout.strip()).exists()


def test_the_folder_of_a_process_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = (
        "import os, pathlib; from bptl.connections import pem_files; f = pathlib.Path(pem_files.path('x'));"
        "os.utime(f.parent, (1, 1)); print(f, flush=True); os.kill(os.getpid(), 9)"
    )
    environment = {"PATH": "", "TMPDIR": str(tmp_path)}
    left = subprocess.run([sys.executable, "-c", killed], capture_output=True, text=True, check=False, env=environment)
    assert Path(left.stdout.strip()).exists()
    program = "from bptl.connections import pem_files; pem_files.path('y')"
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert not Path(left.stdout.strip()).exists()

"""``bptl services``, ``bptl applications`` and the services of ``bptl mappings`` as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import jwt
import pytest
from click.testing import CliRunner, Result

from bptl.cli.main import bptl
from bptl.connections.models import Engine, Mapping
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.work_units import registry
from tests.doubles.outside import Answer, Asked, Outside
from tests.integration.connections import units

Bptl = Callable[..., Result]
pytestmark = pytest.mark.django_db

APP = "https://ac.example.nl/applicaties/1"


@pytest.fixture
def run() -> Bptl:
    def call(line: str, *, typed: str = "", env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(bptl, line.split(), input=typed, env=env)

    return call


@pytest.fixture(autouse=True)
def units_that_reach() -> None:
    for unit in units.ALL:
        registry.load().add(unit)


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as running:
        yield running


@pytest.fixture
def zaken(run: Bptl) -> Service:
    line = "services add zaken --kind zrc --url https://zaken.example.nl/api/v1 --client-id bptl --secret-env S"
    answer = run(line, env={"S": "zeer-geheim"})
    assert answer.exit_code == 0, answer.output
    assert "zeer-geheim" not in answer.output
    return Service.objects.get()


@pytest.fixture
def application(run: Bptl) -> Application:
    assert run(f"applications add {APP} --label Vergunningen --unit test.*").exit_code == 0
    return Application.objects.get()


def test_a_service_is_added_and_listed_without_its_secret(run: Bptl, zaken: Service) -> None:
    assert (zaken.address, zaken.authentication, zaken.secret) == (
        "https://zaken.example.nl/api/v1/",
        "zgw",
        "zeer-geheim",
    )
    listed = run("services list").output
    assert "zgw bptl" in listed
    assert "zeer-geheim" not in listed


def test_every_fault_of_a_service_names_its_field(run: Bptl) -> None:
    answer = run("services add x --kind zcr --url ftp://x --client-id bptl --timeout 5")
    assert answer.exit_code == 2
    assert "kind:" in answer.output
    assert "address:" in answer.output


def test_set_changes_what_is_named_and_nothing_else(run: Bptl, zaken: Service) -> None:
    assert run("services set zaken --timeout 30 --outway http://outway:8080/gemeente/zaken").exit_code == 0
    zaken.refresh_from_db()
    assert (zaken.timeout_seconds, zaken.outway) == (30, "http://outway:8080/gemeente/zaken/")
    assert zaken.secret == "zeer-geheim"


def test_the_limits_of_a_service_are_set_and_taken_away(run: Bptl, zaken: Service) -> None:
    assert run("services set zaken --most-at-once 5 --most-a-minute 600").exit_code == 0
    zaken.refresh_from_db()
    assert (zaken.most_at_once, zaken.most_a_minute) == (5, 600)
    assert run("services set zaken --most-a-minute 0").exit_code == 0
    zaken.refresh_from_db()
    assert (zaken.most_at_once, zaken.most_a_minute) == (5, None)


def test_a_mapping_whose_unit_lacks_a_service_is_refused_with_what_it_is_for(run: Bptl, zaken: Service) -> None:
    Engine.objects.create(name="main", address="http://127.0.0.1:1/", authentication="none")
    answer = run("mappings add --engine main --topic lees --unit test.read_zaak")
    assert answer.exit_code == 2
    assert "service zrc is missing: Zaken API" in answer.output
    run("services set catalogi --kind ztc --url https://catalogi.example.nl/ --login no_auth")
    answer = run("mappings add --engine main --topic lees --unit test.read_zaak --service zrc=catalogi")
    assert "must be of type zrc" in answer.output
    answer = run("mappings add --engine main --topic lees --unit test.read_zaak --service zrc=zaken --service x=zaken")
    assert "knows no service x" in answer.output
    assert Mapping.objects.count() == 0
    answer = run("mappings add --engine main --topic lees --unit test.read_zaak --service zrc=zaken")
    assert answer.exit_code == 0, answer.output
    assert "zrc=zaken" in run("mappings list").output


def test_a_service_that_mappings_use_is_not_removed_in_silence(run: Bptl, zaken: Service) -> None:
    run("mappings add --engine rest --topic lees --unit test.read_zaak --service zrc=zaken")
    answer = run("services remove zaken --yes")
    assert answer.exit_code == 1
    assert "is used by mappings" in answer.output
    number = Mapping.objects.get().pk
    assert "service zrc is missing" in run(f"mappings set {number} --no-service zrc").output
    assert run(f"mappings remove {number}").exit_code == 0
    assert run("services remove zaken --yes").exit_code == 0


def test_a_grant_has_its_own_credentials_or_says_aloud_that_it_uses_those_of_the_service(
    run: Bptl, zaken: Service, application: Application
) -> None:
    assert run(f"applications grant {APP} zaken").exit_code == 2
    assert run(f"applications grant {APP} zaken --client-id verg --secret-stdin", typed="van-verg\n").exit_code == 0
    grant = ServiceGrant.objects.get()
    assert (grant.as_service, grant.client_id, grant.secret) == (False, "verg", "van-verg")
    assert run(f"applications grant {APP} zaken --as-service").exit_code == 0
    grant.refresh_from_db()
    assert (grant.as_service, grant.client_id, grant.encrypted_secret) == (True, "", "")
    assert "zaken (as the service)" in run("applications list").output
    assert run(f"applications revoke {APP} zaken").exit_code == 0
    assert ServiceGrant.objects.count() == 0


def test_units_that_nobody_has_are_not_granted(run: Bptl, application: Application) -> None:
    answer = run(f"applications set {APP} --unit test.read_zaek")
    assert answer.exit_code == 2
    assert "did you mean test.read_zaak" in answer.output


def applicatie(number: int, label: str, *components: str) -> dict[str, object]:
    return {
        "url": f"https://ac.example.nl/api/v1/applicaties/{number}",
        "clientIds": [f"client-{number}"],
        "label": label,
        "heeftAlleAutorisaties": not components,
        "autorisaties": [{"component": name, "scopes": ["zaken.lezen"]} for name in components],
    }


def test_applications_are_imported_page_by_page_and_a_second_time_changes_nothing(run: Bptl, outside: Outside) -> None:
    first, second = applicatie(1, "Eén", "zrc", "ztc"), applicatie(2, "Twee")

    def page(asked: Asked) -> Answer:
        token = asked.headers["Authorization"].removeprefix("Bearer ")
        jwt.decode(token, "van-bptl", algorithms=["HS256"])
        if "page=2" in asked.path:
            return Answer(200, {"results": [second], "next": None})
        return Answer(200, {"results": [first], "next": outside.root + "applicaties?page=2"})

    outside.answers[outside.path + "applicaties"] = page
    run(f"services add ac --kind ac --url {outside.root} --client-id bptl --secret-env S", env={"S": "van-bptl"})
    answer = run("applications import --service ac --unit test.*")
    assert answer.exit_code == 0, answer.output
    assert "2 added, 0 changed, 0 as they were" in answer.output
    one = Application.objects.get(label="Eén")
    assert (one.app_id, one.client_ids, one.components) == (first["url"], ["client-1"], ["zrc", "ztc"])
    assert one.units == ["test.*"]
    assert Application.objects.get(label="Twee").components == ["*"]
    Application.objects.filter(label="Eén").update(units=["demo.*"])
    first["label"] = "Nummer een"
    assert "0 added, 1 changed, 1 as they were" in run("applications import --service ac --unit test.*").output
    one.refresh_from_db()
    assert (one.label, one.units) == ("Nummer een", ["demo.*"])
    assert "0 added, 0 changed, 2 as they were" in run("applications import --service ac").output


def test_an_import_that_is_refused_stores_nothing_and_says_where_to_look(run: Bptl, outside: Outside) -> None:
    outside.answer("applicaties", {"code": "jwt-expired", "detail": "Verlopen"}, status=403)
    run(f"services add ac --kind ac --url {outside.root} --client-id bptl --secret-env S", env={"S": "van-bptl"})
    answer = run("applications import --service ac")
    assert answer.exit_code == 1
    assert "bptl services test ac" in answer.output
    assert Application.objects.count() == 0


def test_a_test_of_a_service_says_in_words_what_is_wrong(run: Bptl, outside: Outside) -> None:
    run(f"services add zaken --kind zrc --url {outside.root} --client-id bptl --secret-env S", env={"S": "x" * 40})
    outside.answer("zaken", {"code": "invalid-jwt-signature", "detail": "Fout"}, status=403)
    answer = run("services test zaken")
    assert answer.exit_code == 1
    assert "the secret is not the one that it has for this client id" in answer.output
    outside.answer("zaken", {"results": []})
    answer = run("services test zaken")
    assert answer.exit_code == 0, answer.output
    assert json.dumps(outside.asked[0].headers).count("EPSG:4326") == 1

"""``bptl configure``: everything from a file, all of it or nothing, and no secret in it or from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bptl.cli.main import bptl
from bptl.connections import bindings
from bptl.connections.models import Engine, Mapping
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.work_units import registry
from tests.doubles.certificates import Authority
from tests.integration.connections import units

Configure = Callable[..., Result]
pytestmark = pytest.mark.django_db

WHOLE = """
engines_config_enable: true
engines:
  items:
    - name: main
      address: http://operaton:8080/engine-rest
      authentication: basic
      username: bptl
      secret: {value_from: {env: ENGINE_PASSWORD}}
services_config_enable: true
services:
  items:
    - name: zaken
      kind: zrc
      address: https://zaken.example.nl/api/v1/
      client_id: bptl
      secret_file: SECRET_FILE
      certificate_file: CERTIFICATE
      key_file: KEY
      authorities_file: AUTHORITIES
applications_config_enable: true
applications:
  items:
    - app_id: https://ac.example.nl/applicaties/1
      label: Vergunningen
      units: [test.*]
      services:
        - service: zaken
          client_id: vergunningen
          secret: {value_from: {env: APP_SECRET}}
mappings_config_enable: true
mappings:
  items:
    - engine: main
      topic: lees
      unit: test.read_zaak
      services: {zrc: zaken}
"""
SECRETS = {"ENGINE_PASSWORD": "van-de-motor", "APP_SECRET": "van-vergunningen"}


@pytest.fixture(autouse=True)
def units_that_reach() -> None:
    for unit in units.ALL:
        registry.load().add(unit)


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    authority = Authority()
    own = authority.issue("bptl")
    files = {"SECRET_FILE": "uit-een-bestand\n", "CERTIFICATE": own.certificate, "KEY": own.key}
    files["AUTHORITIES"] = authority.certificate

    def call(text: str = WHOLE, *options: str, env: dict[str, str] | None = None) -> Result:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
            text = text.replace(f": {name}\n", f": {tmp_path / name}\n")
        file = tmp_path / "bptl.yaml"
        file.write_text(text)
        return CliRunner().invoke(bptl, ["configure", str(file), *options], env=SECRETS if env is None else env)

    return call


def test_one_file_makes_everything_that_a_task_needs(configure: Configure) -> None:
    answer = configure()
    assert answer.exit_code == 0, answer.output
    engine, service = Engine.objects.get(), Service.objects.get()
    assert (engine.address, engine.secret) == ("http://operaton:8080/engine-rest/", "van-de-motor")
    assert service.secret == "uit-een-bestand"
    assert service.key.startswith("-----BEGIN PRIVATE KEY-----")
    grant = ServiceGrant.objects.get()
    assert (grant.application.label, grant.client_id, grant.secret) == (
        "Vergunningen",
        "vergunningen",
        "van-vergunningen",
    )
    assert bindings.of(Mapping.objects.get()) == {"zrc": service}


def test_the_same_file_again_touches_nothing(configure: Configure) -> None:
    configure()
    models = (Engine, Service, Application, ServiceGrant, Mapping)
    before = [model.objects.values().get() for model in models]
    answer = configure()
    assert "services: 0 made, 0 changed, 1 as they were" in answer.output
    assert [model.objects.values().get() for model in models] == before


def test_a_changed_file_changes_what_it_names(configure: Configure) -> None:
    configure()
    Service.objects.update(test_path="zaken?page=1")
    answer = configure(WHOLE.replace("client_id: bptl", "client_id: bptl-2"))
    assert "services: 0 made, 1 changed, 0 as they were" in answer.output
    assert Service.objects.values_list("client_id", "test_path").get() == ("bptl-2", "zaken?page=1")
    configure(WHOLE[: WHOLE.index("      services:\n        -")] + "      services: []\n")
    assert ServiceGrant.objects.count() == 0


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("kind: zrc", "kind: zcr", "services[0] (zaken): kind:"),
        ("http://operaton:8080/engine-rest", "operaton", "engines[0] (main): address: Enter an http(s) address"),
        ("{zrc: zaken}", "{zrc: zoken}", "there is none called 'zoken' (known: zaken)"),
        ("{zrc: zaken}", "{}", "service zrc is missing: Zaken API"),
        ("[test.*]", "[test.read_zaek]", "did you mean test.read_zaak"),
        ("username: bptl", "usrname: bptl", "engines.items[0].usrname"),
        ("engine: main", "engine: mian", "there is none called 'mian' (known: main)"),
    ],
)
def test_a_fault_names_its_field_and_nothing_is_stored(configure: Configure, right: str, wrong: str, told: str) -> None:
    answer = configure(WHOLE.replace(right, wrong))
    assert answer.exit_code == 1
    assert told in answer.output
    assert (Engine.objects.count(), Service.objects.count(), Application.objects.count()) == (0, 0, 0)


def test_a_file_says_limits_and_takes_them_away(configure: Configure) -> None:
    limited = WHOLE.replace("      services: {zrc: zaken}", "      services: {zrc: zaken}\n      most_at_once: 2")
    limited = limited.replace("      client_id: bptl\n", "      client_id: bptl\n      most_a_minute: 60\n")
    assert configure(limited).exit_code == 0
    assert (Mapping.objects.get().most_at_once, Service.objects.get().most_a_minute) == (2, 60)
    freed = limited.replace("most_at_once: 2", "most_at_once: null\n      quarantine_after: 5")
    assert configure(freed).exit_code == 0
    assert (Mapping.objects.get().most_at_once, Mapping.objects.get().quarantine_after) == (None, 5)
    refused = configure(limited.replace("most_at_once: 2", "most_at_once: 0"))
    assert refused.exit_code != 0
    assert "most_at_once" in refused.output


def test_a_secret_that_the_environment_lacks_is_named(configure: Configure) -> None:
    answer = configure(env={"APP_SECRET": "x"})
    assert answer.exit_code == 1
    assert "ENGINE_PASSWORD" in answer.output


def test_no_fault_repeats_a_secret(configure: Configure) -> None:
    wrong = WHOLE.replace("secret_file: SECRET_FILE", "secrit: zeer-geheim").replace(
        "secret: {value_from: {env: APP_SECRET}}", "secret: [zeer-geheim]"
    )
    answer = configure(wrong)
    assert answer.exit_code == 1
    assert "services.items[0].secrit" in answer.output
    assert "geheim" not in answer.output


def test_a_check_changes_nothing(configure: Configure) -> None:
    assert configure(WHOLE, "--check").exit_code == 0
    assert Engine.objects.count() == 0


def test_a_part_that_is_not_enabled_is_said_to_be_left_alone(configure: Configure) -> None:
    answer = configure(WHOLE.replace("mappings_config_enable: true\n", ""))
    assert "mappings: left alone" in answer.output
    assert Mapping.objects.count() == 0


def test_the_example_of_the_documentation_is_taken(tmp_path: Path) -> None:
    page = Path("docs/how-to/configure-from-files.md").read_text()
    text = page[page.index("```yaml\n") + 8 :].partition("```")[0]
    for name in ("zaken", "vergunningen"):
        (tmp_path / name).write_text("geheim")
    (tmp_path / "own-ca.pem").write_text(Authority().certificate)
    file = tmp_path / "bptl.yaml"
    file.write_text(text.replace("/run/secrets", str(tmp_path)))
    answer = CliRunner().invoke(bptl, ["configure", str(file)], env=SECRETS)
    assert answer.exit_code == 0, answer.output
    assert Mapping.objects.get().unit == "demo.quick"
    assert ServiceGrant.objects.get().secret == "geheim"

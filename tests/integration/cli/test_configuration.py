"""``bptl engines`` and ``bptl mappings`` as an operator types them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from django.conf import settings

from bptl.accounts.models import AuditEntry
from bptl.cli.main import bptl
from bptl.connections.models import Engine, Mapping
from tests.doubles.certificates import Authority

Bptl = Callable[..., Result]
pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Bptl:
    def call(line: str, *, typed: str = "", env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(bptl, line.split(), input=typed, env=env)

    return call


@pytest.fixture
def engine(run: Bptl) -> Engine:
    line = "engines add main --url http://operaton:8080/engine-rest --username worker --password-env PW --tenant a"
    assert run(line, env={"PW": "zeer-geheim"}).exit_code == 0
    return Engine.objects.get()


def test_an_engine_is_added_with_a_password_that_is_never_shown(run: Bptl, engine: Engine) -> None:
    assert (engine.authentication, engine.username, engine.secret) == ("basic", "worker", "zeer-geheim")
    listed = run("engines list").output
    assert "http://operaton:8080/engine-rest/" in listed
    assert "basic worker" in listed
    assert "zeer-geheim" not in listed


def test_an_engine_is_not_added_twice(run: Bptl, engine: Engine) -> None:
    answer = run("engines add main --url http://other/")
    assert answer.exit_code == 2
    assert "bptl engines set main" in answer.output


def test_set_changes_what_is_named_and_nothing_else(run: Bptl, engine: Engine) -> None:
    assert run("engines set main --username other --inactive --all-tenants").exit_code == 0
    engine.refresh_from_db()
    assert (engine.username, engine.secret, engine.active, engine.tenant_ids) == ("other", "zeer-geheim", False, [])
    assert engine.address == "http://operaton:8080/engine-rest/"


def test_set_adds_an_engine_that_is_not_there(run: Bptl) -> None:
    assert run("engines set new --url http://engine/ --product camunda7").exit_code == 0
    assert Engine.objects.get().product == "camunda7"


def test_a_token_from_standard_input_replaces_the_password(run: Bptl, engine: Engine) -> None:
    assert run("engines set main --token-stdin", typed="token-1\n").exit_code == 0
    engine.refresh_from_db()
    assert (engine.authentication, engine.username, engine.secret) == ("bearer", "", "token-1")


def test_without_login_no_secret_stays_behind(run: Bptl, engine: Engine) -> None:
    assert run("engines set main --no-login").exit_code == 0
    engine.refresh_from_db()
    assert (engine.authentication, engine.encrypted_secret) == ("none", "")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--url ftp://engine/", "address"),
        ("--product flowable", "product"),
        ("--username x --no-login", "choose one"),
        ("--password-env NOT_SET", "NOT_SET is not set"),
        ("--password-stdin", "standard input is empty"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_stored(run: Bptl, engine: Engine, options: str, told: str) -> None:
    answer = run(f"engines set main {options}")
    assert answer.exit_code == 2
    assert told in answer.output
    assert Engine.objects.get().updated_at == engine.updated_at


def test_an_unknown_engine_is_answered_with_the_known_ones(run: Bptl, engine: Engine) -> None:
    answer = run("engines test mian")
    assert answer.exit_code == 2
    assert "known: main" in answer.output


def test_testing_an_engine_that_is_away_fails_and_says_so(run: Bptl, engine: Engine) -> None:
    run("engines set main --url http://127.0.0.1:1/engine-rest")
    answer = run("engines test main")
    assert answer.exit_code == 1
    assert answer.output.startswith("bad ")


def test_two_files_of_one_name_are_not_deployed(run: Bptl, engine: Engine, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.bpmn").write_text("<definitions/>")
    answer = run(f"engines deploy main {tmp_path}/a/model.bpmn {tmp_path}/b/model.bpmn")
    assert answer.exit_code == 2
    assert "same name" in answer.output


def test_old_keys_can_be_retired_after_reencryption(run: Bptl, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Fernet.generate_key().decode()
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [new, *settings.BPTL_ENCRYPTION_KEYS])
    assert "encrypted 1 secrets" in run("secrets rotate").output
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [new])
    assert Engine.objects.get().secret == "zeer-geheim"


def test_an_engine_is_removed_with_its_mappings_after_a_question(run: Bptl, engine: Engine) -> None:
    run("mappings add --engine main --topic invoice --unit demo.quick")
    assert run("engines remove main", typed="n\n").exit_code == 1
    assert Mapping.objects.count() == 1
    assert run("engines remove main --yes").exit_code == 0
    assert not Mapping.objects.exists()


def test_a_mapping_carries_everything_that_was_said(run: Bptl, engine: Engine) -> None:
    answer = run(
        "mappings add --engine main --topic invoice --unit demo.quick --lock 60 --longest-run 120 --retries R3/PT1M "
        "--most-at-once 3 --quarantine-after 1 "
        "--priority 5 --oldest-first --no-engine-priority --business-key k --definition-key q --definition-key p "
        "--version-tag v --tenant a --local-variables --paused"
    )
    assert answer.exit_code == 0, answer.output
    mapping = Mapping.objects.get()
    assert (mapping.lock_seconds, mapping.longest_run_seconds, mapping.retry_plan) == (60, 120, "R3/PT1M")
    assert (mapping.most_at_once, mapping.quarantine_after) == (3, 1)
    assert (mapping.priority, mapping.oldest_first, mapping.use_engine_priority) == (5, True, False)
    assert (mapping.business_key, mapping.definition_keys, mapping.version_tag) == ("k", ["p", "q"], "v")
    assert (mapping.tenant_ids, mapping.local_variables, mapping.active) == (["a"], True, False)


def test_the_limits_of_a_mapping_are_changed_alone_and_taken_away(run: Bptl, engine: Engine) -> None:
    run("mappings add --engine main --topic invoice --unit demo.quick --priority 5")
    number = Mapping.objects.get().pk
    for options, limits in (
        ("--most-at-once 4", (4, 3)),
        ("--quarantine-after 2", (4, 2)),
        ("--most-at-once 0", (None, 2)),
    ):
        answer = run(f"mappings set {number} {options}")
        assert answer.exit_code == 0, answer.output
        mapping = Mapping.objects.get()
        assert (mapping.most_at_once, mapping.quarantine_after, mapping.priority) == (*limits, 5)


@pytest.mark.parametrize(
    ("options", "told"),
    [("--unit demo.quik", "did you mean demo.quick"), ("--unit demo.quick --retries often", "retry_plan")],
)
def test_a_mapping_that_could_not_work_is_not_stored(run: Bptl, engine: Engine, options: str, told: str) -> None:
    answer = run(f"mappings add --engine main --topic invoice {options}")
    assert answer.exit_code == 2
    assert told in answer.output
    assert not Mapping.objects.exists()


def test_a_mapping_is_paused_resumed_and_removed_by_its_number(run: Bptl, engine: Engine) -> None:
    run("mappings add --engine main --topic invoice --unit demo.quick")
    mapping = Mapping.objects.get()
    assert run(f"mappings pause {mapping.pk}").exit_code == 0
    assert "paused" in run("mappings list").output
    assert run(f"mappings resume {mapping.pk}").exit_code == 0
    mapping.refresh_from_db()
    assert mapping.active
    assert run(f"mappings remove {mapping.pk}").exit_code == 0
    assert run(f"mappings pause {mapping.pk}").exit_code == 2


def test_a_broken_mapping_is_listed_with_its_problem(run: Bptl, engine: Engine) -> None:
    Mapping.objects.create(engine=engine, topic="old", unit="gone.unit")
    assert "there is no work unit 'gone.unit'" in run("mappings list").output


def test_an_engine_logs_in_with_oauth2_and_a_certificate_of_its_own(run: Bptl, engine: Engine, tmp_path: Path) -> None:
    authority = Authority()
    own = authority.issue("bptl")
    for name, text in (("c.pem", own.certificate), ("k.pem", own.key), ("a.pem", authority.certificate)):
        (tmp_path / name).write_text(text)
    files = f"--certificate {tmp_path}/c.pem --key {tmp_path}/k.pem --authorities {tmp_path}/a.pem"
    line = "engines set main --token-url https://idp.example.nl/token --scope engine --username client"
    assert run(line, env={}).exit_code == 2  # the password of before is no secret of a client
    answer = run(f"{line} --password-env S {files}", env={"S": "zeer-geheim-2"})
    assert answer.exit_code == 0, answer.output
    engine.refresh_from_db()
    assert (engine.authentication, engine.username, engine.secret) == (
        "oauth2_client_credentials",
        "client",
        "zeer-geheim-2",
    )
    assert (engine.key, engine.authorities) == (own.key, authority.certificate)
    assert run("engines set main --no-login --no-certificate --system-authorities").exit_code == 0
    engine.refresh_from_db()
    assert (engine.token_address, engine.encrypted_key, engine.encrypted_authorities) == ("", "", "")


def test_an_engine_without_tls_for_its_tokens_is_refused(run: Bptl, engine: Engine) -> None:
    answer = run("engines set main --token-url http://idp/token --password-env S", env={"S": "x"})
    assert answer.exit_code == 2
    assert "token_address: Enter an https address" in answer.output


def test_a_mapping_is_paused_with_a_reason_until_a_moment(run: Bptl, engine: Engine) -> None:
    run("mappings add --engine main --topic invoice --unit demo.quick")
    number = Mapping.objects.get().pk
    told = run(f"mappings pause {number} --reason storm --until 2099-12-01T08:00").output
    assert f"mapping {number} is paused until 2099-12-01 08:00: storm" in told
    assert "paused until 2099-12-01 08:00: storm" in run("mappings list").output
    assert run(f"mappings pause {number} --until 2001-01-01").exit_code == 2
    assert run(f"mappings resume {number} --reason over").exit_code == 0
    assert Mapping.objects.get().active
    told_of = AuditEntry.objects.filter(actor="command line").order_by("id").values_list("action", "reason")
    assert list(told_of) == [("mapping.added", ""), ("mapping.paused", "storm"), ("mapping.resumed", "over")]

"""Readers of environment variables say everything that is wrong, once, and never a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from bptl.conf.env import ConfigurationFaults, Environment


def faults(environment: Environment) -> str:
    with pytest.raises(ConfigurationFaults) as caught:
        environment.refuse_faults()
    return str(caught.value)


@pytest.mark.parametrize("word", ["False", "false", "0", "no", "OFF"])
def test_the_word_false_is_false(word: str) -> None:
    assert Environment({"DEBUG": word}).boolean("DEBUG", default=True, help="") is False


@pytest.mark.parametrize("word", ["True", "true", "1", "Yes", "on"])
def test_the_word_true_is_true(word: str) -> None:
    assert Environment({"DEBUG": word}).boolean("DEBUG", default=False, help="") is True


@pytest.mark.parametrize("word", ["ja", "2", "none", "flase"])
def test_a_word_that_is_neither_true_nor_false_is_refused(word: str) -> None:
    environment = Environment({"DEBUG": word})
    environment.boolean("DEBUG", default=False, help="")
    assert faults(environment) == f"DEBUG: is '{word}'; use True or False"


def test_every_fault_is_told_at_once() -> None:
    environment = Environment({"PORT": "eighty", "GRACE": "-3", "FORM": "xml"})
    environment.text("NAME", help="How it is called.")
    environment.integer("PORT", default=80, minimum=1, help="")
    environment.seconds("GRACE", default=5, help="")
    environment.text("FORM", default="json", choices=["json", "console"], help="")
    assert faults(environment).splitlines() == [
        "NAME: is required: How it is called.",
        "PORT: is 'eighty'; use a whole number of at least 1",
        "GRACE: is -3.0; use a value of at least 0",
        "FORM: is 'xml'; use one of json, console",
    ]


def test_a_fit_environment_is_not_refused() -> None:
    environment = Environment({"NAME": "bptl"})
    assert environment.text("NAME", help="") == "bptl"
    environment.refuse_faults()


@pytest.mark.parametrize("text", ["0", "31", "nan"])
def test_a_value_outside_its_bounds_is_refused(text: str) -> None:
    environment = Environment({"MINUTES": text})
    environment.seconds("MINUTES", default=10, minimum=1, maximum=30, help="")
    assert "from 1 to 30" in faults(environment)


def test_an_empty_value_counts_as_not_set() -> None:
    environment = Environment({"PORT": "  ", "NAME": ""})
    assert environment.integer("PORT", default=8000, help="") == 8000
    environment.text("NAME", help="")
    assert faults(environment).startswith("NAME: is required")


def test_lists_are_split_at_commas_and_blanks_are_dropped() -> None:
    assert Environment({"HOSTS": " a, ,b ,"}).csv("HOSTS", help="") == ["a", "b"]


def test_a_number_that_may_be_absent_is_none() -> None:
    environment = Environment({})
    assert environment.optional_integer("LIMIT", help="") is None
    environment.refuse_faults()


def test_a_secret_comes_from_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("geheim\n")
    assert Environment({"PASSWORD_FILE": str(file)}).secret("PASSWORD", help="") == "geheim"


def test_a_secret_file_that_cannot_be_read_is_told_with_its_variable(tmp_path: Path) -> None:
    environment = Environment({"PASSWORD_FILE": str(tmp_path / "absent")})
    environment.secret("PASSWORD", help="")
    told = faults(environment)
    assert "PASSWORD_FILE" in told
    assert "is required" not in told


def test_a_secret_in_two_places_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("one")
    environment = Environment({"PASSWORD": "other", "PASSWORD_FILE": str(file)})
    environment.secret("PASSWORD", help="")
    assert faults(environment) == "PASSWORD: both PASSWORD and PASSWORD_FILE are set; remove one of them"


def test_an_old_name_is_read_where_the_new_one_is_absent() -> None:
    for given in ({"DATABASE_NAME": "old"}, {"DATABASE_NAME": "old", "DB_NAME": "old"}):
        environment = Environment(given)
        assert environment.text("DB_NAME", old_names=["DATABASE_NAME"], help="") == "old"
        environment.refuse_faults()


def test_an_old_name_that_says_something_else_is_refused_and_no_secret_is_repeated() -> None:
    environment = Environment({"DB_PASSWORD": "geheim-1", "DATABASE_PASSWORD": "geheim-2"})
    environment.secret("DB_PASSWORD", old_names=["DATABASE_PASSWORD"], help="")
    assert faults(environment) == "DB_PASSWORD: DB_PASSWORD and DATABASE_PASSWORD differ; remove all but one of them"


def test_every_reader_is_declared_for_the_reference_page() -> None:
    environment = Environment({"PASSWORD": "geheim"})
    environment.secret("PASSWORD", help="Of the database.")
    environment.csv("HOSTS", default=["a", "b"], help="Ours.")
    environment.optional_integer("LIMIT", help="None by default.")
    password, hosts, limit = environment.declared
    assert (password.required, password.secret, password.default) == (True, True, "")
    assert (hosts.required, hosts.default, hosts.help) == (False, "a,b", "Ours.")
    assert limit.required is False
    assert "geheim" not in repr(environment.declared)


def test_a_port_is_a_number_and_the_address_that_kubernetes_sets_in_its_place_is_passed_over() -> None:
    environment = Environment({"ONE": "8080", "TWO": "tcp://10.43.7.1:5555", "THREE": "70000", "FOUR": "web"})
    assert [environment.port(name, default=5555, help="A port.") for name in ("ONE", "TWO")] == [8080, 5555]
    environment.port("THREE", default=1, help="A port.")
    environment.port("FOUR", default=1, help="A port.")
    with pytest.raises(ConfigurationFaults) as refused:
        environment.refuse_faults()
    assert [fault.name for fault in refused.value.faults] == ["THREE", "FOUR"]


def test_addresses_below_which_something_lies_have_one_form() -> None:
    environment = Environment({"ROOTS": "HTTPS://Hooks.example.nl, http://10.1.2.3:8080/In/ ,https://a.example/b"})
    assert environment.roots("ROOTS", help="") == [
        "https://hooks.example.nl/",
        "http://10.1.2.3:8080/In/",
        "https://a.example/b/",
    ]


@pytest.mark.parametrize(
    "text", ["hooks.example.nl", "ftp://a/", "https://jan:geheim@a/", "https://a/?x=1", "https:///x"]
)
def test_an_address_that_is_no_root_is_refused(text: str) -> None:
    environment = Environment({"ROOTS": text})
    environment.roots("ROOTS", help="")
    told = faults(environment)
    assert "address 1 is no http(s) address" in told
    assert "geheim" not in told


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("127.0.0.1:9808", ("127.0.0.1", 9808)),
        ("[::]:9808", ("::", 9808)),
        ("metrics.local:0", ("metrics.local", 0)),
        ("", None),
    ],
)
def test_an_address_to_listen_at_is_host_and_port(said: str, meant: object) -> None:
    environment = Environment({"ADDRESS": said})
    assert environment.address("ADDRESS", help="Where.") == meant
    environment.refuse_faults()


@pytest.mark.parametrize("said", ["9808", ":9808", "::1:9808", "host:port", "host:65536", "http://host:9808/x"])
def test_an_address_that_nobody_can_listen_at_is_refused(said: str) -> None:
    environment = Environment({"ADDRESS": said})
    environment.address("ADDRESS", help="Where.")
    with pytest.raises(ConfigurationFaults, match="use host:port"):
        environment.refuse_faults()

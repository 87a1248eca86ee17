"""Where callbacks may go: to registered services and listed addresses, each in its own form, and nowhere else."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from pytest_django.fixtures import Settings

from bptl.connections import callbacks, directory
from bptl.connections.callbacks import NotAllowed
from bptl.connections.service_models import Service

pytestmark = pytest.mark.django_db


@pytest.fixture
def archive() -> Service:
    return Service.objects.create(
        name="archief", kind="orc", address="http://archief.intern/api/v1/", authentication="no_auth"
    )


@pytest.fixture(autouse=True)
def listed(settings: Settings) -> None:
    settings.BPTL_CALLBACK_ADDRESSES = ["https://hooks.example.nl/bptl/"]
    settings.BPTL_WEBHOOK_NETWORKS = ["10.1.0.0/16"]


def refused(url: str) -> str:
    with pytest.raises(NotAllowed) as raised:
        callbacks.target(url)
    return str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://archief.intern/api/v1/hook?x=1", "http://ARCHIEF.intern/api/v1", " http://archief.intern/api/v1/ "]
)
def test_what_belongs_to_a_registered_service_may_lie_in_any_network(archive: Service, url: str) -> None:
    target = callbacks.target(url)
    assert target.url == url.strip().replace("ARCHIEF", "archief")
    assert target.may_reach(ip_address("10.9.9.9"))


def test_what_is_listed_must_be_public_or_in_a_network_that_was_named() -> None:
    may_reach = callbacks.target("https://hooks.example.nl/bptl/klaar").may_reach
    assert may_reach(ip_address("93.184.215.14"))
    assert may_reach(ip_address("10.1.2.3"))
    assert not may_reach(ip_address("10.2.2.3"))
    assert not may_reach(ip_address("169.254.169.254"))


@pytest.mark.parametrize(
    "url",
    [
        "http://archief.intern/api/v2/",
        "https://archief.intern/api/v1/",
        "http://archief.intern/api/v1/../admin",
        "http://archief.intern/api/v1/%2e%2e/admin",
        "http://archief.intern.evil.example/api/v1/",
        "http://archief.intern:8080/api/v1/",
        "https://hooks.example.nl/bptlevil",
        "http://hooks.example.nl/bptl/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_what_belongs_to_nobody_is_refused_with_what_to_do(archive: Service, url: str) -> None:
    assert "BPTL_CALLBACK_ADDRESSES" in refused(url)


@pytest.mark.parametrize(
    "url",
    ["ftp://archief.intern/api/v1/", "//archief.intern/api/v1/", "klaar", "http://", "http://a\tb/", "http://[::1"],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    assert refused(url) == "it is no http(s) address"


def test_a_login_in_an_address_is_refused_and_not_repeated(archive: Service) -> None:
    reason = refused("http://archief.intern:geheim@evil.example/api/v1/")
    assert "username" in reason
    assert "geheim" not in reason


def test_a_service_that_was_switched_off_is_not_called(archive: Service) -> None:
    archive.active = False
    archive.save()
    directory.forget()
    refused("http://archief.intern/api/v1/hook")


def test_a_service_behind_an_outway_is_called_through_it(archive: Service) -> None:
    archive.outway, archive.fsc_grant_hash = "http://outway.intern/archief/", "hash"
    archive.save()
    directory.forget()
    target = callbacks.target("http://archief.intern/api/v1/hook?x=1")
    assert target.url == "http://outway.intern/archief/hook?x=1"
    assert target.headers == {"Fsc-Grant-Hash": "hash"}

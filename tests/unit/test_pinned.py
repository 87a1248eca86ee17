"""Which IP addresses are anybody's."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bptl.lib import pinned


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_what_lies_inside_is_not_public_however_it_is_written(address: str) -> None:
    assert not pinned.is_public(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_what_is_anybody_s_is_public(address: str) -> None:
    assert pinned.is_public(ip_address(address))


def test_the_place_of_an_address_has_no_path_no_query_and_no_login() -> None:
    assert pinned.place_of("https://jan:geheim@host.example:8443/pad?token=x#y") == "https://host.example:8443"
    assert pinned.place_of("http://[::1/") == ""

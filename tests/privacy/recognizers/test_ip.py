"""Addresses of the Internet Protocol, versions and the colons of code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.ip import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

if TYPE_CHECKING:
    import ipaddress

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("from 198.51.100.23, port 80", ["198.51.100.23"]),
        ("http://198.51.100.23:8080/x", ["198.51.100.23"]),
        ("198.51.100.0/24 and 10.0.0.1/999", ["198.51.100.0/24", "10.0.0.1"]),
        ("took 80 198.51.100.23", ["198.51.100.23"]),
        ("DNS 8.8.8.8", ["8.8.8.8"]),
        ("host 1.2.3.4", ["1.2.3.4"]),
        ("peer=2001:db8::7;", ["2001:db8::7"]),
        ("[2001:db8::7]:443", ["2001:db8::7"]),
        ("fe80::a1b2%eth0 is up", ["fe80::a1b2%eth0"]),
        ("route 2001:db8::/32.", ["2001:db8::/32"]),
        ("::1 is home, so is [::1]:80", ["::1", "::1"]),
        ("2001:DB8:0:0:8:800:200C:417A", ["2001:DB8:0:0:8:800:200C:417A"]),
        ("::ffff:203.0.113.9 mapped", ["::ffff:203.0.113.9"]),
        ("bind to ipv6 ::", ["::"]),
        ("2001:db8:1:2:3:4:198.51.100.23", ["2001:db8:1:2:3:4:198.51.100.23"]),
    ],
)
def test_addresses(text: str, addresses: list[str]) -> None:
    assert found(text) == addresses


@pytest.mark.parametrize(
    "text",
    [
        "version 10.20.30.40",
        "v10.20.30.40",
        "package==10.20.30.40",
        "Chrome/120.0.60.99",
        "tool-10.20.30.40.tar.gz",
        "see section 1.2.3.4",
        "clause 1.2.3.4 of it",
        "OID 1.3.6.1.4.1",
        "256.10.10.10",
        "10.20.30.400",
        "10.20.30",
        "a10.20.30.40",
        "x[::2], y[::-1], z[1::3] and f()[::1]",
        "std::cout << face::add",
        "12:34:56 and 1:2:3:4",
        "aa:bb:cc:dd:ee:ff",
        ":::",
        "2001::db8::1",
        "1:2:3:4:5:6:7:8:9",
        "::ffff:203.0.113",
        "key::value",
        "(cf. 2.4.8.19)",
    ],
)
def test_no_addresses(text: str) -> None:
    assert found(text) == []


@given(st.ip_addresses(v=6))
def test_every_newer_address_is_found_in_both_forms(address: ipaddress.IPv6Address) -> None:
    for shown in (address.exploded, address.compressed):
        assert found(f"address {shown} answers") == [shown]


@given(st.ip_addresses(v=4))
def test_every_older_address_is_found(address: ipaddress.IPv4Address) -> None:
    assert found(f"host {address} answers") == [str(address)]

"""Which addresses may be connected to, however they are written."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.telemetry.webhooks.addresses import AddressRefused, Rules, allowed, check_url, is_public, read_rules

STRICT = Rules()

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3",  # noqa: S104 - nothing is bound
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "100.127.255.255", "192.0.0.8", "192.0.0.192",
    "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "3fff::1", "100::1", "fc00::1", "fd00:ec2::254",
    "fd20:ce::254", "fe80::1", "fec0::1", "ff02::1", "5f00::1", "4000::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1",
    "169.253.1.1", "192.167.1.1", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8", "64:ff9b::808:808",
]  # fmt: skip


def info(address, port=443):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, port) if family == socket.AF_INET else (address, port, 0, 0))


def refused(address, rules=STRICT, host="hooks.example.com", port=443, plain=False):
    try:
        allowed(host, port, [info(address, port)], rules, plain=plain)
    except AddressRefused:
        return True
    return False


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address):
    assert not is_public(ipaddress.ip_address(address))
    assert refused(address)
    shown = f"[{address}]" if ":" in address else address
    with pytest.raises(ConfigurationError):
        check_url(f"https://{shown}/hook", STRICT)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_connected_to(address):
    assert not refused(address)
    shown = f"[{address}]" if ":" in address else address
    assert check_url(f"https://{shown}/hook", STRICT) == address


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_taken_for_public_that_python_knows_to_be_none(address):
    if not address.is_global or address.is_multicast:
        assert not is_public(address)
    for written in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert is_public(ipaddress.ip_address(written)) == is_public(address)


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_taken_for_public_that_python_knows_to_be_none(address):
    if is_public(address) and address.ipv4_mapped is None and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not address.is_multicast


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    with pytest.raises(AddressRefused, match="nothing was sent"):
        allowed("a.example", 443, [info("8.8.8.8"), info("10.0.0.1")], STRICT, plain=False)
    assert len(allowed("a.example", 443, [info("8.8.8.8"), info("1.1.1.1")], STRICT, plain=False)) == 2


def test_an_address_with_a_zone_is_judged_without_it():
    assert refused("fe80::1%eth0")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "//example.com/", "example.com/hook", "https://", "https:///hook", "",
        "https://user@example.com/", "https://user:secret@example.com/", "https://example.com@127.0.0.1/",
        "https://example.com:22/", "https://example.com:6379/", "https://example.com:70000/", "https://[::1", "file:///etc/passwd",
        "https://exa mple.com/", "https://example.com/\r\nx: y", "https://example.com\\@10.0.0.1/", "https://example.com/#frag",
        "https://exämple.com/", "https://[fe80::1%25eth0]/", "gopher://example.com/",
    ],
)  # fmt: skip
def test_what_is_no_address_for_a_webhook_is_refused_without_being_quoted(url):
    with pytest.raises(ConfigurationError) as caught:
        check_url(url, STRICT)
    assert caught.value.field == "url"
    assert "secret" not in str(caught.value)
    assert "passwd" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://example.com", "https://example.com:443/a?b=c", "https://EXAMPLE.com:8443/"])
def test_usual_addresses_are_accepted(url):
    assert check_url(url, STRICT) == "example.com"


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0x7f.1",
        "127.0.0.1.",
        "8.8.8.010",
        "1.2.3.4.5",
        "[::1].",
    ],
)
def test_odd_spellings_of_addresses_are_refused(host):
    with pytest.raises(ConfigurationError):
        check_url(f"https://{host}/", STRICT)


def test_ports_are_opened_by_name():
    rules = read_rules(False, [9443])
    assert check_url("https://example.com:9443/", rules) == "example.com"
    assert not refused("8.8.8.8", rules, port=9443)
    assert refused("8.8.8.8", rules, port=9444)
    # Whoever lets a webhook into the intranet has not opened every port of the world.
    assert refused("8.8.8.8", Rules(private=True), port=22)
    assert not refused("10.0.0.1", Rules(private=True), port=8080)


def test_everything_private_can_be_allowed_but_not_what_is_no_host():
    rules = read_rules(True)
    for address in ("127.0.0.1", "10.0.0.1", "100.64.0.1", "fc00::1", "::1", "::ffff:192.168.1.1"):
        assert not refused(address, rules)
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "224.0.0.1", "0.1.2.3", "255.255.255.255",
                    "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16",
                    "2002:a9fe:a9fe::1", "::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "64:ff9b::a9fe:a9fe"):  # fmt: skip
        assert refused(address, rules)


def test_hosts_and_networks_can_be_allowed_one_by_one():
    rules = read_rules(["hooks.intra", "10.2.0.0/16", "fd12::/16"])
    assert not refused("192.168.1.1", rules, host="hooks.intra")
    assert refused("192.168.1.1", rules, host="other.intra")
    assert refused("169.254.169.254", rules, host="hooks.intra")
    assert not refused("10.2.3.4", rules)
    assert not refused("::ffff:10.2.3.4", rules)
    assert refused("10.3.0.1", rules)
    assert not refused("fd12::1", rules)
    # Said outright, even that is a host.
    assert not refused("169.254.1.1", read_rules(["169.254.1.1"]))


def test_http_is_for_this_machine_only():
    rules = read_rules(True)
    assert check_url("http://127.0.0.1:8080/", rules) == "127.0.0.1"
    assert not refused("127.0.0.1", rules, plain=True)
    assert not refused("::1", rules, plain=True)
    assert refused("10.0.0.1", rules, plain=True)
    assert refused("8.8.8.8", rules, plain=True, port=443)
    with pytest.raises(ConfigurationError):
        check_url("http://10.0.0.1/", rules)


@pytest.mark.parametrize("given", [["a/b"], [""], [5.5], ["a b"], ["10.0.0.1/8"]])
def test_what_is_neither_host_nor_network_is_an_error(given):
    with pytest.raises(ConfigurationError, match="allow_private"):
        read_rules(given)


@pytest.mark.parametrize("ports", [[0], [65536], ["443"], [True]])
def test_ports_are_numbers(ports):
    with pytest.raises(ConfigurationError, match="ports"):
        read_rules(False, ports)

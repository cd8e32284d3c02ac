from __future__ import annotations

import pytest

from aistrale.errors import ConfigurationError
from aistrale.store.redis.address import Address
from aistrale.store.redis.fleet import Fleet


def test_what_is_ours_is_taken_out_of_the_address():
    address = Address.parse("redis://me:s%40crt@host:6380/3?prefix=shop&timeout=0.2&processes=8&client_name=x")
    assert address.url == "redis://me:s%40crt@host:6380/3?client_name=x"
    assert (address.prefix, address.timeout, address.processes) == ("shop", 0.2, 8)
    assert address.secret == "s@crt"
    assert address.key("budget", "x") == "aistrale:{shop}:budget:x"


def test_defaults_wait_fifty_milliseconds_and_know_of_nobody_else():
    address = Address.parse("unix:///run/redis.sock?db=2")
    assert (address.url, address.prefix, address.timeout, address.processes, address.secret) == (
        "unix:///run/redis.sock?db=2",
        "default",
        0.05,
        1,
        None,
    )


@pytest.mark.parametrize("text", ["redis://u:hunter2@h/0?prefix=x", "rediss://:hunter2@h", "unix://:hunter2@/s.sock"])
def test_the_password_is_never_shown(text):
    address = Address.parse(text)
    assert "hunter2" not in f"{address!r} {address.shown}"
    assert address.secret == "hunter2"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://h", "begins with none of"),
        ("redis://h:hunter2x", "cannot be read"),
        ("redis://h:0", "0 is no port"),
        ("redis://h/one", "database"),
        ("unix://", "path"),
        ("redis://h?prefix=a b", "prefix"),
        ("redis://h?prefix=", ""),
        ("redis://h?timeout=0", "timeout"),
        ("redis://h?timeout=soon", "timeout"),
        ("redis://h?timeout=nan", "timeout"),
        ("redis://h?processes=0", "processes"),
        ("redis://h?processes=1.5", "processes"),
    ],
)
def test_what_makes_no_sense_is_refused_without_repeating_it(text, told):
    if not told:
        # parse_qsl drops what is empty: as if it had not been given.
        assert Address.parse(text).prefix == "default"
        return
    with pytest.raises(ConfigurationError, match=told) as caught:
        Address.parse(text)
    assert caught.value.field == "state"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("redis://h?timout=1", "timout"),
        ("redis://:hunter2@h?ssl_ca_certs=/ca.pem", "ssl_ca_certs"),
        ("unix:///run/redis.sock?port=5", "port"),
    ],
)
def test_what_the_library_would_not_take_is_refused_when_the_client_is_made(text, name):
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError, match=f"{name} is no option of such a connection") as caught:
        Fleet(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["redis://h?client_name=x&health_check_interval=5", "rediss://h?ssl_ca_certs=/ca.pem", "unix:///s?db=2"]
)
def test_what_the_library_takes_is_given_to_it(text):
    pytest.importorskip("redis")
    Fleet(text).close()

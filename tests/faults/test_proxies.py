"""Row 98: a proxy between us and the provider that works, is not there, ends in the middle, or wants credentials."""

from __future__ import annotations

import socket

import pytest

from aistrale import Client
from aistrale.errors import APIError, ConfigurationError, ConnectError, NetworkError, StreamInterrupted
from tests.faults.little import TEXT, LittleServer
from tests.faults.matrix import ALL, KEY, answers, both, fails, unbilled, uncertain

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
PLAIN, SECURE = "host/api.invalid", "hosts/api.invalid"


@pytest.fixture
def proxy(monkeypatch):
    """A server that answers for whoever is asked for, named in the environment; its password is a canary."""
    with LittleServer() as little:
        url = f"http://user:{KEY}-proxy@{little.host}:{little.port}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)
        yield little


def through(fault, expect, **more):
    """A case whose target a lies behind the proxy, and b beside us."""
    settings = {"trust_env": True, **more.pop("settings", {})}
    return both(98, fault, expect, settings=settings, arrives=False, **more)


@STREAMED
def test_98_a_proxy_of_the_environment_is_used(play, proxy, streamed):
    runs = play(through(PLAIN, answers("a", text=TEXT, a=1), colours=ALL), streamed)
    assert proxy.served == len(runs)
    for head in proxy.heads:
        assert head[0].startswith("POST http://api.invalid:9/")
        assert any(line.lower().startswith("proxy-authorization: basic ") for line in head)


@STREAMED
def test_98_a_host_of_no_proxy_is_reached_directly(play, proxy, monkeypatch, streamed):
    real = socket.getaddrinfo

    def look_up(host, *rest, **more):
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.2" if name == "api.invalid" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "api.invalid")
    with LittleServer("127.0.0.2") as direct:
        url = f"http://api.invalid:{direct.port}/v1"
        common = {"base_url": url, "api_key": f"{KEY}-a", "compatible": "openai_chat"}
        settings = {"providers": {"a": common, "b": common}}
        runs = play(through(PLAIN, answers("a", text=TEXT, a=1), settings=settings), streamed)
        assert (direct.served, proxy.served) == (len(runs), 0)


@STREAMED
@pytest.mark.parametrize("fault", [PLAIN, SECURE], ids=["http", "https"])
def test_98_a_proxy_that_is_gone(play, proxy, fault, streamed):
    proxy.stop()
    with socket.socket() as kept:
        # Nobody listens there, and nobody else on this machine gets the port in the meantime.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", proxy.port))
        play(through(fault, fails(ConnectError, a=3), breaker="failure", check=unbilled), streamed)
        # The fallback is on loopback, where no proxy is asked.
        play(through(fault, answers("b", a=2, b=1), breaker="failure", fallback=True, check=unbilled), streamed)


@STREAMED
def test_98_a_proxy_that_dies_in_the_middle(play, proxy, streamed):
    proxy.cut = True
    # Of a stream, the half that comes has content.
    broken = fails(StreamInterrupted, partial=TEXT, a=1) if streamed else fails(NetworkError, a=3)
    play(through(PLAIN, broken, breaker="failure", check=uncertain), streamed)
    if not streamed:
        play(through(PLAIN, answers("b", a=1, b=1), breaker="failure", fallback=True), streamed)


def denied(run):
    """A check: the error names the proxy's refusal, and nobody asked a second time."""
    assert "407" in str(run.asked[0].error)


@STREAMED
@pytest.mark.parametrize("fallback", [False, True], ids=["alone", "route"])
def test_98_a_proxy_that_wants_other_credentials_is_not_routed_around(play, proxy, streamed, fallback):
    proxy.status = "407 Proxy Authentication Required"
    more = {"breaker": "ignored", "fallback": fallback, "check": denied}
    play(through(PLAIN, fails(APIError, a=1), colours=ALL, **more), streamed)
    runs = play(through(SECURE, fails(ConnectError, a=1), colours=ALL, **more), streamed)
    # One answer to each: to the request itself, and to the wish for a tunnel.
    assert len(proxy.heads) == 2 * len(runs)


@STREAMED
def test_98_a_proxy_that_reaches_nobody(play, proxy, streamed):
    proxy.status = "502 Bad Gateway"
    play(through(SECURE, answers("b", a=2, b=1), breaker="failure", fallback=True, check=unbilled), streamed)


def test_98_settings_that_name_no_proxy_are_told_before_anything_is_sent():
    with pytest.raises(ConfigurationError) as caught:
        Client(proxy=f"ftp://user:{KEY}@127.0.0.1", ledger="off").run("Hi", model="openai/gpt-5-mini")
    assert KEY not in str(caught.value)

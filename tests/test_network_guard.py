"""The guard of tests/conftest.py holds for every way that libraries use to reach the network."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import anyio
import httpx
import pytest
import trio

# TEST-NET-1 (RFC 5737): addresses that belong to nobody, so that even a broken guard would reach no one.
NOWHERE = "192.0.2.1"


@pytest.fixture
def refused(network_guard):
    """What was refused so far; taken as expected when the test ends."""
    yield network_guard.blocked
    assert network_guard.blocked, "nothing was refused"
    network_guard.blocked.clear()


@pytest.fixture
def outside_error(network_guard):
    """The class that the guard raises; conftest.py is no module that could be imported by name."""
    with pytest.raises(BaseException, match="loopback only") as caught:
        network_guard.refuse("sample")
    network_guard.blocked.clear()
    return caught.type


@pytest.fixture
def loopback_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def test_refusal_is_not_taken_for_an_outage(outside_error):
    assert not issubclass(outside_error, Exception)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_tcp_is_refused(method, refused, outside_error):
    with socket.socket() as sock, pytest.raises(outside_error, match=NOWHERE):
        getattr(sock, method)((NOWHERE, 443))


def test_tcp_over_ipv6_is_refused(refused, outside_error):
    with socket.socket(socket.AF_INET6) as sock, pytest.raises(outside_error):
        sock.connect(("2001:db8::1", 443, 0, 0))


def test_udp_is_refused(refused, outside_error):
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(outside_error):
        sock.sendto(b"metric", (NOWHERE, 8125))


@pytest.mark.parametrize(
    "look_up",
    [
        lambda name: socket.getaddrinfo(name, 443),
        lambda name: socket.getaddrinfo(name.encode(), 443),
        lambda name: socket.getaddrinfo(host=name, port=443),
        lambda name: socket.create_connection((name, 443)),
        socket.gethostbyname,
        socket.gethostbyname_ex,
        socket.gethostbyaddr,
    ],
)
def test_name_look_up_is_refused(look_up, refused, outside_error):
    with pytest.raises(outside_error, match=r"provider\.invalid"):
        look_up("provider.invalid")


def test_blocking_http_client_is_refused(refused, outside_error):
    with httpx.Client() as client, pytest.raises(outside_error):
        client.get("https://provider.invalid/v1/models")


def test_asyncio_is_refused(refused, outside_error):
    with pytest.raises(outside_error):
        asyncio.run(asyncio.open_connection(NOWHERE, 443))


def test_trio_is_refused(refused, outside_error):
    async def reach():
        with pytest.raises(outside_error):
            await trio.open_tcp_stream("provider.invalid", 443)

    trio.run(reach)


def test_refusal_in_a_thread_is_remembered(refused, outside_error):
    caught = []

    def reach():
        try:
            socket.create_connection((NOWHERE, 443))
        except outside_error as error:
            caught.append(error)

    thread = threading.Thread(target=reach)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_loopback_is_open(loopback_server):
    with (
        socket.create_connection(loopback_server),
        socket.create_connection(("localhost", loopback_server[1])),
    ):
        pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_loopback_is_open_to_async_clients(backend, loopback_server):
    async def reach():
        async with await anyio.connect_tcp(*loopback_server):
            return True

    assert anyio.run(reach, backend=backend)


def test_a_connected_datagram_socket_and_unix_sockets_are_open(loopback_server):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"metric", loopback_server)
    if hasattr(socket, "AF_UNIX"):
        left, right = socket.socketpair(socket.AF_UNIX)
        with left, right:
            left.sendall(b"x")
            assert right.recv(1) == b"x"


def test_swallowed_refusal_fails_the_test(pytester_run):
    passed, output = pytester_run(
        """
        import socket
        def test_swallows():
            try:
                socket.create_connection(("192.0.2.1", 443))
            except BaseException:
                pass
        """
    )
    assert not passed
    assert "the test reached beyond loopback" in output


def test_tests_see_no_keys_and_have_a_home_of_their_own(pytester_run):
    passed, output = pytester_run(
        """
        import os
        def test_environment(tmp_path):
            assert not [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_")) or "proxy" in name]
            assert os.environ["AISTRALE_HOME"].startswith(str(tmp_path))
        """,
        OPENAI_API_KEY="sk-canary",
        ANTHROPIC_BASE_URL="https://provider.invalid",
        https_proxy="http://provider.invalid:3128",
        AISTRALE_HOME="/nowhere",
    )
    assert passed, output


@pytest.fixture
def pytester_run(tmp_path):
    """Runs one test module under this project's conftest.py in a process of its own."""

    def run(source, **environment):
        (tmp_path / "conftest.py").write_text(
            Path(__file__).with_name("conftest.py").read_text("utf-8"), encoding="utf-8"
        )
        (tmp_path / "test_inner.py").write_text(textwrap.dedent(source), encoding="utf-8")
        (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "test_inner.py"],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "1 passed" in done.stdout or "1 error" in done.stdout, done.stdout + done.stderr
        return done.returncode == 0, done.stdout + done.stderr

    return run

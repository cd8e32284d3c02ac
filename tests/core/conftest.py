"""A server on loopback that says exactly the bytes it is told to, and each HTTP scenario in all its colours.

A scenario is one coroutine that gets a client. The fixture `drive` runs it on the blocking client, on asyncio and on
trio, with the connections of either library.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trio

from aistrale.core.http import AsyncHttp, HttpRequest, SyncHttp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

# Longer than anything takes here, shorter than anyone would wait: what should end at once, ends far before it.
GENEROUS = 20.0


class Peer:
    """The server's end of one connection.

    Args:
        sock: The socket.
        number: Which connection this is, from 0.
        server: The server, which notes the requests.
    """

    def __init__(self, sock: socket.socket, number: int, server: WireServer) -> None:
        self.sock = sock
        self.number = number
        self.server = server
        self._buffer = bytearray()

    def request(self) -> bytes | None:
        """Reads one request, head and body; None where the client has gone."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head = bytes(self._buffer[: 1 << 16]).partition(b"\r\n\r\n")[0]
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        end = len(head) + 4 + int(fields.get(b"content-length", 0))
        while len(self._buffer) < end:
            if not self._more():
                return None
        request = bytes(self._buffer[:end])
        del self._buffer[:end]
        self.server.requests.append(request)
        return request

    def _more(self) -> bool:
        try:
            data = self.sock.recv(1 << 20)
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def send(self, data: bytes) -> bool:
        """Sends bytes; False where the client has gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def answer(self, body: bytes = b"{}", head: bytes = b"", status: bytes = b"200 OK") -> bool:
        return self.send(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), head, body))

    def pause(self, seconds: float) -> None:
        """Waits, but not longer than the test lasts."""
        self.server.over.wait(seconds)

    def until_gone(self) -> bool:
        """Waits for the client to end the connection; False where the test ends first."""
        while self._more():
            pass
        return not self.server.over.is_set()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class WireServer:
    """Runs a script for each connection, in a thread of its own."""

    def __init__(self, script: Callable[[Peer], object], context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self.failures: list[BaseException] = []
        self._script = script
        self._context = context
        self._peers: list[Peer] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.over.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True)
            self.connections += 1
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        peer = Peer(sock, number, self)
        self._peers.append(peer)
        try:
            self._script(peer)
        except OSError:
            # The client has gone, which it may do at any time.
            return
        except BaseException as error:  # noqa: BLE001 - shown at the end of the test
            self.failures.append(error)
        finally:
            peer.close()

    def stop(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._listener.close()
        for peer in list(self._peers):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(peer.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(GENEROUS)
        assert not self.failures, self.failures


@pytest.fixture
def serve() -> Iterator[Callable[..., WireServer]]:
    """Starts servers: `serve(script)`; a script takes a `Peer`."""
    servers: list[WireServer] = []

    def start(script: Callable[[Peer], object], context: ssl.SSLContext | None = None) -> WireServer:
        servers.append(WireServer(script, context))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def echo(peer: Peer) -> None:
    """Answers every request with its own path."""
    while (request := peer.request()) is not None:
        peer.answer(request.split(b" ", 2)[1])


@pytest.fixture
def echo_server(serve) -> WireServer:
    return serve(echo)


def run_blocking(coroutine):
    """Drives a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("the coroutine suspended")


@pytest.fixture(name="run_blocking")
def run_blocking_fixture():
    return run_blocking


@pytest.fixture(params=["httpx", "httpx2"])
def family(request) -> str:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed in this environment")
    return request.param


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def colour(request) -> str:
    return request.param


@pytest.fixture
def drive(family, colour):
    """Runs `scenario(client)` in one colour; keyword arguments go to the client."""

    def run(scenario, **options):
        options.setdefault("http", family)

        async def main(client):
            try:
                return await scenario(client)
            finally:
                await client.close()

        if colour == "blocking":
            return run_blocking(main(SyncHttp(**options)))
        client = AsyncHttp(**options)
        if colour == "asyncio":
            return asyncio.run(main(client))
        return trio.run(main, client)

    return run


@pytest.fixture
def post():
    """Sends a POST and gives the response."""

    async def send(client, url, *, within=GENEROUS, connect_within=GENEROUS, body=b"{}", headers=(), method="POST"):
        now = time.monotonic()
        request = HttpRequest(method, url, list(headers), body)
        return await client.open(request, connect_until=now + connect_within, until=now + within)

    return send


@pytest.fixture
def fetch(post):
    """Sends a POST and gives the whole body."""

    async def exchange(client, url, *, within=GENEROUS, **options):
        response = await post(client, url, within=within, **options)
        return await response.read(time.monotonic() + within)

    return exchange

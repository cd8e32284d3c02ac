"""Sockets with a deadline: what lies between an HTTP/1.1 connection of httpcore and the operating system.

A wire is one connection. It plays both the network backend and the network stream of httpcore (or httpcore2, they
ask for the same methods), so that three things are ours: the deadline is an instant, not a silence between two
bytes, and can be moved while the connection is in use; the request leaves in one piece at the first read instead of
in two writes; and an error says in which phase it happened.

One wire class for each way of waiting: `network_sync` for blocking sockets, `network_async` for asyncio and trio.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
from time import monotonic
from typing import Any, Final

from aistrale.core.exchange import (
    HttpClosed,
    HttpConnectError,
    HttpError,
    HttpProxyDenied,
    HttpTimeout,
    HttpTLSError,
    Phase,
)
from aistrale.core.sockets import extra_info

# A deadline that allows what can be had without waiting, and nothing else.
NO_WAIT: Final = 0.0
_FAR: Final = 86_400.0
PROXY_HEAD_MAX: Final = 16 * 1024
_DOING: Final[dict[Phase, str]] = {
    "resolve": "looking up the name of",
    "connect": "connecting to",
    "tls": "in the TLS handshake with",
    "write": "sending the request to",
    "headers": "waiting for the response of",
    "body": "reading the response body of",
}


class Tunnel:
    """An HTTP proxy to reach an https origin through (CONNECT).

    Args:
        host: Host of the proxy.
        port: Port of the proxy.
        authorization: Value of Proxy-Authorization, or None.
    """

    __slots__ = ("authorization", "host", "port")

    def __init__(self, host: str, port: int, authorization: bytes | None) -> None:
        self.host = host
        self.port = port
        self.authorization = authorization

    def request(self, host: str, port: int) -> bytes:
        """The CONNECT request for a target."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode("ascii")
        if self.authorization is not None:
            head += b"Proxy-Authorization: " + self.authorization + b"\r\n"
        return head + b"\r\n"


class Wire:
    """What all wires share: the deadline of the moment, the progress of the exchange, the naming of errors.

    Args:
        tunnel: The proxy to go through, or None.

    Attributes:
        until: Instant of `time.monotonic()` after which every operation fails; None for no limit.
        connect_until: The same for the steps up to an established connection.
        sent: True once any byte of the current request may have reached the peer.
        received: Bytes that came since the current request began.
        eof: True once a read has given the end of the peer's side.
        closed: True once this side is closed.
        busy: True while somebody waits inside an operation.
        idle: True while the connection waits for its next exchange.
    """

    __slots__ = (
        "_back",
        "_out",
        "busy",
        "closed",
        "connect_until",
        "eof",
        "idle",
        "phase",
        "place",
        "received",
        "reused",
        "sent",
        "sock",
        "tunnel",
        "until",
    )

    def __init__(self, tunnel: Tunnel | None = None) -> None:
        self.tunnel = tunnel
        self.sock: socket.socket | None = None
        self.place = ""
        self.phase: Phase = "resolve"
        self.until: float | None = None
        self.connect_until: float | None = None
        self.sent = False
        self.reused = False
        self.received = 0
        self.eof = False
        self.closed = False
        self.busy = False
        self.idle = False
        self._out: list[bytes] = []
        # What was read and is to be read again, with the request that it answers sent already.
        self._back = b""

    def begin(self, connect_until: float | None, until: float | None, *, reused: bool) -> None:
        """Start a new exchange on this wire."""
        self.until = until
        if connect_until is None or (until is not None and until < connect_until):
            connect_until = until
        self.connect_until = connect_until
        self.reused = reused
        self.idle = False
        self.sent = False
        self.received = 0
        self._out.clear()
        self._back = b""
        if reused:
            self.phase = "write"

    def put(self, data: bytes) -> None:
        """Keep bytes to be sent at the next read."""
        self._out.append(data)

    def put_back(self, data: bytes) -> None:
        """Let what was read be read again; the request, which was sent, is not written a second time."""
        self._back = data

    def _again(self) -> bytes:
        data, self._back = self._back, b""
        return data

    def drop(self) -> None:
        """Close the connection at once; for an async wire, in the loop that it belongs to."""
        raise NotImplementedError

    def stale(self) -> bool:
        """Tell whether an idle connection has been ended by the peer."""
        raise NotImplementedError

    # Errors.

    def timed_out(self) -> HttpTimeout:
        """The error for a deadline that passed in the phase of the moment."""
        return HttpTimeout(
            f"timed out {_DOING[self.phase]} {self.place}", phase=self.phase, sent=self.sent, reused=self.reused
        )

    def broken(self, error: BaseException | None) -> HttpClosed:
        """The error for a connection that the peer, or this side, has ended."""
        cause = "" if error is None else f" ({type(error).__name__})"
        return HttpClosed(
            f"the connection was closed while {_DOING[self.phase]} {self.place}{cause}",
            phase=self.phase,
            sent=self.sent,
            reused=self.reused,
        )

    def unreachable(self, error: BaseException) -> HttpError:
        """Sort an error of the phases up to the established connection."""
        if isinstance(error, HttpError):
            return error
        if isinstance(error, TimeoutError) and getattr(error, "errno", None) is None:
            return self.timed_out()
        certificate = isinstance(error, ssl.CertificateError)
        if certificate or (isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)):
            reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error)
            return HttpTLSError(f"TLS with {self.place} failed: {reason}", phase="tls")
        if isinstance(error, socket.gaierror):
            self.phase = "resolve"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return HttpConnectError(f"failed {_DOING[self.phase]} {self.place}: {reason}", phase=self.phase)

    def connect_remaining(self) -> float | None:
        """Seconds left to connect; None for no limit.

        Raises:
            HttpTimeout: None are left.
        """
        return self._left(self.connect_until)

    def remaining(self) -> float | None:
        """Seconds left for this step; None for no limit.

        Raises:
            HttpTimeout: None are left.
        """
        return self._left(self.until)

    def _left(self, until: float | None) -> float | None:
        if until is None:
            return None
        remaining = until - monotonic()
        if remaining <= 0:
            raise self.timed_out()
        # What is further away than a day is none for the operating system, whose timers overflow.
        return remaining if remaining < _FAR else None

    # The parts that need no waiting.

    def gather(self) -> bytes:
        """Take what is to be written, as one piece."""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self.phase = "write"
        self.sent = True
        return data

    def check_proxy_answer(self, head: bytes) -> bool:
        """Look at what the proxy said to CONNECT so far.

        Returns:
            True when the tunnel stands, False when more must be read.

        Raises:
            HttpConnectError: The proxy declines (HttpProxyDenied: for the credentials) or does not speak HTTP.
        """
        end = head.find(b"\r\n\r\n")
        if end < 0:
            if len(head) <= PROXY_HEAD_MAX:
                return False
            raise HttpConnectError(f"the proxy {self.place} sent an endless response", phase="connect")
        status = head.split(b"\r\n", 1)[0].split(b" ", 2)[1:2]
        if not head.startswith(b"HTTP/1.") or not status or not status[0].isdigit():
            raise HttpConnectError(f"the proxy {self.place} does not answer in HTTP", phase="connect")
        code = int(status[0])
        if not 200 <= code < 300 or len(head) > end + 4:
            kind = HttpProxyDenied if code == 407 else HttpConnectError
            raise kind(f"the proxy {self.place} answered CONNECT with status {code}", phase="connect")
        return True

    def abandon(self) -> None:
        """End the connection from any thread or finalizer, without waiting and without touching a loop.

        The peer sees the end at once. The descriptor is closed here too, unless another thread is inside a system
        call on it: then that thread wakes up and closes it.
        """
        sock = self.sock
        if self.closed or sock is None:
            return
        self.closed = True
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown, which would also take the TLS object from under a reading thread.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        if not self.busy:
            sock.close()

    def forget(self) -> None:
        """Close this process' copy of the descriptor only; the connection itself belongs to the parent process.

        Neither TLS shutdown nor loop bookkeeping is done: both would reach the parent's connection, the second
        because an epoll instance is shared across a fork.
        """
        sock, self.sock, self.closed = self.sock, None, True
        if sock is not None:
            descriptor = sock.detach()
            if descriptor >= 0:
                os.close(descriptor)


class AsyncWire(Wire):
    """What the asyncio and the trio wire share."""

    __slots__ = ()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> AsyncWire:
        """Open the connection (backend interface of httpcore; its timeout is not used, the wire has its own)."""
        target = self.tunnel
        self.place = f"{host}:{port}" if target is None else f"{target.host}:{target.port}"
        try:
            await self._connect(*((host, port) if target is None else (target.host, target.port)))
            if target is not None:
                await self._open_tunnel(target.request(host, port))
                self.place = f"{host}:{port}"
        except BaseException as error:
            self.drop()
            if isinstance(error, (OSError, UnicodeError)):
                raise self.unreachable(error) from error
            raise
        return self

    async def _connect(self, host: str, port: int) -> None:
        raise NotImplementedError

    async def _open_tunnel(self, request: bytes) -> None:
        self.until, until = self.connect_until, self.until
        self._out.append(request)
        head = b""
        while not self.check_proxy_answer(head):
            data = await self.read(PROXY_HEAD_MAX)
            if not data:
                raise HttpConnectError(f"the proxy {self.place} closed the connection", phase="connect")
            head += data
        self.until, self.sent, self.received = until, False, 0

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncWire:
        """Put TLS on the connection (stream interface of httpcore)."""
        self.phase = "tls"
        try:
            await self._secure(ssl_context, server_hostname)
        except BaseException as error:
            self.drop()
            if isinstance(error, (OSError, ValueError)):
                raise self.unreachable(error) from error
            raise
        return self

    async def _secure(self, context: ssl.SSLContext, hostname: str | None) -> None:
        raise NotImplementedError

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits to be sent, then give what arrives; b"" at the end (stream interface of httpcore)."""
        raise NotImplementedError

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep bytes to be sent at the next read (stream interface of httpcore)."""
        if buffer and not self._back:
            self._out.append(buffer)

    async def aclose(self) -> None:
        """Close the connection (stream interface of httpcore)."""
        self.drop()

    def get_extra_info(self, info: str) -> object:
        """Facts that httpcore asks of a stream."""
        return extra_info(self.sock, info)


def in_trio() -> bool:
    """True inside a trio task; nothing is imported to find out."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


def current_loop() -> object:
    """What stands for the running event loop: asyncio's loop or trio's token.

    Raises:
        RuntimeError: None is running.
    """
    if in_trio():
        import trio

        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio.get_running_loop()


async def one_turn() -> None:
    """Let the event loop do what is due."""
    if in_trio():
        import trio

        await trio.lowlevel.checkpoint()
    else:
        import asyncio

        await asyncio.sleep(0)


def has_ended(loop: Any) -> bool:  # noqa: ANN401 - an asyncio loop or a trio token
    """True for a loop that will never run again."""
    if hasattr(loop, "is_closed"):
        return bool(loop.is_closed())
    import trio

    try:
        loop.run_sync_soon(_nothing)
    except trio.RunFinishedError:
        return True
    return False


def _nothing() -> None:
    """Runs in a trio loop only to see whether that loop still takes work."""

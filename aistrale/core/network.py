"""Sockets with a deadline: what lies between an HTTP/1.1 connection of httpcore and the operating system.

A wire is one connection. It plays both the network backend and the network stream of httpcore (or httpcore2, they
ask for the same methods), so that three things are ours: the deadline is an instant, not a silence between two
bytes, and can be moved while the connection is in use; the request leaves in one piece at the first read instead of
in two writes; and an error says in which phase it happened.

One wire class for each way of waiting: blocking sockets here; asyncio and trio in `network_async`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import select
import selectors
import socket
import ssl
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from aistrale.core.exchange import (
    HttpClosed,
    HttpConnectError,
    HttpError,
    HttpTimeout,
    HttpTLSError,
    Phase,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]

# RFC 8305 section 5 recommends 250 ms between the attempts to the addresses of one name.
STAGGER: Final = 0.25
_IN_PROGRESS: Final = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})
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
        eof: True once the peer has ended its side.
        closed: True once this side is closed.
        busy: True while somebody waits inside an operation.
        idle: True while the connection waits for its next exchange.
    """

    __slots__ = (
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
        if reused:
            self.phase = "write"

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
        if self.connect_until is None:
            return None
        remaining = self.connect_until - monotonic()
        if remaining <= 0:
            raise self.timed_out()
        return remaining

    def remaining(self) -> float | None:
        """Seconds left for this step; None for no limit.

        Raises:
            HttpTimeout: None are left.
        """
        if self.until is None:
            return None
        remaining = self.until - monotonic()
        if remaining <= 0:
            raise self.timed_out()
        return remaining

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
            HttpConnectError: The proxy declines or does not speak HTTP.
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
            raise HttpConnectError(f"the proxy {self.place} answered CONNECT with status {code}", phase="connect")
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


def is_address(host: str) -> bool:
    """Tell a numeric IP address from a name that must be looked up."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False


def interleave(found: Iterable[AddressInfo]) -> list[AddressInfo]:
    """Order addresses so that the families alternate, starting with the resolver's first choice (RFC 8305)."""
    found = list(dict.fromkeys(found))
    first = [info for info in found if info[0] == found[0][0]]
    other = [info for info in found if info[0] != found[0][0]]
    mixed: list[AddressInfo] = []
    while first or other:
        mixed += first[:1] + other[:1]
        first, other = first[1:], other[1:]
    return mixed


def open_socket(info: AddressInfo) -> socket.socket:
    """A non-blocking TCP socket for an address, set up for requests and streams of small pieces."""
    sock = socket.socket(info[0], info[1], info[2])
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that vanished behind a NAT would otherwise never be noticed where no deadline is set.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


class SyncWire(Wire):
    """A wire of blocking sockets."""

    __slots__ = ("_timeout",)

    def __init__(self, tunnel: Tunnel | None = None) -> None:
        super().__init__(tunnel)
        self._timeout: float | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> SyncWire:
        """Open the connection (backend interface of httpcore; its timeout is not used, the wire has its own)."""
        target = self.tunnel
        self.place = f"{host}:{port}" if target is None else f"{target.host}:{target.port}"
        try:
            self._connect(*((host, port) if target is None else (target.host, target.port)))
            if target is not None:
                self._open_tunnel(target.request(host, port))
                self.place = f"{host}:{port}"
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, UnicodeError)):
                raise self.unreachable(error) from error
            raise
        return self

    def _connect(self, host: str, port: int) -> None:
        found = self._resolve(host, port)
        self.phase = "connect"
        self.sock = self._race(interleave(found))
        self.sock.setblocking(True)
        self._timeout = None

    def _resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        self.phase = "resolve"
        remaining = self.connect_remaining()
        if remaining is None or is_address(host):
            return look_up(host, port)
        # The C library's resolver cannot be interrupted, so it must not run in the thread that has a deadline.
        answers: queue.SimpleQueue[Sequence[AddressInfo] | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers.put(look_up(host, port))
            except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
                answers.put(error)

        threading.Thread(target=work, name="aistrale-resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=remaining)
        except queue.Empty:
            raise self.timed_out() from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _race(self, infos: list[AddressInfo]) -> socket.socket:
        waiting = selectors.DefaultSelector()
        failure: OSError = OSError("no address")
        try:
            while infos or waiting.get_map():
                if infos:
                    sock = open_socket(infos[0])
                    waiting.register(sock, selectors.EVENT_WRITE)
                    code = sock.connect_ex(infos.pop(0)[4])
                    if code not in _IN_PROGRESS:
                        failure = self._lost(waiting, sock, code)
                        continue
                remaining = self.connect_remaining()
                pause = min(STAGGER, remaining or STAGGER) if infos else remaining
                for key, _ in waiting.select(pause):
                    sock = key.fileobj  # type: ignore[assignment]
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        waiting.unregister(sock)
                        return sock
                    failure = self._lost(waiting, sock, code)
            raise failure
        finally:
            for key in list((waiting.get_map() or {}).values()):
                key.fileobj.close()  # type: ignore[union-attr]
            waiting.close()

    def _lost(self, waiting: selectors.BaseSelector, sock: socket.socket, code: int) -> OSError:
        waiting.unregister(sock)
        sock.close()
        return OSError(code, os.strerror(code))

    def _open_tunnel(self, request: bytes) -> None:
        self.until, until = self.connect_until, self.until
        self._out.append(request)
        head = b""
        while not self.check_proxy_answer(head):
            data = self.read(PROXY_HEAD_MAX)
            if not data:
                raise HttpConnectError(f"the proxy {self.place} closed the connection", phase="connect")
            head += data
        self.until, self.sent, self.received = until, False, 0

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SyncWire:
        """Put TLS on the connection (stream interface of httpcore)."""
        self.phase = "tls"
        assert self.sock is not None
        try:
            secured = ssl_context.wrap_socket(
                self.sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self.sock = secured
            secured.settimeout(self.connect_remaining())
            secured.do_handshake()
            secured.settimeout(None)
            self._timeout = None
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, ValueError)):
                raise self.unreachable(error) from error
            raise
        return self

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep bytes to be sent at the next read (stream interface of httpcore)."""
        if buffer:
            self._out.append(buffer)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits to be sent, then give what arrives; b"" at the end (stream interface of httpcore)."""
        sock = self.sock
        if sock is None or self.closed:
            raise self.broken(None)
        self.busy = True
        try:
            if self._out:
                self._flush(sock)
            if self.phase == "write":
                self.phase = "headers"
            data = self._receive(sock, max_bytes)
        except ssl.SSLError as error:
            raise self.broken(error) from error
        except OSError as error:
            raise self.broken(error) from error
        finally:
            self.busy = False
            if self.closed:
                sock.close()
        if data:
            self.received += len(data)
        else:
            self.eof = True
        return data

    def _flush(self, sock: socket.socket) -> None:
        data = self.gather()
        try:
            self._arm(sock, exact=True)
            sent = sock.send(data)
            if sent < len(data):
                view = memoryview(data)[sent:]
                while view:
                    self._arm(sock, exact=True)
                    view = view[sock.send(view) :]
        except TimeoutError:
            raise self.timed_out() from None
        except OSError:
            # A server may refuse a large request before it has read it all. Its answer is then still to be read,
            # and where there is none, reading says so.
            return

    def _receive(self, sock: socket.socket, max_bytes: int) -> bytes:
        exact = False
        while True:
            self._arm(sock, exact=exact)
            try:
                return sock.recv(max_bytes)
            except TimeoutError:
                # The socket's own timeout is only near the deadline, see _arm; the deadline itself decides.
                exact = True

    def _arm(self, sock: socket.socket, *, exact: bool) -> None:
        remaining = self.remaining()
        if remaining is None:
            if self._timeout is not None:
                sock.settimeout(None)
                self._timeout = None
        elif exact or self._timeout is None or not remaining / 2 <= self._timeout <= remaining:
            # Setting the timeout is a system call. One that is somewhat early serves many reads of the same
            # stream, and costs one extra wake-up at the very end.
            self._timeout = remaining if exact else remaining * 0.75
            sock.settimeout(self._timeout)

    def close(self) -> None:
        """Close the connection (stream interface of httpcore)."""
        self.closed = True
        if self.sock is not None:
            self.sock.close()

    drop = close

    def get_extra_info(self, info: str) -> object:
        """Facts that httpcore asks of a stream."""
        return extra_info(self.sock, info)

    def stale(self) -> bool:
        """Tell whether an idle connection has been ended by the peer, by one look at the socket."""
        return self.closed or self.sock is None or is_readable(self.sock)


def look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the resolver; blocks."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def is_readable(sock: socket.socket) -> bool:
    """True if a read would not block: data or the end is there. On an idle connection both mean: do not use it."""
    if sock.fileno() < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def extra_info(sock: socket.socket | None, info: str) -> object:
    """Answer httpcore's questions about a stream."""
    if sock is None:
        return None
    if info == "ssl_object":
        return sock if isinstance(sock, ssl.SSLSocket) else None
    if info == "socket":
        return sock
    if info == "is_readable":
        return is_readable(sock)
    if info == "client_addr":
        return sock.getsockname()
    if info == "server_addr":
        return sock.getpeername()
    return None

"""The wire of `network` for blocking sockets; see there for what a wire is."""

from __future__ import annotations

import os
import queue
import selectors
import socket
import ssl
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.exchange import HttpConnectError
from aistrale.core.network import NO_WAIT, PROXY_HEAD_MAX, Tunnel, Wire
from aistrale.core.sockets import (
    IN_PROGRESS,
    STAGGER,
    AddressInfo,
    extra_info,
    interleave,
    is_address,
    is_readable,
    look_up,
    open_socket,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# For the rest of a TLS record of which the beginning is there, in seconds.
_ALMOST_NOTHING: Final = 0.005


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
        self.sock.settimeout(None)
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

        try:
            threading.Thread(target=work, name="aistrale-resolve", daemon=True).start()
        except RuntimeError:
            # At the end of the interpreter no thread can be started any more.
            return look_up(host, port)
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
                    waiting.register(sock, selectors.EVENT_WRITE, sock)
                    code = sock.connect_ex(infos.pop(0)[4])
                    if code not in IN_PROGRESS:
                        failure = self._lost(waiting, sock, code)
                        continue
                remaining = self.connect_remaining()
                pause = min(STAGGER, remaining or STAGGER) if infos else remaining
                for key, _ in waiting.select(pause):
                    sock = cast("socket.socket", key.data)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        waiting.unregister(sock)
                        return sock
                    failure = self._lost(waiting, sock, code)
            raise failure
        finally:
            for key in list((waiting.get_map() or {}).values()):
                key.data.close()
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
        if self.sock is None:
            raise self.broken(None)
        try:
            secured = ssl_context.wrap_socket(self.sock, server_hostname=server_hostname, do_handshake_on_connect=False)
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
        if buffer and not self._back:
            self._out.append(buffer)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits to be sent, then give what arrives; b"" at the end (stream interface of httpcore)."""
        if self._back:
            return self._again()
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
        # Before anything is marked as sent.
        self._arm(sock, exact=True)
        data = self.gather()
        try:
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
        if self.until == NO_WAIT and is_readable(sock):
            self.until = monotonic() + _ALMOST_NOTHING
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

"""The wires of `network` for asyncio and trio; see there for what a wire is.

The asyncio wire is a bare protocol: a read that must wait costs one future, and its deadline one timer for many reads,
where `asyncio.wait_for` or a cancel scope would cost ten microseconds each.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.network import NO_WAIT, AsyncWire, Tunnel
from aistrale.core.sockets import (
    STAGGER,
    AddressInfo,
    interleave,
    is_address,
    is_readable,
    look_up,
    open_socket,
)

if TYPE_CHECKING:
    import ssl

    import trio

_HIGH_WATER: Final = 256 * 1024


class AsyncioWire(AsyncWire, asyncio.Protocol):
    """A wire that is an asyncio protocol."""

    __slots__ = ("_error", "_in", "_loop", "_over", "_paused", "_size", "_timer", "_timer_at", "_transport", "_waiter")

    def __init__(self, tunnel: Tunnel | None = None) -> None:
        super().__init__(tunnel)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._in: list[bytes] = []
        self._size = 0
        # The peer has ended; `eof` is when whoever reads is told, after all that came before.
        self._over = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._error: BaseException | None = None

    # Connecting.

    async def _connect(self, host: str, port: int) -> None:
        self.phase = "resolve"
        async with asyncio.timeout(self.connect_remaining()):
            # What is numeric needs no thread.
            if is_address(host):
                found = look_up(host, port)
            else:
                found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.phase = "connect"
            self.sock = await _race(self._loop, interleave(found))
            await self._loop.create_connection(lambda: self, sock=self.sock)

    async def _secure(self, context: ssl.SSLContext, hostname: str | None) -> None:
        if self._transport is None:
            raise self.broken(None)
        async with asyncio.timeout(self.connect_remaining()):
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=hostname,
                ssl_handshake_timeout=3600.0,
            )
        if transport is None or self._over:
            raise ConnectionResetError("closed in the handshake")
        self._transport = transport

    # The protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        # With no room at all in the buffer, asyncio says when everything has been sent.
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        if self.idle:
            # Nothing was asked for: whatever this is, it must not be read as the answer to the next request.
            self.drop()
            return
        self._in.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """asyncio: the peer ended its side."""
        self._over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._over = True
        self._error = exc
        # asyncio has closed the socket, and its transport is not to be touched any more.
        self._transport = None
        self._wake()

    def pause_writing(self) -> None:
        """asyncio: something waits to be sent (seen through `get_write_buffer_size`)."""

    def resume_writing(self) -> None:
        """asyncio: everything was sent."""
        self._wake()

    # Reading and writing.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits to be sent, then give what arrives; b"" at the end (stream interface of httpcore)."""
        if self._back:
            return self._again()
        if self.closed:
            raise self.broken(self._error)
        if self._out:
            await self._flush()
        if self.phase == "write":
            self.phase = "headers"
        while not self._in:
            if self._over:
                if self._error is not None:
                    raise self.broken(self._error)
                self.eof = True
                return b""
            await self._wait()
        if self.until is not None and self.until != NO_WAIT and monotonic() >= self.until:
            raise self.timed_out()
        data = self._in[0] if len(self._in) == 1 else b"".join(self._in)
        self._in.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        self.received += len(data)
        return data

    async def _flush(self) -> None:
        self.remaining()
        data = self.gather()
        transport = self._transport
        if self._over or transport is None:
            return
        transport.write(data)
        if transport.get_write_buffer_size() == 0:
            return
        # An early answer ends the wait: a server may refuse a large request before it has read it all.
        while transport.get_write_buffer_size() and not self._in and not self._over:
            await self._wait()

    async def _wait(self) -> None:
        until = self.until
        if until is not None:
            self._arm(until)
        waiter = self._waiter = self._loop.create_future()
        self.busy = True
        try:
            await waiter
        finally:
            self.busy = False
            self._waiter = None
        if until is not None and not self._in and not self._over and monotonic() >= until:
            raise self.timed_out()
        if self.closed:
            raise self.broken(self._error)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _arm(self, until: float) -> None:
        remaining = self.remaining()
        if remaining is None:
            return
        if self._timer is not None:
            # A timer that is early looks again when it fires. So one timer serves all the reads of a stream, and
            # a kept connection takes the last call's timer along.
            if self._timer_at <= until:
                return
            self._timer.cancel()
        self._timer_at = until
        self._timer = self._loop.call_later(remaining, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        until = self.until
        if self._waiter is None or until is None:
            return
        remaining = until - monotonic()
        if remaining <= 0:
            self._wake()
        else:
            self._timer_at = until
            self._timer = self._loop.call_later(remaining, self._look_at_clock)

    # Ending.

    def drop(self) -> None:
        """Close the connection at once, from inside its event loop."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()
        transport = self._transport
        if transport is not None:
            try:
                transport.abort()
            except RuntimeError:
                self._transport = None
                self._close_socket()
        else:
            self._close_socket()

    def _close_socket(self) -> None:
        if self.sock is not None:
            self.sock.close()

    def abandon(self) -> None:
        """End the connection from any thread or finalizer; see `Wire.abandon`."""
        sock = self.sock
        if self.closed or sock is None:
            return
        self.closed = True
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        try:
            # Scheduled, not called: this may be another thread, or the collector in the middle of anything.
            self._loop.call_soon_threadsafe(self.drop)
        except RuntimeError:
            self._transport = None
            sock.close()

    def stale(self) -> bool:
        """Tell whether an idle connection has been ended by the peer, or has bytes that nobody asked for."""
        # The socket too: a loop that was busy has not yet seen what arrived.
        return self.closed or self._over or bool(self._in) or self.sock is None or is_readable(self.sock)


async def _race(loop: asyncio.AbstractEventLoop, infos: list[AddressInfo]) -> socket.socket:
    if len(infos) == 1:
        return await _attempt(loop, infos[0])
    failure: BaseException = OSError("no address")
    running: set[asyncio.Task[socket.socket]] = set()
    winner: socket.socket | None = None
    try:
        while infos or running:
            if infos:
                running.add(loop.create_task(_attempt(loop, infos.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=STAGGER if infos else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (error := task.exception()) is not None:
                    failure = error
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
            if winner is not None:
                return winner
        raise failure  # noqa: TRY301 - the handler below is for cancellation too
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)


async def _attempt(loop: asyncio.AbstractEventLoop, info: AddressInfo) -> socket.socket:
    sock = open_socket(info)
    try:
        await loop.sock_connect(sock, info[4])
    except BaseException:
        sock.close()
        raise
    return sock


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


class TrioWire(AsyncWire):
    """A wire on trio's streams."""

    __slots__ = ("_stream", "_trio")

    def __init__(self, tunnel: Tunnel | None = None) -> None:
        super().__init__(tunnel)
        import trio

        self._trio = trio
        self._stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] | None = None

    async def _connect(self, host: str, port: int) -> None:
        trio = self._trio
        self.phase = "connect"
        stream = None
        with trio.move_on_after(_or_infinity(self.connect_remaining())):
            stream = await trio.open_tcp_stream(host, port, happy_eyeballs_delay=STAGGER)
        if stream is None:
            raise self.timed_out()
        self._stream = stream
        # trio's own class, which has all that is used of a socket here.
        self.sock = cast("socket.socket", stream.socket)

    async def _secure(self, context: ssl.SSLContext, hostname: str | None) -> None:
        trio = self._trio
        if not isinstance(self._stream, trio.SocketStream):
            raise self.broken(None)
        stream = trio.SSLStream(self._stream, context, server_hostname=hostname, https_compatible=True)
        try:
            with trio.move_on_after(_or_infinity(self.connect_remaining())) as scope:
                await stream.do_handshake()
        except trio.BrokenResourceError as error:
            # trio hides the reason one level deeper, and the reason tells a bad certificate from a closed door.
            raise error.__cause__ or ConnectionResetError("closed in the handshake") from error
        if scope.cancelled_caught:
            raise self.timed_out()
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits to be sent, then give what arrives; b"" at the end (stream interface of httpcore)."""
        if self._back:
            return self._again()
        trio, stream = self._trio, self._stream
        if stream is None or self.closed:
            raise self.broken(None)
        data = b""
        self.busy = True
        try:
            with trio.move_on_after(_or_infinity(self.remaining())) as scope:
                if self._out:
                    # As on the other wires: a failed write still lets an early answer be read.
                    with contextlib.suppress(trio.BrokenResourceError):
                        await stream.send_all(self.gather())
                if self.phase == "write":
                    self.phase = "headers"
                data = bytes(await stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise self.broken(error) from error
        finally:
            self.busy = False
            if self.closed:
                self._close_socket()
        if scope.cancelled_caught:
            raise self.timed_out()
        if not data:
            self.eof = True
        self.received += len(data)
        return data

    def drop(self) -> None:
        """Close the connection at once, from inside its event loop."""
        self.closed = True
        if not self.busy:
            self._close_socket()

    def _close_socket(self) -> None:
        if self.sock is not None:
            self.sock.close()

    def abandon(self) -> None:
        """End the connection from any thread or finalizer; see `Wire.abandon`."""
        sock = self.sock
        if self.closed or sock is None:
            return
        self.closed = True
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        if self.busy:
            return
        try:
            sock.close()
        except RuntimeError:
            # Outside of trio, its socket cannot tell the loop; nobody waits on it, so there is nothing to tell.
            os.close(sock.detach())

    def stale(self) -> bool:
        """Tell whether an idle connection has been ended by the peer, or has bytes that nobody asked for."""
        # Records that trio has received and not yet decrypted show nowhere else.
        undecrypted = getattr(getattr(self._stream, "_incoming", None), "pending", 0)
        return self.closed or self.eof or bool(undecrypted) or self.sock is None or is_readable(self.sock)


def _or_infinity(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds

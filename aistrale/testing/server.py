"""A small HTTP/1.1 server on loopback, in a daemon thread of its own, that can also misbehave on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, cast

import h11

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of the largest request body that is read; a larger one gets status 413."""
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
# How long a client that was told to stop sending may go on with it, in seconds.
_LINGER: Final = 2.0
_BACKLOG: Final = 1024
# How long the last bytes before a reset have to arrive: some systems drop what was not read when the reset comes.
_BEFORE_RESET: Final = 0.02


@dataclass(slots=True)
class Arrived:
    """A request as it came in.

    Args:
        target: Path and query, as sent.
        headers: By lower-case name; of repeated ones the last.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Served:
    """A response, and how it shall be delivered.

    Args:
        pieces: The body of a streamed response, piece by piece, sent chunked; None when `body` is all.
        delay: Seconds before the headers.
        first: Seconds between the headers and the first piece.
        between: Seconds between two pieces.
        ending: "ok" ends the body as HTTP wants it; "close" just closes; "reset" resets the connection; "stall" says
            nothing more until the client gives up. Where there is neither a body nor pieces, they do so before the
            headers.
        length: What Content-Length says instead of the truth.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    pieces: list[bytes] | None = None
    delay: float = 0.0
    first: float = 0.0
    between: float = 0.0
    ending: Literal["ok", "close", "reset", "stall"] = "ok"
    length: int | None = None

    def head(self) -> bytes:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.pieces is None:
            lines.append(f"content-length: {len(self.body) if self.length is None else self.length}")
        else:
            lines.append("transfer-encoding: chunked")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def silent(self) -> bool:
        """Whether not even the headers are sent."""
        return self.ending != "ok" and not self.body and self.pieces is None

    @property
    def prompt(self) -> bool:
        """Whether it goes out at once and in good order."""
        return not (self.delay or self.first or self.between) and self.ending == "ok" and self.length is None


class Server:
    """Serves until closed.

    Args:
        answer: Makes the response to a request; runs on the server's loop and must not block.
        port: 0 takes a free one.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, answer: Callable[[Arrived], Served], port: int = 0) -> None:
        self.answer = answer
        self.connections: set[Connection] = set()
        self._arriving: set[asyncio.Task[None]] = set()
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aistrale-simulator", daemon=True)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Cut every connection and end the thread; may be called twice."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # another thread closed it in between
                loop.call_soon_threadsafe(stop.set)
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        # Not the loop's own server: when that closes, a connection that it accepted a moment ago stays open for ever.
        self._loop.add_reader(self._socket, self._accept, self._loop)
        self._ready.set()
        await self._stop.wait()
        self._loop.remove_reader(self._socket)
        while True:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for connection in list(self.connections):
                connection.abort()
            if not left and not self.connections:
                break
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)

    def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(_BACKLOG):
            try:
                accepted, _address = self._socket.accept()
            except OSError:  # nobody is left, the client is gone already, or there is no file descriptor
                return
            accepted.settimeout(0)
            task = loop.create_task(self._welcome(loop, accepted))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _welcome(self, loop: asyncio.AbstractEventLoop, accepted: socket.socket) -> None:
        await loop.connect_accepted_socket(lambda: Connection(self), accepted)


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(_BACKLOG)
        listening.settimeout(0)
    except OSError:
        listening.close()
        raise
    return listening


class Connection(asyncio.Protocol):
    """One connection: reads requests with h11, one after the other, and writes the responses itself.

    h11 would refuse to write what this server is for: wrong lengths, bodies without an end.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; what was being delivered to it ends here."""
        self._server.connections.discard(self)
        self.abort()

    def abort(self) -> None:
        """Cut the connection, and what is being delivered."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on, and answer each request that is complete."""
        if self._deaf:
            return
        self._parser.receive_data(data)
        if self._task is None:
            self._advance()

    def _advance(self) -> None:
        try:
            while self._task is None and not (self._deaf or self._transport.is_closing()):
                arrived = self._next()
                if arrived is None:
                    return
                self._respond(arrived)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, "this is not HTTP/1.1 as RFC 9112 has it")

    def _next(self) -> Arrived | None:
        """The next request; None when more bytes are needed."""
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
                if _announced(event) > MAX_BODY:
                    self._refuse(413, "the request body is too large")
                    return None
                if self._parser.they_are_waiting_for_100_continue:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY:
                    self._refuse(413, "the request body is too large")
                    return None
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                break
            else:
                return None
        request, rest = self._request, self._parser.trailing_data[0]
        # A parser for each request: h11 would have to be told of every byte of the response before it read on.
        self._parser = h11.Connection(h11.SERVER)
        if rest:
            self._parser.receive_data(rest)
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        if request.http_version == b"1.0":
            headers["connection"] = "close"
        return Arrived(request.method.decode("ascii"), request.target.decode("latin-1"), headers, bytes(self._body))

    def _refuse(self, status: int, message: str) -> None:
        """Answer what cannot be read, and hear nothing more."""
        served = failure(status, message)
        served.headers.append(("connection", "close"))
        self._deaf = True
        self._transport.write(served.head() + served.body)
        # Closing while the client still sends would reset the connection before it had read the answer.
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    def _respond(self, arrived: Arrived) -> None:
        try:
            served = self._server.answer(arrived)
        except Exception as error:  # noqa: BLE001 - a request must not be left without an answer
            served = failure(500, f"the simulator failed: {type(error).__name__}: {error}")
        keep = arrived.headers.get("connection", "").lower() != "close"
        bare = arrived.method == "HEAD"
        if not served.prompt:
            self._task = asyncio.get_running_loop().create_task(self._deliver(served, bare=bare, keep=keep))
            return
        self._transport.write(served.head() + (b"" if bare else _framed(served)))
        if not keep:
            self._transport.close()

    async def _deliver(self, served: Served, *, bare: bool, keep: bool) -> None:
        """Send a response that takes its time or ends badly."""
        await asyncio.sleep(served.delay)
        if not served.silent:
            self._transport.write(served.head())
            if not bare:
                await self._send_body(served)
        if served.ending == "stall":
            await asyncio.Event().wait()
        elif served.ending == "reset":
            await asyncio.sleep(0 if served.silent else _BEFORE_RESET)
            self._reset()
        elif served.ending == "close" or served.length is not None or not keep:
            self._transport.close()
        self._task = None
        self._advance()

    async def _send_body(self, served: Served) -> None:
        if served.pieces is None:
            self._transport.write(served.body)
            return
        for index, piece in enumerate(served.pieces):
            wait = served.between if index else served.first
            if wait:
                await asyncio.sleep(wait)
            self._transport.write(_chunk(piece))
        if served.ending == "ok":
            self._transport.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        """Close so that the peer gets a reset instead of an orderly end."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _announced(request: h11.Request) -> int:
    return next((int(value) for name, value in request.headers if name == b"content-length"), 0)


def _framed(served: Served) -> bytes:
    if served.pieces is None:
        return served.body
    return b"".join([*map(_chunk, served.pieces), b"0\r\n\r\n"])


def _chunk(piece: bytes) -> bytes:
    # An empty chunk would be the end of the body.
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def failure(status: int, message: str) -> Served:
    """An error of the server itself, which plays no provider then."""
    body = json.dumps({"error": {"message": message, "type": "simulator"}}).encode()
    return Served(status, [("content-type", "application/json")], body)

"""A small HTTP/1.1 server on loopback, in a daemon thread of its own, that can also misbehave on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import h11

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BODY: Final = 64 * 1024 * 1024
_REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large"}


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
        ending: "ok" ends the body as HTTP wants it; "close" just closes, "reset" resets the connection (before the headers when
            there are no pieces), "stall" says nothing more until the client gives up.
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
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.pieces is None:
            lines.append(f"content-length: {len(self.body) if self.length is None else self.length}")
        else:
            lines.append("transfer-encoding: chunked")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Server:
    """Serves until closed.

    Args:
        answer: Makes the response to a request; runs on the server's loop and must not block.
        port: 0 takes a free one.
    """

    def __init__(self, answer: Callable[[Arrived], Served], port: int = 0) -> None:
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(1024)
        self.port: int = self._socket.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aistrale-simulator", daemon=True)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Close every connection and end the thread; may be called twice."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._connection(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, sock=self._socket)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = b""
        try:
            while True:
                arrived, rest = await _receive(reader, writer, rest)
                if arrived is None:
                    break
                served = self._answer(arrived)
                if not await _deliver(served, writer, head_only=arrived.method == "HEAD"):
                    break
                if arrived.headers.get("connection", "").lower() == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError, h11.RemoteProtocolError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


async def _receive(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes
) -> tuple[Arrived | None, bytes]:
    """The next request and the bytes that came after it; None when the client closed."""
    connection = h11.Connection(h11.SERVER)
    if rest:
        connection.receive_data(rest)
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await reader.read(65536)
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise ConnectionAbortedError("the request body is too large")
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
            arrived = Arrived(request.method.decode("ascii"), request.target.decode("latin-1"), headers, bytes(body))
            return arrived, connection.trailing_data[0]
        else:
            return None, b""


async def _deliver(served: Served, writer: asyncio.StreamWriter, *, head_only: bool) -> bool:
    """Send the response; whether the connection can serve another request."""
    if served.delay:
        await asyncio.sleep(served.delay)
    if served.ending == "reset" and not served.pieces:
        _reset(writer)
        return False
    if served.pieces is None:
        if served.ending == "stall" and not served.body:
            await asyncio.Event().wait()
        writer.write(served.head() + (b"" if head_only else served.body))
    else:
        await _deliver_pieces(served, writer)
    await writer.drain()
    if served.ending == "stall":
        await asyncio.Event().wait()
    if served.ending == "reset":
        _reset(writer)
    return served.ending == "ok" and served.length is None


async def _deliver_pieces(served: Served, writer: asyncio.StreamWriter) -> None:
    pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in served.pieces or [] if piece]
    end = b"0\r\n\r\n" if served.ending == "ok" else b""
    if not served.first and not served.between:
        writer.write(served.head() + b"".join(pieces) + end)
        return
    writer.write(served.head())
    for index, piece in enumerate(pieces):
        wait = served.between if index else served.first
        if wait:
            await writer.drain()
            await asyncio.sleep(wait)
        writer.write(piece)
    writer.write(end)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the peer gets a reset instead of an orderly end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

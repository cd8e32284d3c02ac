"""Exchanges on a connection that stands already, answered in the plain form that nearly all servers use.

httpcore and h11 read whatever HTTP/1.1 there is, which is more than half of what a call on a kept connection costs.
Here a whole head is taken apart by one expression, and only where nothing about it is in doubt: a final status of
HTTP/1.1 with a body, well-formed fields, one way of telling where the body ends, and a connection that stays. Any other
head goes back onto the wire unread, and httpcore reads it from its first byte as if nothing had happened.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.core.exchange import Headers, HttpError, HttpProtocolError
from aistrale.core.network import NO_WAIT

if TYPE_CHECKING:
    from aistrale.core.exchange import EncodedHeader
    from aistrale.core.network import Wire
    from aistrale.core.pool import Link, Pool
    from aistrale.core.response import Colour

# The answers to other methods have rules of their own as to their bodies.
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
MAX_HEAD: Final = 64 * 1024
MAX_LINE: Final = 16 * 1024
_LEFTOVERS: Final = 8
_BODILESS: Final = frozenset({"204", "304"})

_VERSION: Final = b"HTTP/1.1 "
# RFC 9112 sections 4, 5 and 7.1, and nothing that a recipient is only asked to put up with.
_STATUS: Final = re.compile(r"HTTP/1\.1 ([2-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_FIELD: Final = re.compile(r"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\x20-\x7e\x80-\xff]*)\r\n", re.MULTILINE)
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*|[ \t]*)")


class Head:
    """A plain head, taken apart.

    Args:
        status: Status code.
        headers: Its fields.
        length: Bytes of the body; None where it comes in chunks.
        reason: The words beside the status code.
    """

    __slots__ = ("headers", "length", "reason", "status")

    def __init__(self, status: int, headers: Headers, length: int | None, reason: str = "") -> None:
        self.status = status
        self.headers = headers
        self.length = length
        self.reason = reason


def read_head(head: bytes) -> Head | None:
    """Take a response head apart.

    Args:
        head: From the status line to the line break of the last field.

    Returns:
        None where it is not plain.
    """
    text = head.decode("latin-1")
    status = _STATUS.match(text)
    if status is None or status[1] in _BODILESS:
        return None
    pairs: list[tuple[str, str]] = _FIELD.findall(text, status.end())
    # The expression passes over what it does not match; every line must have been matched. A value has at most one
    # blank before it, as servers write it, so that nothing must be cut off.
    if len(pairs) != text.count("\n") - 1 or ":  " in text or " \r\n" in text[status.end() :]:
        return None
    headers = Headers.of_text(pairs)
    # A field that is there twice has both values in one here, which none of the following takes.
    told = headers.lowered
    length, coding = told.get("content-length"), told.get("transfer-encoding")
    if told.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    if coding is not None:
        # In other cases h11 hands the value on in lower case, and nobody shall be able to tell who read it.
        chunked = length is None and coding == "chunked"
        return Head(int(status[1]), headers, None, status[2] or "") if chunked else None
    if length is None or not length.isdecimal() or len(length) > 18:
        return None
    return Head(int(status[1]), headers, int(length), status[2] or "")


class Framing(Protocol):
    """Tells a body from what surrounds it; `extra` is what came after its end."""

    done: bool
    extra: bytes

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the wire; the bytes of the body among them. Raises ValueError if they are none."""
        ...


class Sized:
    """A body whose length was told."""

    __slots__ = ("_left", "done", "extra")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length
        self.extra = b""

    def feed(self, data: bytes) -> bytes:
        """See Framing."""
        left = self._left
        self._left = left - len(data)
        if self._left > 0:
            return data
        self.done = True
        if self._left < 0:
            self.extra = data[left:]
            return data[:left]
        return data


class Chunked:
    """A body in chunks; trailers are read and dropped."""

    __slots__ = ("_held", "_left", "_trailers", "done", "extra")

    def __init__(self) -> None:
        self._held = b""
        # Of the chunk under way, with the line break behind it.
        self._left = 0
        self._trailers: int | None = None
        self.done = False
        self.extra = b""

    def feed(self, data: bytes) -> bytes:
        """See Framing."""
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                if end - at < 2:
                    break
                if data[at : at + 2] != b"\r\n":
                    raise ValueError("a chunk is longer than was told")
                at, self._left = at + 2, 0
            else:
                stop = data.find(b"\r\n", at)
                if stop < 0:
                    break
                self._line(data, at, stop)
                at = stop + 2
        if self.done:
            self.extra = data[at:]
        elif at < end:
            self._held = data[at:]
            if len(self._held) > MAX_LINE:
                raise ValueError("the line before a chunk does not end")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line(self, data: bytes, start: int, stop: int) -> None:
        """The line before a chunk, or one after the last."""
        if self._trailers is None:
            size = _CHUNK.fullmatch(data, start, stop)
            if size is None:
                raise ValueError("the size of a chunk is no hexadecimal number")
            self._left = int(size[1], 16)
            if self._left:
                self._left += 2
            else:
                self._trailers = 0
        elif start == stop:
            self.done = True
        else:
            self._trailers += stop - start
            if _TRAILER.fullmatch(data, start, stop) is None or self._trailers > MAX_LINE:
                raise ValueError("what follows the last chunk is not trailers")


class Outgoing(bytes):
    """The bytes of a request, which the local variables of a traceback must not show: the key is among them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


def write_request(method: str, target: bytes, headers: list[EncodedHeader], body: bytes) -> Outgoing:
    """The bytes of a request."""
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), target)]
    lines += [b"%s: %s" % (name, value) for name, _, value in headers]
    return Outgoing(b"\r\n".join([*lines, b"", body]))


async def exchange(colour: Colour, link: Link, request: bytes) -> tuple[Head, Framing, bytes] | None:
    """Send a request over a connection that has served before, and read up to the end of the head.

    Returns:
        The head, the reader of the body, and what came of the body with it; None where the head is not plain: then
        all that came stands on the wire to be read again, and the request is not to be sent again.

    Raises:
        HttpError: The wire broke, or the deadline passed.
    """
    wire = link.wire
    wire.put(request)
    data = b""
    while True:
        more = await colour.read(wire)
        if not more:
            raise wire.broken(None)
        data = data + more if data else more
        end = data.find(b"\r\n\r\n")
        if end >= 0 or len(data) > MAX_HEAD or _is_odd(data):
            break
    head = read_head(data[: end + 2]) if end >= 0 else None
    if head is None:
        wire.put_back(data)
        return None
    framing: Framing = Chunked() if head.length is None else Sized(head.length)
    return head, framing, data[end + 4 :]


def _is_odd(data: bytes) -> bool:
    """Whether a head that has no end yet will not be a plain one."""
    return data[:9] != _VERSION[: len(data)] or b"\n\n" in data or b"\n\r\n" in data


class PlainBody:
    """The body of a plain response; a source of HttpResponse."""

    __slots__ = ("_colour", "_data", "_framing", "_link", "_pool")

    def __init__(self, colour: Colour, pool: Pool, link: Link, framing: Framing, data: bytes) -> None:
        self._colour = colour
        self._pool = pool
        self._link = link
        self._framing = framing
        self._data = data

    async def pull(self, until: float | None) -> bytes:
        """The next piece; b"" at the end."""
        wire, framing = self._link.wire, self._framing
        wire.until = until
        wire.phase = "body"
        data, self._data = self._data, b""
        try:
            while True:
                if data and (piece := framing.feed(data)):
                    return piece
                if framing.done:
                    return b""
                data = await self._colour.read(wire)
                if not data:
                    raise wire.broken(None)  # noqa: TRY301 - cleaned up like any other failure
        except ValueError as error:
            self._pool.discard(self._link)
            raise unreadable(error, wire) from None
        except BaseException:
            self._pool.discard(self._link)
            raise

    async def end(self) -> None:
        """Give the connection back."""
        if self._framing.extra:
            # Nobody asked for these bytes, and they must not be read as the next answer.
            self._pool.discard(self._link)
        else:
            self._pool.release(self._link)

    async def stop(self) -> None:
        """Give the connection back if the rest is there already, else close it."""
        wire, framing = self._link.wire, self._framing
        wire.until = NO_WAIT
        try:
            framing.feed(self._data)
            for _ in range(_LEFTOVERS):
                if framing.done:
                    break
                data = await self._colour.read(wire)
                if not data:
                    break
                framing.feed(data)
        except (HttpError, ValueError):
            # Nobody asked for these bytes, so what is wrong with them is nobody's trouble.
            self._pool.discard(self._link)
            return
        except BaseException:
            self._pool.discard(self._link)
            raise
        if framing.done:
            await self.end()
        else:
            self._pool.discard(self._link)

    def abandon(self) -> None:
        """Close the connection without waiting, from anywhere."""
        self._pool.abandon(self._link)


def unreadable(error: ValueError, wire: Wire) -> HttpProtocolError:
    """The error for a body whose framing is broken."""
    return HttpProtocolError(f"{wire.place} sent a broken body: {error}", phase="body", sent=True, reused=wire.reused)

"""A response whose body is still to be read, and where that body comes from."""

# ruff: noqa: ANN401 - the objects of httpcore and httpcore2 have the same shape and no common class

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from aistrale.core.content import ContentDecoder
from aistrale.core.exchange import Headers, HttpClosed, HttpDecodeError, HttpError, HttpTooLarge
from aistrale.core.network import NO_WAIT
from aistrale.core.transport import translate

if TYPE_CHECKING:
    from aistrale.core.network import Wire
    from aistrale.core.pool import Link, Pool

MAX_BODY: Final = 64 * 1024 * 1024
READ_SIZE: Final = 64 * 1024
_LEFTOVERS: Final = 8
# Longer numbers are no lengths, and slow to read.
_DIGITS: Final = 20


class Source(Protocol):
    """Where the bytes of a body come from, still in their content coding."""

    async def pull(self, until: float | None) -> bytes:
        """The next piece; b"" at the end. After an error the source has closed itself."""
        ...

    async def end(self) -> None:
        """The body was read to its end: the connection is free."""
        ...

    async def stop(self) -> None:
        """Nothing more is wanted."""
        ...

    def abandon(self) -> None:
        """The same without waiting, from anywhere."""
        ...


class HttpResponse:
    """A response whose head has arrived and whose body is still to be read.

    Args:
        status: Status code; redirects are responses like any other.
        headers: The response headers.
        http_version: Such as "HTTP/1.1".
        source: Where the body comes from.
        max_body: Bound of `read`, in bytes after decoding.
        decode: Whether the content coding is still to be undone.
        reason: The words beside the status code; some SDKs put them into their errors.
    """

    __slots__ = (
        "__weakref__",
        "_decoder",
        "_ended",
        "_kept",
        "_max_body",
        "_source",
        "headers",
        "http_version",
        "reason",
        "status",
    )

    status: int
    headers: Headers
    http_version: str
    reason: str

    def __init__(
        self,
        status: int,
        headers: Headers,
        http_version: str,
        source: Source,
        *,
        max_body: int = MAX_BODY,
        decode: bool = True,
        reason: str = "",
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.http_version = http_version
        self._source: Source | None = source
        self._max_body = max_body
        self._ended = False
        self._kept: list[bytes] | None = None
        self._decoder: ContentDecoder | None = None
        coding = headers.lowered.get("content-encoding")
        if coding is not None and decode:
            try:
                self._decoder = ContentDecoder(coding)
            except ValueError as error:
                self.abandon()
                raise self._undecodable(error) from None

    async def read(self, until: float | None) -> bytes:
        """Read the whole body.

        Args:
            until: Instant of `time.monotonic()` by which it must be complete; None for no limit.

        Returns:
            The body with its content coding undone.

        Raises:
            HttpTooLarge: It exceeds `max_body`, or its head says that it will; the rest was not read and the connection
                is closed.
            HttpError: Any other failure, by its class.
        """
        size, told, data = 0, self._length(), b""
        pieces: list[bytes] = []
        try:
            while data := await self.next_chunk(until):
                size += len(data)
                if size > self._max_body or told > self._max_body:
                    await self.close()
                    raise HttpTooLarge(  # noqa: TRY301 - cleaned up like any other failure
                        f"the response body is larger than {self._max_body} bytes", phase="body", sent=True
                    )
                pieces.append(data)
        except BaseException:
            # A traceback keeps local variables: what had come is neither to be shown there nor to take up memory.
            data = b""
            pieces.clear()
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _length(self) -> int:
        """The length that the head tells; 0 where it tells none."""
        told = self.headers.lowered.get("content-length", "")
        return int(told) if told.isdecimal() and len(told) < _DIGITS else 0

    async def next_chunk(self, until: float | None) -> bytes:
        """Read the next piece of the body as soon as there is one.

        Pieces of a compressed body are at most 256 KiB each; the sum over a stream is not bounded.

        Args:
            until: Instant of `time.monotonic()` by which it must have come; None for no limit.

        Returns:
            Decoded bytes; b"" at the end of the body, by when the connection is free for the next exchange.

        Raises:
            HttpError: By its class; the connection is closed then.
        """
        source = self._source
        if source is None:
            if self._ended:
                return b""
            raise HttpClosed("the response was closed before its body was read", phase="body", sent=True)
        decoder = self._decoder
        try:
            while True:
                if decoder is not None and decoder.pending:
                    data = decoder.feed(b"")
                elif raw := await source.pull(until):
                    data = raw if decoder is None else decoder.feed(raw)
                else:
                    break
                if data:
                    if self._kept is not None:
                        self._kept.append(data)
                    return data
            if decoder is not None:
                decoder.finish()
        except ValueError as error:
            await self.close()
            raise self._undecodable(error) from None
        except BaseException:
            self._source = None
            raise
        self._source, self._ended = None, True
        await source.end()
        return b""

    def keep(self) -> None:
        """Keep what is read from now on, for somebody who wants the bytes themselves beside what they mean."""
        self._kept = []

    def take(self) -> bytes:
        """What has been read and kept since the last time; b"" for nothing."""
        kept = self._kept
        if not kept:
            return b""
        data = kept[0] if len(kept) == 1 else b"".join(kept)
        kept.clear()
        return data

    def _undecodable(self, error: ValueError) -> HttpDecodeError:
        return HttpDecodeError(str(error), phase="body", sent=True)

    async def close(self) -> None:
        """Finish with the response; what was not read is not read any more and its connection is closed."""
        source, self._source = self._source, None
        if source is not None:
            await source.stop()

    def abandon(self) -> None:
        """Close at once without waiting; safe from any thread, in finalizers and outside the event loop."""
        source, self._source = self._source, None
        if source is not None:
            source.abandon()

    def __del__(self) -> None:
        # Slots may be missing where __init__ failed.
        if getattr(self, "_source", None) is not None:
            self.abandon()

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}>"


class Body:
    """The body of a response on one of our own connections."""

    __slots__ = ("_colour", "_iterator", "_link", "_pool", "_response")

    def __init__(self, colour: Colour, pool: Pool, link: Link, response: Any) -> None:
        self._colour = colour
        self._pool = pool
        self._link = link
        self._response = response
        self._iterator = colour.iterate(response)

    async def pull(self, until: float | None) -> bytes:
        """The next piece; b"" at the end."""
        wire = self._link.wire
        wire.until = until
        wire.phase = "body"
        try:
            while True:
                data: bytes | None = await self._colour.advance(self._iterator)
                if data is None:
                    return b""
                if data:
                    return data
        except BaseException as error:  # noqa: BLE001 - raised again
            self._pool.discard(self._link)
            reraise(error, wire)

    async def end(self) -> None:
        """Give the connection back."""
        try:
            await self._colour.finish(self._response)
        except BaseException as error:  # noqa: BLE001 - raised again
            self._pool.discard(self._link)
            reraise(error, self._link.wire)
        self._pool.release(self._link)

    async def stop(self) -> None:
        """Give the connection back if the rest is there already, else close it."""
        # A consumer that has seen "[DONE]" stops right before the last, empty chunk. If that is there already, the
        # connection can be kept; to wait for it is not worth while.
        self._link.wire.until = NO_WAIT
        ended = False
        try:
            for _ in range(_LEFTOVERS):
                if await self._colour.advance(self._iterator) is None:
                    ended = True
                    break
            else:
                await self._colour.leave(self._iterator)
        except Exception as error:
            # Nobody asked for these bytes, so what is wrong with them is nobody's trouble.
            if translate(error, phase="body", sent=True, reused=False, place="") is None:
                raise
        finally:
            if not ended:
                self._pool.discard(self._link)
        if ended:
            await self.end()

    def abandon(self) -> None:
        """Close the connection without waiting, from anywhere."""
        self._pool.abandon(self._link)


def reraise(error: BaseException, wire: Wire) -> NoReturn:
    """Raise an error that happened on a wire, as one of ours where it is one of the HTTP library's."""
    if isinstance(error, HttpError) or not isinstance(error, Exception):
        raise error
    if wire.eof:
        raise wire.broken(None) from None
    ours = translate(error, phase=wire.phase, sent=wire.sent, reused=wire.reused, place=wire.place)
    if ours is None:
        raise error
    raise ours from None


class Colour:
    """The six calls into httpcore and the wire that differ between blocking and async use."""

    __slots__ = ()

    async def send(self, connection: Any, native: object) -> Any:
        """Exchange the request for the head of the response."""
        raise NotImplementedError

    def iterate(self, response: Any) -> Any:
        """The iterator over the body."""
        raise NotImplementedError

    async def advance(self, iterator: Any) -> bytes | None:
        """The next raw piece of a body, None at its end."""
        raise NotImplementedError

    async def finish(self, response: Any) -> None:
        """Tell httpcore that the exchange is over."""
        raise NotImplementedError

    async def leave(self, iterator: Any) -> None:
        """Give up a body that was not read to its end."""
        raise NotImplementedError

    async def read(self, wire: Any) -> bytes:
        """Send what waits on a wire, then what arrives there; b"" at the end."""
        raise NotImplementedError


class Blocking(Colour):
    """Calls that block; the coroutines around them never suspend."""

    __slots__ = ()

    async def send(self, connection: Any, native: object) -> Any:
        """Exchange the request for the head of the response."""
        return connection.handle_request(native)

    def iterate(self, response: Any) -> Any:
        """The iterator over the body."""
        return iter(response.stream)

    async def advance(self, iterator: Any) -> bytes | None:
        """The next raw piece of a body, None at its end."""
        return next(iterator, None)

    async def finish(self, response: Any) -> None:
        """Tell httpcore that the exchange is over."""
        response.close()

    async def leave(self, iterator: Any) -> None:
        """Give up a body that was not read to its end."""
        if hasattr(iterator, "close"):
            iterator.close()

    async def read(self, wire: Any) -> bytes:
        """Send what waits on a wire, then what arrives there; b"" at the end."""
        data: bytes = wire.read(READ_SIZE)
        return data


class Awaiting(Colour):
    """Calls that are awaited."""

    __slots__ = ()

    async def send(self, connection: Any, native: object) -> Any:
        """Exchange the request for the head of the response."""
        return await connection.handle_async_request(native)

    def iterate(self, response: Any) -> Any:
        """The iterator over the body."""
        return aiter(response.stream)

    async def advance(self, iterator: Any) -> bytes | None:
        """The next raw piece of a body, None at its end."""
        return await anext(iterator, None)

    async def finish(self, response: Any) -> None:
        """Tell httpcore that the exchange is over."""
        await response.aclose()

    async def leave(self, iterator: Any) -> None:
        """Give up a body that was not read to its end."""
        if hasattr(iterator, "aclose"):
            await iterator.aclose()

    async def read(self, wire: Any) -> bytes:
        """Send what waits on a wire, then what arrives there; b"" at the end."""
        data: bytes = await wire.read(READ_SIZE)
        return data

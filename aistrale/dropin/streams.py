"""The body of an answer that the calling SDK reads piece by piece: relayed as it comes, or written in its format."""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from aistrale.core.runtime import run_sync
from aistrale.core.sse import encode_sse
from aistrale.dropin.counts import Hiding
from aistrale.dropin.words import told
from aistrale.errors import AistraleError, APIError, ResponseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Protocol

    from aistrale.core.reply import Reply
    from aistrale.core.response import HttpResponse
    from aistrale.core.sse import SSE
    from aistrale.dialects.base import Dialect, EventEncoder

    class Pump(Protocol):
        """Gives the body, piece by piece."""

        async def pull(self) -> bytes:
            """The next piece; b"" at the end. Never raises an error of ours."""
            ...

        async def close(self) -> None:
            """Nothing more is wanted."""
            ...


class _Body:
    """What both pumps have in common: the reply, and the event by which the caller learns that it broke."""

    __slots__ = ("_done", "_reply", "_words")

    def __init__(self, reply: Reply, words: Dialect) -> None:
        self._reply = reply
        self._words = words
        self._done = False

    async def close(self) -> None:
        """Nothing more is wanted."""
        self._done = True
        await self._reply.close()

    def _broken(self, error: AistraleError) -> bytes:
        return framed(self._words.encode_stream_error(told(error)))


class RelayedBody(_Body):
    """The provider's own bytes, as they come.

    Args:
        reply: Sees every event, for the ledger and for the policies.
        kept: Where the bytes are kept as they are read.
        words: Words the error of a stream that breaks.
        asked: Whether token counts were asked for that the caller does not expect; they are taken out.
    """

    __slots__ = ("_hiding", "_kept")

    def __init__(self, reply: Reply, kept: HttpResponse, words: Dialect, *, asked: bool = False) -> None:
        super().__init__(reply, words)
        self._kept = kept
        self._hiding = Hiding() if asked else None

    async def pull(self) -> bytes:
        """The next piece."""
        reply, kept, hiding = self._reply, self._kept, self._hiding
        while True:
            while reply.take() is not None:
                pass
            if data := kept.take():
                if hiding is None:
                    return data
                if data := hiding.feed(data):
                    return data
                continue
            if self._done:
                return b"" if hiding is None else hiding.finish()
            try:
                if await reply.next() is None:
                    self._done = True
            except AistraleError as error:
                self._done = True
                # What the provider itself reported stands in its own bytes.
                cause = error.__cause__
                reported = isinstance(cause, APIError) and not isinstance(cause, ResponseError)
                data = kept.take()
                if hiding is not None:
                    # Half an event would swallow the word of the break, so that one is left out.
                    data = hiding.feed(data) + (hiding.finish() if reported else b"")
                    self._hiding = None
                return data + (b"" if reported else self._broken(error))


class EncodedBody(_Body):
    """Another format's events, written in the caller's.

    Args:
        reply: Where the events come from.
        encoder: Writes them.
        words: Words the error of a stream that breaks.
    """

    __slots__ = ("_encoder",)

    def __init__(self, reply: Reply, encoder: EventEncoder, words: Dialect) -> None:
        super().__init__(reply, words)
        self._encoder = encoder

    async def pull(self) -> bytes:
        """The next piece."""
        encoder, reply = self._encoder, self._reply
        while not self._done:
            frames: list[SSE] = []
            try:
                event = await reply.next()
                if event is None:
                    self._done = True
                    frames = encoder.finish()
                while event is not None:
                    frames += encoder.feed(event)
                    event = reply.take()
            except AistraleError as error:
                self._done = True
                return self._broken(error)
            if frames:
                return framed(frames)
        return b""


def framed(frames: list[SSE]) -> bytes:
    """Events in the form that every vendor's client understands."""
    return b"".join([encode_sse(frame.data, frame.event) for frame in frames])


def body_stream(library: Any, pump: Pump, *, blocking: bool) -> Any:
    """The stream object that a client of the library accepts."""
    return _classes(library)[0 if blocking else 1](pump)


@cache
def _classes(library: Any) -> tuple[type, type]:
    class BlockingStream(library.SyncByteStream):  # type: ignore[misc]  # one of two libraries of the same shape
        def __init__(self, pump: Pump) -> None:
            self._pump = pump

        def __iter__(self) -> Iterator[bytes]:
            while data := run_sync(self._pump.pull()):
                yield data

        def close(self) -> None:
            run_sync(self._pump.close())

    class AsyncStream(library.AsyncByteStream):  # type: ignore[misc]  # likewise
        def __init__(self, pump: Pump) -> None:
            self._pump = pump

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while data := await self._pump.pull():
                yield data

        async def aclose(self) -> None:
            await self._pump.close()

    return BlockingStream, AsyncStream

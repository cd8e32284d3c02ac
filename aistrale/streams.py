"""Streamed answers: the faces that applications iterate, sync and async, over one reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aistrale import turns
from aistrale.core.runtime import run_sync
from aistrale.engine import finish
from aistrale.errors import AistraleError, ConfigurationError
from aistrale.options import build_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    from aistrale.core.call import Call
    from aistrale.core.reply import Reply
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine
    from aistrale.options import Options, Prompt
    from aistrale.types import Completion, Event


def stream_call(engine: Engine, runtime: Runtime, prompt: Prompt, options: Options) -> Call:
    """A streamed call. Raises ConfigurationError for options that only whole answers can honour."""
    try:
        if options.get("max_tool_rounds"):
            raise ConfigurationError(
                "max_tool_rounds does not go with a stream",
                field="max_tool_rounds",
                hint="Use run, or run the tools yourself.",
            )
        return engine.call(build_request(prompt, options, stream=True), options, runtime)
    except AistraleError as error:
        engine.refused(error, options, runtime)
        raise


class _Opened:
    """What both streams share: the reply once it is there, and the answer once it is complete."""

    def __init__(
        self, engine: Engine, call: Call, options: Options, done: Callable[[Completion], None] | None = None
    ) -> None:
        self._engine = engine
        self._call = call
        self._options = options
        self._done = done
        self._reply: Reply | None = None
        self._opened = False
        self._completion: Completion | None = None

    @property
    def call_id(self) -> str:
        """Our id of the call; its ledger rows carry it."""
        return self._call.id

    @property
    def completion(self) -> Completion:
        """The finished answer.

        Raises:
            AistraleError: The stream is not at its end; `result()` reads on to it.
        """
        if self._completion is None:
            broke = self._reply is not None and self._reply.outcome not in {None, "success"}
            hint = "It was closed or broke before." if broke else "Call result(), or iterate to the end first."
            raise AistraleError("the stream is not at its end", hint=hint)
        return self._completion

    def _open_once(self) -> None:
        # The call has been made and recorded; a second one under its id would be recorded as the same.
        if self._opened:
            raise AistraleError("the stream could not be opened before", hint="Ask for a new one.")
        self._opened = True

    def _finished(self, reply: Reply) -> None:
        """Keep the answer, if the stream came to its end; one that was closed or broke has none."""
        if self._completion is None and reply.outcome == "success":
            completion = finish(self._call, reply.accumulated.result())
            if self._options.get("output") is not None and not completion.tool_calls:
                completion = turns.parse(completion, self._options)
            self._completion = completion
            if self._done is not None:
                self._done(completion)


class Stream(_Opened):
    """A streamed answer: an iterator of events and a context manager.

    Every event has `.text`, the visible text that it adds: printing it for every event shows the answer.
    """

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        reply = self._reply or self._open()
        event = reply.take()
        if event is None:
            event = run_sync(reply.next())
            if event is None:
                self._finished(reply)
                raise StopIteration
        return event

    def texts(self) -> Iterator[str]:
        """Only the visible text, piece by piece."""
        for event in self:
            if event.text:
                yield event.text

    def result(self) -> Completion:
        """Read to the end; the finished answer."""
        for _ in self:
            pass
        return self.completion

    def close(self) -> None:
        """Stop reading and free the connection."""
        if self._reply is not None:
            run_sync(self._reply.close())

    def _open(self) -> Reply:
        self._open_once()
        self._reply = run_sync(self._engine.open(self._call))
        return self._reply

    def __enter__(self) -> Self:
        if self._reply is None:
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(_Opened):
    """A streamed answer: an async iterator of events and an async context manager; see Stream."""

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        reply = self._reply or await self._open()
        event = reply.take() or await reply.next()
        if event is None:
            self._finished(reply)
            raise StopAsyncIteration
        return event

    async def texts(self) -> AsyncIterator[str]:
        """Only the visible text, piece by piece."""
        async for event in self:
            if event.text:
                yield event.text

    async def result(self) -> Completion:
        """Read to the end; the finished answer."""
        async for _ in self:
            pass
        return self.completion

    async def close(self) -> None:
        """Stop reading and free the connection."""
        if self._reply is not None:
            await self._reply.close()

    async def _open(self) -> Reply:
        self._open_once()
        self._reply = await self._engine.open(self._call)
        return self._reply

    async def __aenter__(self) -> Self:
        if self._reply is None:
            await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

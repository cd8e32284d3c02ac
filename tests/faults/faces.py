"""One way to ask for all runtimes: a scenario is written once, awaits everything, and never suspends when it blocks."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from aistrale.core.runtime import run_sync


@dataclass
class Asked:
    """What the caller of one call saw."""

    text: str = ""
    completion: object = None
    error: BaseException | None = None
    seconds: float = 0.0
    results: int = 0
    events: list = field(default_factory=list)

    @property
    def call_id(self):
        return self.completion.call_id


class Face:
    """A client, asked in one colour.

    Args:
        client: The client.
        streamed: Whether calls are streamed.
        model: What is asked for unless the options say otherwise.
    """

    def __init__(self, client, *, streamed, model):
        self.client = client
        self.streamed = streamed
        self.model = model

    async def ask(self, prompt="Hi", *, pause=None, **options):
        """One call: its answer or its error.

        Args:
            prompt: The prompt.
            pause: Awaited after each event of a stream, to be a slow reader.
            **options: Of the call.
        """
        seen = Asked()
        options.setdefault("model", self.model)
        start = time.monotonic()
        try:
            if self.streamed:
                async with self.stream(prompt, **options) as stream:
                    async for event in stream:
                        seen.events.append(event)
                        seen.text += event.text
                        if pause is not None:
                            await pause(event)
                seen.completion = stream.completion
            else:
                seen.completion = await self.run(prompt, **options)
                seen.text = seen.completion.text
            seen.results += 1
        except Exception as error:  # noqa: BLE001 - judged by the case
            seen.error = error
            seen.results += 1
        seen.seconds = time.monotonic() - start
        return seen


class Blocking(Face):
    """The blocking client behind awaitable names."""

    async def run(self, prompt, **options):
        return self.client.run(prompt, **options)

    @asynccontextmanager
    async def stream(self, prompt, **options):
        with self.client.stream(prompt, **options) as stream:
            yield _Pulled(stream)

    async def wait(self, seconds):
        """Do nothing for a while."""
        threading.Event().wait(seconds)

    async def together(self, *asks):
        """Run several asks at once; what each came to."""
        found = [None] * len(asks)

        def work(place, ask):
            found[place] = run_sync(ask)

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(asks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


class _Pulled:
    """A blocking stream that can be iterated with `async for`."""

    def __init__(self, stream):
        self._stream = stream

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self._stream)
        except StopIteration:
            raise StopAsyncIteration from None

    def __getattr__(self, name):
        return getattr(self._stream, name)


class Awaiting(Face):
    """The async client."""

    async def run(self, prompt, **options):
        return await self.client.as_async().run(prompt, **options)

    @asynccontextmanager
    async def stream(self, prompt, **options):
        async with self.client.as_async().stream(prompt, **options) as stream:
            yield stream


class OnAsyncio(Awaiting):
    async def wait(self, seconds):
        """Do nothing for a while."""
        await asyncio.sleep(seconds)

    async def together(self, *asks):
        """Run several asks at once; what each came to."""
        return list(await asyncio.gather(*asks))


class OnTrio(Awaiting):
    async def wait(self, seconds):
        """Do nothing for a while."""
        await trio.sleep(seconds)

    async def together(self, *asks):
        """Run several asks at once; what each came to."""
        found = [None] * len(asks)

        async def work(place, ask):
            found[place] = await ask

        async with trio.open_nursery() as nursery:
            for place, ask in enumerate(asks):
                nursery.start_soon(work, place, ask)
        return found


FACES = {"sync": Blocking, "asyncio": OnAsyncio, "trio": OnTrio}


def drive(colour, body, client):
    """Run a scenario to its end in a colour; its result, and how many tasks it left running."""
    if colour == "sync":
        return run_sync(body()), 0
    if colour == "asyncio":
        return asyncio.run(_on_asyncio(body, client))
    return trio.run(_on_trio, body, client)


async def _on_asyncio(body, client):
    try:
        result = await body()
        # httpcore 1 leaves a generator to the collector, which the loop closes in a task of a moment.
        for _ in range(5):
            await asyncio.sleep(0)
        return result, len(asyncio.all_tasks()) - 1
    finally:
        await client.as_async().close()


async def _on_trio(body, client):
    before = trio.lowlevel.current_statistics().tasks_living
    try:
        result = await body()
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        return result, trio.lowlevel.current_statistics().tasks_living - before
    finally:
        await client.as_async().close()

"""Four ways to run the same test body: blocking, blocking inside a running event loop, asyncio, trio."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import trio

import aistrale
from aistrale.core.runtime import run_sync
from aistrale.testing import simulator


class Blocking:
    """The blocking client behind awaitable names, so that a body is written once."""

    def __init__(self, client):
        self.client = client

    async def run(self, prompt, **options):
        return self.client.run(prompt, **options)

    async def embed(self, texts, **options):
        return self.client.embed(texts, **options)

    @asynccontextmanager
    async def stream(self, prompt, **options):
        with self.client.stream(prompt, **options) as stream:
            yield Pulled(stream)

    async def turn(self, session, prompt, **options):
        return session.run(prompt, **options)


class Pulled:
    """A blocking stream that can be iterated with `async for`."""

    def __init__(self, stream):
        self.stream = stream

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self.stream)
        except StopIteration:
            raise StopAsyncIteration from None

    def __getattr__(self, name):
        return getattr(self.stream, name)


class Awaiting:
    """The async client."""

    def __init__(self, client):
        self.client = client.as_async()

    async def run(self, prompt, **options):
        return await self.client.run(prompt, **options)

    async def embed(self, texts, **options):
        return await self.client.embed(texts, **options)

    @asynccontextmanager
    async def stream(self, prompt, **options):
        async with self.client.stream(prompt, **options) as stream:
            yield stream

    async def turn(self, session, prompt, **options):
        return await session.run_async(prompt, **options)


COLOURS = {
    "sync": (Blocking, lambda body, *args: run_sync(body(*args))),
    "sync in a running loop": (Blocking, lambda body, *args: asyncio.run(body(*args))),
    "asyncio": (Awaiting, lambda body, *args: asyncio.run(body(*args))),
    "trio": (Awaiting, trio.run),
}


@pytest.fixture(scope="session")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture(params=["httpx", "httpx2"])
def http(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(params=COLOURS)
def paint(request, running, http):
    """Run a body in one colour: `paint(body, **settings)`; the body gets the face, the simulator, and the client."""
    face, drive = COLOURS[request.param]
    clients = []

    def run(body, **settings):
        running.reset()
        client = aistrale.Client(**{**running.settings(), "http": http, **settings})
        clients.append(client)

        async def whole():
            try:
                return await body(face(client), running, client)
            finally:
                if face is Awaiting:
                    await client.as_async().close()

        return drive(whole)

    yield run
    for client in clients:
        client.close()

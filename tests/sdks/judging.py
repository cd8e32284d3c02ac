"""What the tests of all SDKs share: one body for the blocking and the async client, and the questions that are asked."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
QUESTION = "What is the weather in 'Paris'?"
TWO = "What is the weather in 'Paris' and in 'Rome'?"


class Judge:
    """One SDK's client, blocking or async, behind awaitable names.

    Args:
        colour: "sync" or "async".
    """

    def __init__(self, colour):
        self.colour = colour

    def pick(self, blocking, awaiting):
        return awaiting if self.colour == "async" else blocking

    async def get(self, value):
        """A result, awaited where it has to be."""
        return await value if inspect.isawaitable(value) else value

    async def all(self, stream):
        """Everything that a stream gives, which is closed afterwards where it can be."""
        stream = await self.get(stream)
        if hasattr(stream, "__aiter__"):
            return [item async for item in stream]
        return list(stream)

    @asynccontextmanager
    async def inside(self, manager):
        """A context manager of either colour."""
        if hasattr(manager, "__aenter__"):
            async with manager as value:
                yield value
        else:
            with manager as value:
                yield value

    def set_up(self, **settings):
        """What `init` is to be given, where it is called."""

    def run(self, body):
        return asyncio.run(body())

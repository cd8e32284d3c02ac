"""Small scenarios, written as the tables of a TOML file would be."""

from __future__ import annotations

from copy import deepcopy

import pytest

from aistrale.core.call import Call
from aistrale.policies import build
from aistrale.simulation import SimRuntime, World, parse
from aistrale.types import Message, Request

SMALL = {
    "title": "small",
    "duration": 60.0,
    "bucket": 5.0,
    "clients": {"count": 20, "rate": 0.5},
    "calls": {"deadline": 15.0, "first_token": 2.0},
    "targets": [{"name": "openai/gpt-5-mini", "latency": 0.1}],
}


@pytest.fixture
def tables():
    """A scenario's tables, to be changed and parsed."""
    return deepcopy(SMALL)


class Stage:
    """One world without clients: calls are made one by one."""

    def __init__(self, document, seed=1):
        self.scenario = parse(document)
        self.runtime = SimRuntime(seed)
        self.world = World(self.scenario, self.runtime, seed)
        self.pipeline = build({}, self.world.send)

    def call(self):
        request = Request(model=self.world.targets[0].model, messages=[Message.user("hi")], stream=self.scenario.stream)
        return Call(request, list(self.world.targets), self.runtime, clocks=self.scenario.clocks)

    async def ask(self, call):
        """The text of the answer."""
        reply = await self.pipeline(call)
        return (await reply.completion()).text

    def run(self, call=None, at=0.0):
        """Make a call at an instant; its answer or error, and the call."""
        call_at = call

        async def body():
            nonlocal call_at
            await self.runtime.sleep(at - self.runtime.now())
            call_at = call_at or self.call()
            try:
                return await self.ask(call_at)
            except Exception as error:  # noqa: BLE001 - the error is what is looked at
                return error

        return self.runtime.run(body()), call_at


@pytest.fixture
def stage(tables):
    """Makes a world of the small scenario with other fields of its first target, or of its calls."""

    def made(calls=None, **target):
        tables["targets"][0].update(target)
        tables["calls"].update(calls or {})
        return Stage(tables)

    return made

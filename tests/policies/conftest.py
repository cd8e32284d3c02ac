"""A runtime with a clock that only sleeping moves, and calls whose targets are scripted."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date

import pytest

from aistrale.core.call import Attempt, Call, Clocks, Target
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.dialects.base import Profile
from aistrale.policies import build
from aistrale.providers import get_provider
from aistrale.providers.catalog import ModelFacts
from aistrale.types import Choice, Completion, Message, Request, Whole


class VirtualRuntime:
    """Time passes only while something sleeps."""

    def __init__(self):
        self.random = random.Random(7)
        self.time = 100.0
        self.slept = []

    def now(self):
        return self.time

    def wall(self):
        return 1_700_000_000.0 + self.time

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds


@dataclass
class Script:
    """What each target answers: exceptions are raised, text becomes a completion; `took` seconds pass before each."""

    steps: dict[str, list]
    runtime: VirtualRuntime = field(default_factory=VirtualRuntime)
    took: float = 0.0
    tried: list[str] = field(default_factory=list)

    async def send(self, call):
        name = call.target.name
        self.tried.append(name)
        call.attempts.append(Attempt(len(call.attempts) + 1, call.target, self.runtime.time, self.runtime.wall()))
        self.runtime.time += self.took
        steps = self.steps[name]
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, BaseException):
            raise step
        return Reply([Whole(Completion(choices=[Choice(Message.assistant(step), "stop")]))])

    def call(self, **options):
        names = list(self.steps)
        clocks = Clocks(total=options.pop("total", 60.0))
        request = Request(model=names[0], messages=[Message.user("hi")])
        windows = options.pop("windows", {})
        targets = [target(name, windows.get(name)) for name in names]
        return Call(request, targets, self.runtime, clocks=clocks, **options)

    def run(self, call=None, **policies):
        call = call or self.call()
        pipeline = build(policies, self.send)
        return run_sync(answer(pipeline, call))


async def answer(pipeline, call):
    reply = await pipeline(call)
    return (await reply.completion()).text


def target(name, window=None):
    provider, _, model = name.partition("/")
    facts = None
    if window is not None:
        facts = ModelFacts(provider=provider, id=model, context=window, as_of=date(2026, 11, 1))
    return Target(
        name=name,
        provider=get_provider(provider),
        model=model,
        dialect="openai_chat",
        base_url="http://127.0.0.1",
        profile=Profile(provider=provider, model=model),
        facts=facts,
    )


@pytest.fixture(scope="session")
def script():
    return lambda **options: Script(
        {name.replace("__", "/"): steps for name, steps in options.pop("steps").items()}, **options
    )

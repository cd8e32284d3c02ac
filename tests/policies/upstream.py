"""A provider in a few lines, and calls to it on real runtimes whose wall clock the test moves."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace

import trio

from aistrale.core.call import Attempt, Call, Clocks, Target
from aistrale.core.http import AsyncHttp, SyncHttp
from aistrale.core.pipeline import Pipeline
from aistrale.core.replay import events_of
from aistrale.core.reply import Reply
from aistrale.core.runtime import AsyncRuntime, SyncRuntime, run_sync
from aistrale.dialects.base import Profile
from aistrale.errors import StreamInterrupted
from aistrale.providers import get_provider
from aistrale.providers.catalog import lookup
from aistrale.types import Choice, Completion, Embedded, Embeddings, EmbedRequest, Message, Request, Usage, Whole

NOW = 1_700_000_000.0


class Clocked:
    """The wall clock is the test's; a time that a test sets is seconds after NOW."""

    time = 0.0

    def wall(self):
        return NOW + Clocked.time


class Blocking(Clocked, SyncRuntime):
    pass


class Awaiting(Clocked, AsyncRuntime):
    pass


def blocking():
    return Blocking(SyncHttp())


def drive_sync(body):
    return run_sync(body(blocking()))


def drive_async(run):
    def drive(body):
        async def whole():
            runtime = Awaiting(AsyncHttp())
            try:
                return await body(runtime)
            finally:
                await runtime.http.close()

        return run(whole)

    return drive


DRIVES = {
    "sync": drive_sync,
    "asyncio": drive_async(lambda body: asyncio.run(body())),
    "trio": drive_async(trio.run),
}


def said(text="Hello", reason="stop", **fields):
    return Completion(
        **{
            "id": "id-1",
            "model": "m-1",
            "choices": [Choice(Message.assistant(text), reason)],
            "usage": Usage(input=3, output=2),
            **fields,
        }
    )


class Batches:
    """The rest of a stream; an exception among the batches is raised."""

    def __init__(self, batches):
        self.batches = list(batches)

    async def pull(self):
        if not self.batches:
            return None
        batch = self.batches.pop(0)
        if isinstance(batch, BaseException):
            raise batch
        return batch

    async def close(self):
        pass

    def abandon(self):
        pass

    def broken(self, error, partial):
        return StreamInterrupted("cut", partial_text=partial.text)


class Upstream:
    """Gives its answers in order, the last one for ever.

    An answer is a completion, embeddings, events, an exception, or a function of the call. While `holding`, exchanges
    wait until `release`.
    """

    def __init__(self, *answers):
        self.answers = list(answers) or [said()]
        self.asked = []
        self.holding = False
        self.held = []

    async def send(self, call):
        self.asked.append(call)
        call.attempt = Attempt(len(call.attempts) + 1, call.target, call.runtime.now(), call.runtime.wall())
        call.attempt.request_id = f"req-{len(self.asked)}"
        call.attempts.append(call.attempt)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.holding:
            waiter = call.runtime.waiter()
            self.held.append(waiter)
            assert await waiter.wait(10.0)
        return self.reply(call, answer)

    def reply(self, call, answer):
        if callable(answer):
            answer = answer(call)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Embeddings):
            return Reply([Embedded(copy.deepcopy(answer))])
        if isinstance(answer, Completion):
            answer = copy.deepcopy(answer)
            if not call.stream:
                return Reply([Whole(answer)])
            answer = events_of(answer)
        return Reply(
            [answer[0]], Batches([each] if not isinstance(each, BaseException) else each for each in answer[1:])
        )

    def release(self):
        """Let the exchange that waits longest go on."""
        self.held.pop(0).wake()


def target(name="openai/gpt-5-mini", **changes):
    provider, _, model = name.partition("/")
    made = Target(
        name=name,
        provider=get_provider(provider),
        model=model,
        dialect="openai_chat",
        base_url="http://127.0.0.1",
        profile=Profile(provider=provider, model=model),
        facts=lookup(provider, model),
    )
    return replace(made, **changes)


class Desk:
    """Makes calls and runs them through policies in front of an upstream."""

    def __init__(self, upstream, *places, targets=("openai/gpt-5-mini",)):
        self.upstream = upstream
        self.targets = [target(name) for name in targets]
        self.pipeline = Pipeline(list(enumerate(places)), upstream.send)

    def call(self, runtime, text="hi", *, total=60.0, context=None, embed=None, **fields):
        if embed is not None:
            request = EmbedRequest(model="m", inputs=embed, **fields)
        else:
            request = Request(model="m", messages=[Message.user(text)], **fields)
        options = {} if context is None else {"context": context}
        return Call(request, list(self.targets), runtime, clocks=Clocks(total=total), **options)

    async def ask(self, runtime, text="hi", **options):
        """The answer, as the engine hands it out, and the call."""
        call = self.call(runtime, text, **options)
        return await self.run(call), call

    async def run(self, call):
        reply = await self.pipeline(call)
        completion = await reply.completion()
        return reply.accumulated.embeddings or completion


async def lesser(call, call_next, /):
    """A policy whose answers are never those that were asked for."""
    reply = await call_next(call)
    call.degraded = "smaller_model"
    return reply


async def pulled(reply):
    """All events of a reply."""
    events = []
    while (event := await reply.next()) is not None:
        events.append(event)
    return events

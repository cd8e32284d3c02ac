"""A pipeline whose targets stream scripted events and break where they are told to; everything else is real."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from aistrale.core.call import Call, Clocks, StreamRules, Target
from aistrale.core.faults import interrupted
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.core.send import settle
from aistrale.cost.prices import price_usage
from aistrale.errors import NetworkError
from aistrale.policies import build
from aistrale.policies.encode import Encode
from aistrale.policies.failover import Failover, FailoverRules
from aistrale.policies.hold import Hold
from aistrale.policies.journal import Journal
from aistrale.policies.meter import Meter
from aistrale.policies.resume import Resume
from aistrale.policies.retry import Backoff, Retry
from aistrale.providers import get_provider
from aistrale.reliability.budget import RetryBudget, RetryBudgetSettings
from aistrale.store.records import AttemptRow, CallRow, IntentRow
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Completion,
    Finish,
    Message,
    ReplyEnd,
    ReplyStart,
    Request,
    TextDelta,
    TextPart,
    Usage,
    UsageUpdate,
    Whole,
)

A, B, C = "openai/gpt-5-mini", "anthropic/claude-opus-5", "groq/llama-3.3-70b-versatile"
OLD = "anthropic/claude-haiku-4-5"
"""Takes the beginning of its own answer."""


def target(name):
    provider, _, model = name.partition("/")
    found = get_provider(provider)
    return Target(
        name=name,
        provider=found,
        model=model,
        dialect=found.dialect,
        base_url="http://127.0.0.1",
        profile=found.profile(model, None),
    )


TARGETS = {name: target(name) for name in (A, B, C, OLD)}


USED = Usage(input=20, output=4)


class Clock:
    """A runtime in which only sleeping takes time."""

    blocking = True

    def __init__(self):
        self.random = random.Random(1)
        self.time = 1000.0

    def now(self):
        return self.time

    def wall(self):
        return self.time

    async def sleep(self, seconds):
        self.time += seconds


class Feed:
    """A source of batches; an exception among them is raised, a function is called."""

    def __init__(self, batches, attempt):
        self.batches = deque(batches)
        self.attempt = attempt
        self.closed = self.abandoned = 0

    async def pull(self):
        while self.batches:
            batch = self.batches.popleft()
            if isinstance(batch, BaseException):
                raise batch
            if not callable(batch):
                return batch
            batch()
        return None

    async def close(self):
        self.closed += 1

    def abandon(self):
        self.abandoned += 1

    def broken(self, error, partial):
        return interrupted(error, self.attempt, partial)


@dataclass
class Lab:
    """What each target answers, one entry for each attempt: batches of events, an error, or a whole completion."""

    legs: dict[str, list]
    clock: Clock = field(default_factory=Clock)
    asked: list = field(default_factory=list)
    feeds: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    budgets: dict = field(default_factory=dict)
    predicates: tuple = ()
    tokens: float = 10.0
    when_all_down: str = "fail"

    def append(self, *rows):
        self.rows.extend(rows)
        return True

    def budget(self, target):
        name = target.provider.name
        if name not in self.budgets:
            self.budgets[name] = RetryBudget(RetryBudgetSettings(tokens=self.tokens))
        return self.budgets[name]

    async def send(self, call):
        attempt = call.attempt
        self.asked.append((attempt.target.name, call.request, call.prepared[attempt.target.name].http.body))
        leg = self.legs[attempt.target.name].pop(0)
        if isinstance(leg, BaseException):
            settle(call, attempt, "error" if isinstance(leg, Exception) else "cancelled", leg)
            raise leg
        attempt.status = 200
        attempt.request_id = f"req_{attempt.number}"
        if isinstance(leg, Completion):
            reply = Reply([Whole(leg)])
        else:
            feed = Feed(leg[1:], attempt)
            self.feeds.append(feed)
            reply = Reply(leg[0], feed)

        def closed(reply, error):
            attempt.usage = reply.accumulated.completion.usage
            settle(call, attempt, reply.outcome, error)

        reply.on_close(closed)
        return reply

    def pipeline(self):
        backoff = Backoff(base=0.01, cap=0.01)
        rules = FailoverRules(when_all_down=self.when_all_down)
        journal = Journal(self, price_usage)
        return build(
            {
                "meter": Meter(self, journal.settle),
                "resume": Resume(self.budget),
                "failover": Failover(backoff, self.budget, lambda _: rules),
                "retry": Retry(backoff, self.budget),
                "hold": Hold(lambda _: self.predicates),
                "encode": Encode(),
                "journal": journal,
            },
            self.send,
        )

    def call(self, mode="resume", *, stream=True, total=60.0, rules=None, **request):
        asked = Request(model="", messages=[Message.user("Count.")], stream=stream, **request)
        targets = [TARGETS[name] for name in self.legs]
        asked.model = targets[0].model
        call = Call(asked, targets, self.clock, clocks=Clocks(total=total), on_unsupported="drop")
        if stream:
            call.streaming = StreamRules(mode=mode, **(rules or {}))
        return call

    def open(self, mode="resume", **options):
        """The call and its reply."""
        call = self.call(mode, **options)
        return call, run_sync(self.pipeline()(call))

    def read(self, mode="resume", **options):
        """Every event of a call, the reply and the call."""
        call, reply = self.open(mode, **options)
        return pull_all(reply), reply, call

    @property
    def attempts(self):
        """The settled rows of the attempts."""
        return [row for row in self.rows if isinstance(row, AttemptRow)]

    @property
    def calls(self):
        """The rows of the calls."""
        return [row for row in self.rows if isinstance(row, CallRow)]

    def balanced(self):
        """Whether every intent was settled once and before its call's one row, which counts them all."""
        intents = [row.attempt for row in self.rows if isinstance(row, IntentRow)]
        settled = [row.attempt for row in self.attempts]
        (call,) = self.calls
        return intents == sorted(settled) == list(range(1, call.attempts + 1)) and self.rows[-1] is call


def pull_all(reply):
    events = []
    while (event := run_sync(reply.next())) is not None:
        events.append(event)
    return events


def cut(error=None):
    return error or NetworkError("the connection was reset", provider="x", sent=True, phase="body")


def begun(*pieces, name="r1", model="m1"):
    """The batches of an answer that has no end."""
    start = [ReplyStart(name, model), BlockStart(0, TextPart(""))]
    batches = [[TextDelta(piece, 0)] for piece in pieces]
    return [start + batches[0], *batches[1:]]


def whole(*pieces, name="r2", model="m2", usage=USED, reason="stop"):
    """The batches of an answer that is complete."""
    told = [UsageUpdate(usage)] if usage is not None else []
    return [*begun(*pieces, name=name, model=model), [BlockEnd(0), Finish(reason)], [*told, ReplyEnd()]]

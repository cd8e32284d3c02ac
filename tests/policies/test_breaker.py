"""The policy around the breaker: who is let through, what is reported, what a provider's own word does."""

from __future__ import annotations

import random

import pytest

from aistrale.core.call import Attempt
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.errors import (
    AuthenticationError,
    CircuitOpen,
    DeadlineExceeded,
    InvalidRequestError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from aistrale.policies import build
from aistrale.policies.breaker import CircuitBreaker
from aistrale.policies.state import States
from aistrale.reliability.breaker_types import BreakerSettings
from aistrale.reliability.budget import RetryBudgetSettings
from aistrale.reliability.limits import LimitSettings
from aistrale.types import TextDelta

ONE, TWO = "openai/gpt-5-mini", "openai/gpt-5-nano"


@pytest.fixture
def stage(script):
    class Stage:
        def __init__(self, *steps, enabled=True):
            self.sim = script(steps={ONE: list(steps)})
            self.states = States(
                breaker=BreakerSettings(trickle=0.0),
                budget=RetryBudgetSettings(),
                limits={"default": LimitSettings()},
                rng=random.Random(3),
            )
            self.policy = CircuitBreaker(self.states.of, enabled=enabled)
            self.pipeline = build({"breaker": self.policy}, self.sim.send)
            self.state = self.states.of(self.sim.call().target)

        def open(self, call=None):
            """The reply, not read yet."""
            return run_sync(self.pipeline(call or self.sim.call()))

        def run(self, call=None):
            reply = self.open(call)
            return run_sync(reply.completion()).text

        def fail(self, kind, call=None):
            with pytest.raises(kind) as caught:
                self.run(call)
            return caught.value

        @property
        def now(self):
            return self.sim.runtime.now()

        @property
        def is_open(self):
            return self.state.breaker.state(self.now) == "open"

    return Stage


def down():
    return ServerError("down", status=500)


def test_three_failures_in_a_row_open_it_and_nothing_more_is_sent(stage):
    made = stage(down(), down(), down(), "never")
    for _ in range(3):
        made.fail(ServerError)
    error = made.fail(CircuitOpen)
    assert len(made.sim.tried) == 3
    assert error.target == ONE
    assert 2.5 <= error.retry_after <= 7.6
    assert made.state.stats.score(made.now).samples == 3


def test_a_refusal_is_not_counted_as_a_failure(stage):
    made = stage(down())
    for _ in range(3):
        made.fail(ServerError)
    for _ in range(5):
        made.fail(CircuitOpen)
    assert made.state.breaker.snapshot(made.now).calls <= 3
    assert made.state.stats.in_flight == 0


def test_two_probes_close_it_again(stage):
    made = stage(down(), down(), down(), "fine")
    for _ in range(3):
        made.fail(ServerError)
    made.sim.runtime.time += 8.0
    assert made.run() == "fine"
    assert made.run() == "fine"
    assert made.state.breaker.state(made.now) == "closed"


@pytest.mark.parametrize(
    "error", [InvalidRequestError("bad", status=400), DeadlineExceeded("late"), RateLimitError("slow", status=429)]
)
def test_what_is_not_the_targets_fault_does_not_open_it(stage, error):
    made = stage(error)
    for _ in range(10):
        made.fail(type(error))
    assert not made.is_open


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
def test_a_cancelled_probe_gives_its_permit_back(stage, kind):
    made = stage(down(), down(), down(), kind(), "fine")
    for _ in range(3):
        made.fail(ServerError)
    made.sim.runtime.time += 8.0
    made.fail(kind)
    assert made.state.breaker.state(made.now) == "half_open"
    assert made.run() == "fine"


def test_a_probe_has_told_what_it_was_to_find_out_when_content_is_there(stage):
    made = stage(down(), down(), down(), "fine")
    for _ in range(3):
        made.fail(ServerError)
    made.sim.runtime.time += 8.0
    first = made.open()
    second = made.open()
    assert made.state.breaker.state(made.now) == "closed"
    assert made.state.stats.in_flight == 2
    for reply in (first, second):
        run_sync(reply.close())
    assert made.state.stats.in_flight == 0


def test_a_rejected_key_is_not_sent_again_and_raises_the_same_error(stage):
    made = stage(AuthenticationError("bad", status=401), "fine")
    made.fail(AuthenticationError)
    error = made.fail(AuthenticationError)
    assert "not sent" in str(error)
    assert len(made.sim.tried) == 1
    made.sim.runtime.time += 8.0
    assert made.run() == "fine"


def test_exhausted_quota_holds_every_target_of_the_key(stage):
    made = stage(QuotaExceededError("spent", status=402, retry_after=3600.0), "fine")
    made.fail(QuotaExceededError)
    call = made.sim.call()
    other = made.states.of(call.target)
    assert other.key.check(made.now) is not None
    assert made.states.availability(call.target, made.now) == "open"
    made.sim.runtime.time += 3500.0
    made.fail(QuotaExceededError)
    made.sim.runtime.time += 101.0
    assert made.run() == "fine"


def test_a_long_announced_wait_opens_it_until_then(stage):
    made = stage(RateLimitError("slow", status=429, retry_after=120.0), "fine")
    made.fail(RateLimitError)
    error = made.fail(CircuitOpen)
    assert error.reason == "retry_after"
    assert 119.0 <= error.retry_after <= 157.0
    made.sim.runtime.time += 157.0
    assert made.run() == "fine"


def test_the_last_resort_passes_everything(stage):
    made = stage(down(), down(), down(), "fine")
    for _ in range(3):
        made.fail(ServerError)
    call = made.sim.call()
    call.forced = True
    assert made.run(call) == "fine"


def test_switched_off_it_only_keeps_the_statistics(stage):
    made = stage(down(), enabled=False)
    for _ in range(10):
        made.fail(ServerError)
    assert made.state.breaker.state(made.now) == "closed"
    assert made.state.stats.score(made.now).samples == 10


def test_a_stream_that_breaks_off_counts_as_what_broke_it(stage):
    made = stage("fine")
    causes = [ServerError("down", status=500), RateLimitError("slow", status=429, retry_after=60.0)]

    class Breaking:
        def __init__(self, cause):
            self.cause = cause

        async def pull(self):
            raise self.cause

        def broken(self, error, _partial):
            return StreamInterrupted(f"broke off: {error.message}")

    async def read(cause):
        async def send(call):
            call.attempt = Attempt(1, call.target, call.runtime.now(), 0.0)
            call.attempts.append(call.attempt)
            return Reply([TextDelta("x", 0)], Breaking(cause))

        reply = await build({"breaker": made.policy}, send)(made.sim.call())
        await reply.completion()

    for cause in causes:
        with pytest.raises(StreamInterrupted):
            run_sync(read(cause))
    assert made.state.breaker.snapshot(made.now).in_a_row == 1
    assert made.is_open

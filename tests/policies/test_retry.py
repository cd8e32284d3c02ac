from __future__ import annotations

import random

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import (
    AttemptTimeout,
    AuthenticationError,
    ConnectError,
    InvalidRequestError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
    TLSError,
)
from aistrale.policies.retry import Backoff, Retry, retryable, spread

ONE = "openai/gpt-5-mini"


def test_a_passing_failure_is_tried_again(script):
    sim = script(steps={ONE: [ServerError("down", status=500), OverloadedError("busy", status=503), "fine"]})
    assert sim.run(retry=Retry()) == "fine"
    assert len(sim.tried) == 3
    assert len(sim.runtime.slept) == 2


def test_the_last_error_is_raised_when_attempts_are_used_up(script):
    sim = script(
        steps={ONE: [ServerError("one", status=500), ServerError("two", status=502), ServerError("three", status=504)]}
    )
    with pytest.raises(ServerError, match="three"):
        sim.run(retry=Retry(Backoff(attempts=3)))
    assert len(sim.tried) == 3


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("bad key", status=401),
        InvalidRequestError("bad field", status=400),
        QuotaExceededError("no credit", status=429),
        TLSError("certificate"),
        StreamInterrupted("cut"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lasting_failure_is_raised_at_once(script, error):
    sim = script(steps={ONE: [error, "never"]})
    with pytest.raises(type(error)):
        sim.run(retry=Retry())
    assert len(sim.tried) == 1
    assert sim.runtime.slept == []


@pytest.mark.parametrize("error", [ConnectError("refused"), AttemptTimeout("slow"), RateLimitError("slow", status=429)])
def test_network_and_throttling_are_passing(error):
    assert retryable(error)


@pytest.mark.parametrize(("told", "expected"), [(True, True), (False, False)])
def test_the_providers_own_verdict_wins(told, expected):
    error = InvalidRequestError("odd", status=400) if told else ServerError("no", status=500)
    error.should_retry = told
    assert retryable(error) is expected


def test_retry_after_is_never_shortened(script):
    sim = script(steps={ONE: [RateLimitError("slow", status=429, retry_after=7.0), "fine"]})
    assert sim.run(retry=Retry(Backoff(cap=1.0))) == "fine"
    assert 7.0 <= sim.runtime.slept[0] <= 9.2


def test_a_wait_that_does_not_fit_the_deadline_raises_at_once(script):
    sim = script(steps={ONE: [RateLimitError("slow", status=429, retry_after=7.0), "fine"]})
    with pytest.raises(RateLimitError):
        sim.run(sim.call(total=5.0), retry=Retry())
    assert sim.runtime.slept == []


def test_nothing_waits_while_another_target_is_untried(script):
    sim = script(steps={ONE: [RateLimitError("slow", status=429, retry_after=1.0), "fine"]})
    call = sim.call()
    call.others = list(call.targets)
    with pytest.raises(RateLimitError):
        sim.run(call, retry=Retry())
    assert sim.runtime.slept == []


def test_attempts_fit_into_the_deadline_when_each_takes_time(script):
    sim = script(steps={ONE: [ServerError("down", status=500)]}, took=2.0)
    call = sim.call(total=5.0)
    with pytest.raises(ServerError):
        sim.run(call, retry=Retry(Backoff(attempts=10)))
    assert sim.runtime.time <= call.deadline + 2.0
    assert len(sim.tried) < 10


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()], ids=repr)
def test_what_ends_the_program_is_never_swallowed(script, error):
    sim = script(steps={ONE: [error, "never"]})
    with pytest.raises(type(error)):
        sim.run(retry=Retry())
    assert len(sim.tried) == 1


def test_tenacity_strategies_are_taken(script):
    sim = script(steps={ONE: [ServerError("down", status=500)]})
    backoff = Backoff(
        wait=tenacity.wait_fixed(2.5), stop=tenacity.stop_after_attempt(4) | tenacity.stop_after_delay(100)
    )
    with pytest.raises(ServerError):
        sim.run(retry=Retry(backoff))
    assert sim.runtime.slept == [2.5, 2.5, 2.5]
    assert "stop_any" in Retry(backoff).describe()


@given(announced=st.floats(0, 3600), seed=st.integers())
def test_an_announced_wait_is_spread_and_never_shortened(announced, seed):
    assert announced <= spread(announced, random.Random(seed)) <= announced + max(min(1.0, announced), 0.3 * announced)


@given(made=st.integers(1, 10_000), seed=st.integers())
def test_backoff_stays_under_its_cap_and_never_overflows(made, seed):
    class FakeRuntime:
        random = __import__("random").Random(seed)

    class FakeCall:
        runtime = FakeRuntime

    assert 0 <= Backoff(base=0.5, cap=8.0).delay(made, FakeCall, ServerError("down")) <= 8.0


def test_waits_at_the_cap_differ(script):
    class FakeCall:
        class runtime:  # noqa: N801
            random = random.Random(1)

    waits = {Backoff().delay(50, FakeCall, ServerError("down")) for _ in range(100)}
    assert len(waits) == 100

from __future__ import annotations

import pytest

from aistrale.errors import (
    AllTargetsFailed,
    AuthenticationError,
    CircuitOpen,
    ConnectError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceeded,
    InvalidRequestError,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
    TLSError,
)
from aistrale.policies.failover import Failover
from aistrale.policies.retry import Retry

ONE, TWO, THREE = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "groq/llama-3.3-70b-versatile"


@pytest.mark.parametrize(
    "error",
    [
        ServerError("down", status=500),
        RateLimitError("slow", status=429, retry_after=30.0),
        QuotaExceededError("no credit", status=429),
        ConnectError("refused"),
        ResponseError("empty", status=200),
        CircuitOpen("open"),
        InvalidRequestError("this model takes no images"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_next_target_answers_at_once(script, error):
    sim = script(steps={ONE: [error], TWO: ["fine"]})
    assert sim.run(failover=Failover(), retry=Retry()) == "fine"
    assert sim.tried == [ONE, TWO]
    assert sim.runtime.slept == []


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("bad key", status=401),
        InvalidRequestError("bad field", status=400),
        ContentFilterError("refused", status=400),
        TLSError("certificate"),
        DeadlineExceeded("late"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_other_target_may_hide_is_raised(script, error):
    sim = script(steps={ONE: [error], TWO: ["never"]})
    with pytest.raises(type(error)):
        sim.run(failover=Failover(), retry=Retry())
    assert sim.tried == [ONE]


def test_all_targets_failed_holds_every_error(script):
    sim = script(
        steps={
            ONE: [ServerError("one", status=500)],
            TWO: [RateLimitError("two", status=429)],
            THREE: [ConnectError("three")],
        }
    )
    with pytest.raises(AllTargetsFailed) as caught:
        sim.run(failover=Failover())
    assert [type(error) for error in caught.value.exceptions] == [ServerError, RateLimitError, ConnectError]
    assert sim.tried == [ONE, TWO, THREE]
    for word in ("one", "two", "three"):
        assert word in str(caught.value)


def test_only_the_last_target_waits(script):
    sim = script(steps={ONE: [ServerError("down", status=500)], TWO: [ServerError("down", status=500), "fine"]})
    assert sim.run(failover=Failover(), retry=Retry()) == "fine"
    assert sim.tried == [ONE, TWO, TWO]
    assert len(sim.runtime.slept) == 1


def test_a_prompt_that_is_too_long_goes_to_a_larger_window_only(script):
    sim = script(steps={ONE: [ContextLengthError("long", status=400)], TWO: ["never"], THREE: ["fine"]})
    call = sim.call(windows={ONE: 100, TWO: 50, THREE: 200})
    assert sim.run(call, failover=Failover()) == "fine"
    assert sim.tried == [ONE, THREE]


def test_a_prompt_that_fits_nowhere_is_the_callers_to_know(script):
    sim = script(steps={ONE: [ContextLengthError("long", status=400)], TWO: ["never"]})
    with pytest.raises(ContextLengthError):
        sim.run(sim.call(windows={ONE: 100, TWO: 50}), failover=Failover())


def test_one_target_keeps_its_own_error(script):
    sim = script(steps={ONE: [ServerError("down", status=500)]})
    with pytest.raises(ServerError):
        sim.run(failover=Failover())

from __future__ import annotations

import pytest

from aistrale.errors import (
    AllTargetsFailed,
    AttemptTimeout,
    AuthenticationError,
    CircuitOpen,
    ConnectError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceeded,
    InvalidRequestError,
    OverloadedError,
    QueueTimeout,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
    TLSError,
)
from aistrale.policies.failover import Failover, FailoverRules
from aistrale.policies.retry import Retry
from aistrale.reliability.backoff import Backoff
from aistrale.reliability.budget import RetryBudget, RetryBudgetSettings


class Budgets:
    """One budget per provider."""

    def __init__(self, tokens=10.0):
        self.tokens = tokens
        self.made = {}

    def __call__(self, target):
        return self.made.setdefault(target.provider.name, RetryBudget(RetryBudgetSettings(tokens=self.tokens)))


def policies(attempts=3, tokens=10.0, **rules):
    """Failover and retry as a client has them."""
    backoff, budgets, own = Backoff(attempts=attempts), Budgets(tokens), FailoverRules(**rules)
    return {"failover": Failover(backoff, budgets, lambda _: own), "retry": Retry(backoff, budgets)}


ONE, TWO, THREE = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "groq/llama-3.3-70b-versatile"


@pytest.mark.parametrize(
    "error",
    [
        ServerError("down", status=500),
        RateLimitError("slow", status=429, retry_after=30.0),
        QuotaExceededError("no credit", status=429),
        AttemptTimeout("silent"),
        ResponseError("empty", status=200),
        CircuitOpen("open"),
        InvalidRequestError("this model takes no images"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_next_target_answers_at_once(script, error):
    sim = script(steps={ONE: [error], TWO: ["fine"]})
    assert sim.run(**policies()) == "fine"
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
        sim.run(**policies())
    assert sim.tried == [ONE]


def test_all_targets_failed_holds_every_error(script):
    sim = script(
        steps={
            ONE: [ServerError("one", status=500)],
            TWO: [RateLimitError("two", status=429)],
            THREE: [AttemptTimeout("three")],
        }
    )
    with pytest.raises(AllTargetsFailed) as caught:
        sim.run(**policies(when_all_down="fail"))
    assert [type(error) for error in caught.value.exceptions] == [ServerError, RateLimitError, AttemptTimeout]
    assert sim.tried == [ONE, TWO, THREE]
    assert sim.runtime.slept == []
    for word in ("one", "two", "three"):
        assert word in str(caught.value)


def test_after_all_have_failed_the_first_that_is_ready_again_is_waited_for(script):
    sim = script(
        steps={
            ONE: [RateLimitError("slow", status=429, retry_after=9.0), "never"],
            TWO: [RateLimitError("slow", status=429, retry_after=2.0), "fine"],
        }
    )
    assert sim.run(**policies()) == "fine"
    assert sim.tried == [ONE, TWO, TWO]
    assert len(sim.runtime.slept) == 1
    assert 2.0 <= sim.runtime.slept[0] <= 3.0


def test_no_target_is_attempted_more_often_than_the_backoff_allows(script):
    sim = script(steps={ONE: [ServerError("down", status=500)], TWO: [ServerError("down", status=500)]})
    with pytest.raises(AllTargetsFailed) as caught:
        sim.run(**policies(attempts=2))
    assert sorted(sim.tried) == sorted([ONE, TWO] * 2)
    assert len(caught.value.exceptions) == 4


def test_waiting_stops_where_the_deadline_leaves_no_room(script):
    steps = {name: [RateLimitError("slow", status=429, retry_after=30.0)] for name in (ONE, TWO)}
    sim = script(steps=steps)
    with pytest.raises(AllTargetsFailed):
        sim.run(sim.call(total=20.0), **policies())
    assert sim.tried == [ONE, TWO]
    assert sim.runtime.slept == []


def test_further_attempts_are_paid_from_the_providers_budget(script):
    sim = script(steps={ONE: [ServerError("down", status=500)], TWO: [ServerError("down", status=500)]})
    with pytest.raises(AllTargetsFailed):
        sim.run(**policies(tokens=1.0))
    assert sim.tried == [ONE, TWO]


def test_announced_waits_are_free(script):
    slow = RateLimitError("slow", status=429, retry_after=1.0)
    sim = script(steps={ONE: [slow, slow, "fine"], TWO: [ServerError("down", status=500)]})
    assert sim.run(**policies(tokens=0.0)) == "fine"


def test_an_open_breaker_is_waited_for(script):
    steps = {ONE: [CircuitOpen("open", retry_after=4.0), "fine"]}
    sim = script(steps=steps)
    assert sim.run(**policies(breaker_patience=5.0)) == "fine"
    assert sim.runtime.slept == [4.0]


@pytest.mark.parametrize("wait", [1.1, None])
def test_an_open_breaker_is_waited_for_no_longer_than_the_rules_say(script, wait):
    sim = script(steps={ONE: [CircuitOpen("open", retry_after=wait), "fine"]})
    with pytest.raises(CircuitOpen):
        sim.run(**policies())
    assert sim.runtime.slept == []


def test_a_long_wait_that_the_provider_announced_is_waited_for_like_any_other(script):
    sim = script(steps={ONE: [CircuitOpen("open", retry_after=20.0, reason="retry_after"), "fine"]})
    assert sim.run(**policies()) == "fine"
    assert 20.0 <= sim.runtime.slept[0] <= 26.0


def test_a_breaker_is_asked_again_when_nobody_else_is_left(script):
    asked = []

    class Door:
        async def __call__(self, call, call_next):
            if call.target.name == ONE:
                asked.append(bool(call.others))
                if call.others:
                    raise CircuitOpen("open", retry_after=50.0, reason="failures")
            return await call_next(call)

    sim = script(steps={ONE: ["fine"], TWO: [QuotaExceededError("spent", status=402)]})
    assert sim.run(breaker=Door(), **policies()) == "fine"
    assert asked == [True, False]
    assert sim.runtime.slept == []


@pytest.mark.parametrize(
    ("full", "last"),
    [
        (QueueTimeout("busy", expected_wait=1.0), False),
        (RateLimitError("slow", status=429, retry_after=2.0), False),
        # No room before the deadline is no room at all.
        (RateLimitError("slow", status=429, retry_after=200.0), True),
        (QuotaExceededError("spent", status=402), True),
        (ServerError("down", status=500), True),
        (OverloadedError("too many", status=503), True),
    ],
    ids=["queue", "throttled", "throttled for long", "quota", "down", "overloaded"],
)
def test_a_target_that_has_no_room_yet_is_still_somewhere_to_go(script, full, last):
    seen = []

    class Door:
        async def __call__(self, call, call_next):
            if call.target.name == ONE:
                seen.append(not call.busy)
                if call.busy:
                    raise CircuitOpen("open", retry_after=50.0, reason="failures")
            return await call_next(call)

    class Limit:
        async def __call__(self, call, call_next):
            if call.target.name == TWO and not seen:
                raise full
            return await call_next(call)

    sim = script(steps={TWO: ["two"], ONE: ["one"]})
    assert sim.run(breaker=Door(), queue=Limit(), **policies()) == ("one" if last else "two")
    assert seen == [last]


def test_a_breaker_that_gave_way_to_a_full_target_is_asked_again_when_that_has_failed(script):
    asked = []

    class Door:
        async def __call__(self, call, call_next):
            if call.target.name == ONE:
                asked.append((bool(call.others), call.busy))
                if call.others or call.busy:
                    raise CircuitOpen("open", retry_after=50.0, reason="failures")
            return await call_next(call)

    sim = script(
        steps={TWO: [RateLimitError("slow", status=429, retry_after=2.0), OverloadedError("down")], ONE: ["one"]}
    )
    assert sim.run(breaker=Door(), **policies()) == "one"
    assert asked == [(False, True), (False, False)]
    assert 2.0 <= sum(sim.runtime.slept) <= 3.0


def test_a_breaker_that_never_closes_ends_in_its_own_error(script):
    sim = script(steps={ONE: [CircuitOpen("open", retry_after=0.01)]})
    with pytest.raises(CircuitOpen):
        sim.run(**policies())


def test_the_last_resort_passes_an_open_breaker_once(script):
    forced = []

    class Door:
        async def __call__(self, call, call_next):
            if call.target.name == ONE and not call.forced:
                raise CircuitOpen("open", retry_after=5.0, reason="failures")
            forced.append(call.forced)
            return await call_next(call)

    sim = script(steps={ONE: ["fine"], TWO: [QuotaExceededError("spent", status=402)]})
    assert sim.run(breaker=Door(), **policies(when_all_down="last_resort")) == "fine"
    assert forced == [False, True]
    assert sim.runtime.slept == []


def test_the_last_resort_is_one_attempt(script):
    sim = script(steps={ONE: [ServerError("down", status=500)], TWO: [ServerError("down", status=500)]})
    with pytest.raises(AllTargetsFailed):
        sim.run(**policies(when_all_down="last_resort"))
    assert sim.tried == [ONE, TWO, ONE]


def test_a_queue_that_could_not_admit_at_once_is_entered_when_nobody_else_is_left(script):
    patience = []

    class Busy:
        async def __call__(self, call, call_next):
            patience.append((call.target.name, bool(call.others)))
            if call.others:
                raise QueueTimeout("busy", expected_wait=1.0)
            return await call_next(call)

    sim = script(steps={ONE: ["fine"], TWO: [QuotaExceededError("spent", status=402)]})
    assert sim.run(queue=Busy(), **policies()) == "fine"
    assert patience == [(ONE, True), (TWO, False), (ONE, False)]


def test_what_a_route_asks_for_fails_over_too(script):
    error = AuthenticationError("bad key", status=401)
    sim = script(steps={ONE: [error], TWO: ["fine"]})
    assert sim.run(**policies(fail_over_on=frozenset({"authentication"}))) == "fine"
    assert sim.tried == [ONE, TWO]


def test_a_silent_target_gets_its_share_of_the_deadline_only(script):
    shares = []

    class Seen:
        async def __call__(self, call, call_next):
            shares.append(None if call.share_until is None else call.share_until - call.runtime.now())
            return await call_next(call)

    sim = script(steps={ONE: [ServerError("down", status=500)], TWO: ["fine"]})
    sim.run(sim.call(total=10.0), queue=Seen(), **policies())
    assert shares == [pytest.approx(6.0), None]


def test_a_prompt_that_is_too_long_goes_to_a_larger_window_only(script):
    sim = script(steps={ONE: [ContextLengthError("long", status=400)], TWO: ["never"], THREE: ["fine"]})
    call = sim.call(windows={ONE: 100, TWO: 50, THREE: 200})
    assert sim.run(call, **policies()) == "fine"
    assert sim.tried == [ONE, THREE]


def test_a_prompt_that_fits_nowhere_is_the_callers_to_know(script):
    sim = script(steps={ONE: [ContextLengthError("long", status=400)], TWO: ["never"]})
    with pytest.raises(ContextLengthError):
        sim.run(sim.call(windows={ONE: 100, TWO: 50}), **policies())


def test_one_target_keeps_its_own_error(script):
    sim = script(steps={ONE: [ServerError("down", status=500)]})
    with pytest.raises(ServerError):
        sim.run(**policies())


def test_a_refused_connection_is_tried_once_more_before_the_next_target(script):
    sim = script(steps={ONE: [ConnectError("refused", phase="connect")], TWO: ["fine"]})
    assert sim.run(**policies()) == "fine"
    assert sim.tried == [ONE, ONE, TWO]
    assert sum(sim.runtime.slept) < 0.01

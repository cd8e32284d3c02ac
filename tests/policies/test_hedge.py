"""Hedges in virtual time: who wins, who is cancelled, who pays."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.call import Attempt, Call, Clocks
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.errors import RateLimitError, ServerError
from aistrale.policies import build
from aistrale.policies.breaker import CircuitBreaker
from aistrale.policies.hedge import Hedge, HedgeSettings
from aistrale.policies.state import States
from aistrale.reliability.breaker_types import BreakerSettings
from aistrale.reliability.budget import RetryBudgetSettings
from aistrale.reliability.limits import LimitSettings
from aistrale.simulation import SimRuntime
from aistrale.types import Choice, Completion, Message, Request, Whole
from tests.policies.conftest import answer, target

ONE, TWO = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5"


class Stage:
    """Targets that take as long as they are told, and then answer or fail."""

    def __init__(self, took, *, blocking=False, tokens=10.0, bound=None, targets=(ONE, TWO), **settings):
        self.runtime = SimRuntime(7)
        self.runtime.blocking = blocking
        self.states = States(
            breaker=BreakerSettings(),
            budget=RetryBudgetSettings(tokens=tokens),
            limits={"default": LimitSettings()},
            rng=random.Random(1),
            latencies=True,
        )
        self.took = took
        self.ended = []
        self.replies = []
        hedge = Hedge(HedgeSettings(**settings), self.states.of, lambda _call, _target: bound)
        policies = {"hedge": hedge, "breaker": CircuitBreaker(self.states.of)}
        self.pipeline = build(policies, self.send)
        self.targets = [target(name) for name in targets]

    async def send(self, call):
        runtime = self.runtime
        call.attempt = Attempt(len(call.attempts) + 1, call.target, runtime.now(), runtime.wall())
        call.attempts.append(call.attempt)
        number = call.attempt.number
        seconds, result = self.took[number - 1]
        try:
            await runtime.sleep(seconds)
        except BaseException:
            call.attempt.outcome = "cancelled"
            self.ended.append((number, "cancelled"))
            raise
        if isinstance(result, Exception):
            call.attempt.outcome = "error"
            self.ended.append((number, "error"))
            raise result
        reply = Reply([Whole(Completion(choices=[Choice(Message.assistant(result), "stop")]))])
        attempt = call.attempt
        reply.on_close(lambda closed, _error: setattr(attempt, "outcome", closed.outcome))
        self.replies.append(reply)
        self.ended.append((number, "success"))
        return reply

    def call(self):
        request = Request(model=self.targets[0].model, messages=[Message.user("hi")])
        call = Call(request, list(self.targets), self.runtime, clocks=Clocks(total=60.0))
        call.others = self.targets[1:]
        return call

    def run(self, call=None):
        call = call or self.call()
        return self.runtime.run(answer(self.pipeline, call)), call


def test_a_quick_answer_is_not_hedged():
    stage = Stage([(0.1, "first")], delay=0.5)
    text, call = stage.run()
    assert (text, len(call.attempts)) == ("first", 1)


def test_the_second_leg_goes_to_another_target_and_wins():
    stage = Stage([(30.0, "first"), (0.2, "second")], delay=0.5)
    text, call = stage.run()
    assert text == "second"
    assert stage.runtime.now() == pytest.approx(0.7)
    assert sorted(stage.ended) == [(1, "cancelled"), (2, "success")]
    assert [attempt.target.name for attempt in call.attempts] == [ONE, TWO]
    assert call.target.name == TWO
    assert call.attempt is call.attempts[1]
    assert [attempt.outcome for attempt in call.attempts] == ["cancelled", "success"]


def test_the_first_leg_may_still_win():
    stage = Stage([(0.6, "first"), (5.0, "second")], delay=0.5)
    text, call = stage.run()
    assert text == "first"
    assert call.attempt is call.attempts[0]
    assert sorted(stage.ended) == [(1, "success"), (2, "cancelled")]


def test_an_only_target_is_hedged_with_itself():
    stage = Stage([(30.0, "first"), (0.2, "second")], delay=0.5, targets=(ONE,))
    text, call = stage.run()
    assert (text, [attempt.target.name for attempt in call.attempts]) == ("second", [ONE, ONE])


def test_a_target_whose_breaker_is_open_is_no_place_for_a_hedge():
    stage = Stage([(30.0, "first"), (0.2, "second")], delay=0.5)
    stage.states.of(stage.targets[1]).breaker.force("open", 0.0)
    _, call = stage.run()
    assert [attempt.target.name for attempt in call.attempts] == [ONE, ONE]


def test_an_error_before_the_hedge_goes_up_at_once():
    stage = Stage([(0.1, ServerError("down", status=500))], delay=0.5)
    with pytest.raises(ServerError):
        stage.run()
    assert stage.runtime.now() == pytest.approx(0.1)


def test_an_error_never_beats_a_pending_success():
    stage = Stage([(0.6, ServerError("down", status=500)), (1.0, "second")], delay=0.5)
    assert stage.run()[0] == "second"


def test_when_both_fail_the_first_legs_error_is_raised():
    legs = [(0.8, ServerError("first", status=500)), (0.1, RateLimitError("second", status=429))]
    with pytest.raises(ServerError, match="first"):
        Stage(legs, delay=0.5).run()


def test_hedges_are_paid_from_the_budget_of_the_leg_they_start():
    stage = Stage([(30.0, "first"), (0.2, "second")], delay=0.5)
    stage.run()
    assert stage.states.of(stage.targets[1]).budget.tokens == 9.0
    assert stage.states.of(stage.targets[0]).budget.tokens == 10.0


def test_nothing_is_hedged_without_budget():
    stage = Stage([(5.0, "first")], delay=0.5, tokens=0.0)
    assert stage.run()[0] == "first"


@pytest.mark.parametrize(("bound", "hedged"), [(Decimal("0.02"), False), (None, False), (Decimal("0.01"), True)])
def test_a_leg_must_not_cost_more_than_the_cap(bound, hedged):
    stage = Stage([(5.0, "first"), (0.1, "second")], delay=0.5, max_cost=Decimal("0.01"), bound=bound)
    assert stage.run()[0] == ("second" if hedged else "first")


def test_the_number_of_further_legs_is_limited():
    stage = Stage([(30.0, "1"), (30.0, "2"), (30.0, "3"), (0.0, "4")], delay=0.5, extra=2)
    _, call = stage.run()
    assert len(call.attempts) == 3


def test_the_delay_is_learned_from_the_targets_own_answers():
    stage = Stage([(1.0, "quick")] * 20 + [(30.0, "slow"), (0.1, "second")], min_delay=0.01)
    for _ in range(20):
        call = stage.call()
        call.attempts = []
        stage.runtime.run(answer(stage.pipeline, call))
        assert len(call.attempts) == 1
    stage.took = [(30.0, "slow"), (0.1, "second")]
    began = stage.runtime.now()
    assert stage.run()[0] == "second"
    assert stage.runtime.now() - began == pytest.approx(1.1)


def test_a_blocking_call_runs_one_leg(script):
    sim = script(steps={ONE: ["fine"]})
    sim.runtime.blocking = True
    hedge = Hedge(HedgeSettings(delay=0.001), None, None)
    assert run_sync(answer(build({"hedge": hedge}, sim.send), sim.call())) == "fine"


@given(
    st.lists(
        st.tuples(st.floats(0.0, 3.0), st.sampled_from(["ok", ServerError("down", status=500)])),
        min_size=3,
        max_size=3,
    ),
    st.floats(0.05, 1.0),
    st.integers(1, 2),
)
def test_one_result_all_legs_settled_and_no_permit_lost(legs, delay, extra):
    stage = Stage(legs, delay=delay, extra=extra)
    call = stage.call()
    try:
        text = stage.runtime.run(answer(stage.pipeline, call))
    except ServerError:
        text = None
    # H1, H4: exactly one result; an error only when every leg that ran has failed.
    started = legs[: len(call.attempts)]
    assert (text is None) == all(result != "ok" for _, result in started)
    # H2, H3: every leg has ended and is settled.
    assert all(attempt.outcome is not None for attempt in call.attempts)
    assert len(stage.ended) == len(call.attempts)
    # H5: within the bound.
    assert len(call.attempts) <= 1 + extra
    for known in stage.states.known().values():
        assert known.stats.in_flight == 0

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.call import Attempt
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.errors import (
    AistraleError,
    AttemptTimeout,
    AuthenticationError,
    CircuitOpen,
    ConnectError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceeded,
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
    NetworkError,
    OverloadedError,
    PermissionDeniedError,
    QueueFull,
    QueueTimeout,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterrupted,
    TLSError,
)
from aistrale.policies.encode import Encode
from aistrale.policies.retry import Backoff, Retry
from aistrale.reliability.budget import RetryBudget, RetryBudgetSettings
from aistrale.types import Choice, Completion, Finish, Message, ReplyStart, TextDelta, Whole

ONE, TWO = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5"


def down(word="down"):
    return ServerError(word, status=500)


def throttled(wait=None):
    return RateLimitError("slow", status=429, retry_after=wait)


def refused():
    return ConnectError("refused", phase="connect")


def purse(**settings):
    budget = RetryBudget(RetryBudgetSettings(**settings))
    return budget, lambda target: budget


LASTING = [
    AuthenticationError("bad key", status=401),
    PermissionDeniedError("no", status=403),
    ModelNotFoundError("no", status=404),
    InvalidRequestError("bad field", status=400),
    ContextLengthError("long", status=400),
    ContentFilterError("refused", status=400),
    QuotaExceededError("no credit", status=429),
    OverloadedError("flex tier", status=498),
    TLSError("certificate", phase="tls"),
    AttemptTimeout("slow", phase="headers", clock="first_token"),
    StreamInterrupted("cut"),
    DeadlineExceeded("late"),
    CircuitOpen("open", retry_after=1.0),
    QueueFull("full"),
    QueueTimeout("late"),
]


# --- which failures are tried again -------------------------------------------------------------------------------------


def test_a_passing_failure_is_tried_again(script):
    sim = script(steps={ONE: [down(), OverloadedError("busy", status=503), "fine"]})
    assert sim.run(retry=Retry()) == "fine"
    assert len(sim.tried) == 3
    assert len(sim.runtime.slept) == 2


def test_the_last_error_is_raised_when_attempts_are_used_up(script):
    steps = [down("one"), down("two"), down("three"), "never"]
    sim = script(steps={ONE: steps})
    call = sim.call()
    with pytest.raises(ServerError) as caught:
        sim.run(call, retry=Retry(Backoff(attempts=3)))
    assert [error.message for error in call.errors] == ["one", "two", "three"]
    assert call.errors[-1] is caught.value
    assert len(call.attempts) == 3


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_a_lasting_failure_is_raised_at_once(script, error):
    """R5."""
    sim = script(steps={ONE: [error, "never"]})
    call = sim.call()
    with pytest.raises(type(error)) as caught:
        sim.run(call, retry=Retry(Backoff(attempts=5), purse()[1]))
    assert caught.value is error
    assert len(sim.tried) == 1
    assert sim.runtime.slept == []
    assert call.errors == [error]


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("html", status=200, code="malformed"),
        ResponseError("nothing", status=200, code="empty_answer"),
        ConnectError("no such name", phase="resolve"),
        AttemptTimeout("slow", phase="connect", clock="connect"),
    ],
    ids=str,
)
def test_what_is_worth_one_more_attempt_gets_one(script, error):
    sim = script(steps={ONE: [error, error, "never"]})
    with pytest.raises(type(error)):
        sim.run(retry=Retry(Backoff(attempts=5)))
    assert len(sim.tried) == 2
    assert script(steps={ONE: [error, "fine"]}).run(retry=Retry()) == "fine"


def test_once_counts_all_attempts_at_the_target(script):
    sim = script(steps={ONE: [down(), ResponseError("html", status=200), "never"]})
    with pytest.raises(ResponseError):
        sim.run(retry=Retry(Backoff(attempts=5)))
    assert len(sim.tried) == 2


@pytest.mark.parametrize(("told", "tries"), [(True, 3), (False, 1)])
def test_the_providers_own_verdict_wins(script, told, tries):
    error = InvalidRequestError("odd", status=400) if told else down()
    error.should_retry = told
    sim = script(steps={ONE: [error, error, "fine"]})
    call = sim.call()
    # A bad request is raised whatever other targets there are, so that waiting here makes nobody wait elsewhere.
    call.others = [call.target] if told else []
    if told:
        assert sim.run(call, retry=Retry()) == "fine"
    else:
        with pytest.raises(ServerError):
            sim.run(call, retry=Retry())
    assert len(sim.tried) == tries


def test_retries_that_are_switched_off(script):
    for error in (down(), refused(), throttled(1.0)):
        sim = script(steps={ONE: [error, "never"]})
        with pytest.raises(type(error)):
            sim.run(retry=Retry(Backoff(attempts=1)))
        assert len(sim.tried) == 1


# --- waits --------------------------------------------------------------------------------------------------------------


def test_retry_after_is_never_shortened(script):
    sim = script(steps={ONE: [throttled(7.0), "fine"]})
    assert sim.run(retry=Retry(Backoff(cap=1.0))) == "fine"
    assert 7.0 <= sim.runtime.slept[0] <= 9.2


def test_a_model_that_is_loading_is_waited_for(script):
    sim = script(steps={ONE: [ModelLoadingError("loading", status=503, retry_after=20.0), "fine"]})
    budget, budgets = purse()
    assert sim.run(retry=Retry(budgets=budgets)) == "fine"
    assert 20.0 <= sim.runtime.slept[0] <= 26.0
    assert budget.tokens == 10.0


@pytest.mark.parametrize(("total", "wait"), [(5.0, 7.0), (None, 601.0), (7.04, 7.0)])
def test_a_wait_that_does_not_fit_raises_at_once(script, total, wait):
    error = throttled(wait)
    sim = script(steps={ONE: [error, "fine"]})
    with pytest.raises(RateLimitError) as caught:
        sim.run(sim.call(total=total), retry=Retry())
    assert caught.value is error
    assert sim.runtime.slept == []


def test_jitter_does_not_make_a_wait_too_long(script):
    for seed in range(20):
        sim = script(steps={ONE: [throttled(1.0), "fine"]})
        sim.runtime.random = random.Random(seed)
        assert sim.run(sim.call(total=1.2), retry=Retry()) == "fine"
        assert 1.0 <= sim.runtime.slept[0] <= 1.15


def test_attempts_fit_into_the_deadline_when_each_takes_time(script):
    sim = script(steps={ONE: [down()]}, took=2.0)
    call = sim.call(total=5.0)
    with pytest.raises(ServerError):
        sim.run(call, retry=Retry(Backoff(attempts=10)))
    assert sim.runtime.time <= call.deadline + 2.0
    assert len(sim.tried) < 10


def test_tenacity_strategies_are_taken(script):
    sim = script(steps={ONE: [down()]})
    backoff = Backoff(
        wait=tenacity.wait_fixed(2.5), stop=tenacity.stop_after_attempt(4) | tenacity.stop_after_delay(100)
    )
    with pytest.raises(ServerError):
        sim.run(retry=Retry(backoff))
    assert sim.runtime.slept == [2.5, 2.5, 2.5]
    assert "stop_any" in Retry(backoff).describe()


# --- other targets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [throttled(1.0), throttled(), down(), OverloadedError("busy", status=529), NetworkError("reset", sent=True)],
)
def test_nothing_waits_while_another_target_is_untried(script, error):
    sim = script(steps={ONE: [error, "fine"], TWO: ["other"]})
    call = sim.call()
    call.others = call.targets[1:]
    with pytest.raises(type(error)) as caught:
        sim.run(call, retry=Retry())
    assert caught.value is error
    assert sim.runtime.slept == []
    assert call.errors == [error]


def test_a_refused_connection_is_tried_once_more_at_once(script):
    sim = script(steps={ONE: [refused(), "fine"], TWO: ["other"]})
    call = sim.call()
    call.others = call.targets[1:]
    assert sim.run(call, retry=Retry()) == "fine"
    assert sum(sim.runtime.slept) <= 0.005
    call = sim.call()
    call.others = call.targets[1:]
    sim.steps[ONE] = [refused(), refused(), "never"]
    with pytest.raises(ConnectError):
        sim.run(call, retry=Retry())
    assert len(call.errors) == 2


@pytest.mark.parametrize(
    "error", [ConnectError("no such name", phase="resolve"), AttemptTimeout("slow", phase="connect", clock="connect")]
)
def test_what_takes_longer_than_milliseconds_is_not_tried_at_once(script, error):
    sim = script(steps={ONE: [error, "fine"], TWO: ["other"]})
    call = sim.call()
    call.others = call.targets[1:]
    with pytest.raises(type(error)):
        sim.run(call, retry=Retry())
    assert len(sim.tried) == 1


def test_the_only_target_gets_its_backoff_after_the_quick_attempt(script):
    sim = script(steps={ONE: [refused(), refused(), "fine"]})
    sim.runtime.random = random.Random(3)
    assert sim.run(retry=Retry()) == "fine"
    quick, backoff = sim.runtime.slept
    assert quick <= 0.005 < backoff


def test_a_quick_attempt_is_one_of_the_attempts_share(script):
    sim = script(steps={ONE: [refused(), "fine"], TWO: ["other"]}, took=1.0)
    call = sim.call()
    call.others, call.share_until = call.targets[1:], call.started + 1.02
    with pytest.raises(ConnectError):
        sim.run(call, retry=Retry())


def test_attempts_are_counted_over_all_visits_to_a_target(script):
    sim = script(steps={ONE: [down()]})
    call = sim.call()
    retry = Retry(Backoff(attempts=4))
    call.attempts += [Attempt(1, call.target, 0.0, 0.0), Attempt(2, call.target, 0.0, 0.0)]
    with pytest.raises(ServerError):
        sim.run(call, retry=retry)
    assert len(sim.tried) == 2


def test_attempts_at_other_targets_do_not_count(script):
    sim = script(steps={ONE: [down(), down(), "fine"], TWO: ["other"]})
    call = sim.call()
    call.attempts += [Attempt(number, call.targets[1], 0.0, 0.0) for number in range(5)]
    call.targets = call.targets[:1]
    assert sim.run(call, retry=Retry(Backoff(attempts=3))) == "fine"


# --- the budget ---------------------------------------------------------------------------------------------------------


def test_a_call_costs_once_and_every_further_attempt_too(script):
    budget, budgets = purse()
    sim = script(steps={ONE: [down(), down(), down()]})
    with pytest.raises(ServerError):
        sim.run(retry=Retry(budgets=budgets))
    assert budget.tokens == 10 - 1 - 2


def test_success_earns_at_the_end_of_the_reply(script):
    budget, budgets = purse()
    sim = script(steps={ONE: [down(), "fine"]})
    assert sim.run(retry=Retry(budgets=budgets)) == "fine"
    assert budget.tokens == 10 - 1 - 1 + 0.1
    for _ in range(30):
        sim.run(retry=Retry(budgets=budgets))
    assert budget.tokens == 10


def test_a_refused_retry_raises_the_error_that_it_was_for_at_once(script):
    """Q3."""
    budget, budgets = purse(tokens=2)
    errors = [down("one"), down("two")]
    sim = script(steps={ONE: [*errors, "never"]})
    call = sim.call()
    with pytest.raises(ServerError) as caught:
        sim.run(call, retry=Retry(budgets=budgets))
    assert caught.value is errors[0]
    assert sim.runtime.slept == []
    assert call.errors == errors[:1]
    assert budget.tokens == 1


def test_an_announced_wait_does_not_touch_the_budget(script):
    budget, budgets = purse(tokens=1)
    while budget.tokens:
        budget.failure()
    sim = script(steps={ONE: [throttled(1.0), throttled(1.0), "fine"]})
    assert sim.run(retry=Retry(budgets=budgets)) == "fine"
    assert budget.tokens == 0.1


@pytest.mark.parametrize("error", [throttled(), OverloadedError("busy", status=503, retry_after=1.0)])
def test_throttling_without_a_wait_and_overload_with_one_are_paid_for(script, error):
    budget, budgets = purse()
    sim = script(steps={ONE: [error, "fine"]})
    sim.run(retry=Retry(budgets=budgets))
    assert budget.tokens == 10 - 1 - 1 + 0.1


def test_a_quick_attempt_is_paid_for(script):
    budget, budgets = purse()
    sim = script(steps={ONE: [refused(), refused()], TWO: ["other"]})
    call = sim.call()
    call.others = call.targets[1:]
    with pytest.raises(ConnectError):
        sim.run(call, retry=Retry(budgets=budgets))
    assert budget.tokens == 10 - 1 - 1


def test_a_call_costs_a_provider_once_however_many_of_its_targets_fail(script):
    budget, budgets = purse()
    second = "openai/gpt-5"
    sim = script(steps={ONE: [down()], second: [down()], TWO: [down()]})
    call = sim.call()
    retry = Retry(Backoff(attempts=1), budgets)
    for name in call.targets:
        call.target = name
        with pytest.raises(ServerError):
            sim.run(call, retry=retry)
    assert budget.tokens == 10 - 2


def test_what_waits_do_not_fit_pays_nothing(script):
    budget, budgets = purse()
    sim = script(steps={ONE: [down()]}, took=60.0)
    with pytest.raises(ServerError):
        sim.run(retry=Retry(budgets=budgets))
    assert budget.tokens == 10 - 1


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_what_is_no_sickness_of_the_provider_costs_nothing(script, error):
    budget, budgets = purse()
    with pytest.raises(type(error)):
        script(steps={ONE: [error]}).run(retry=Retry(budgets=budgets))
    sick = isinstance(error, (AttemptTimeout, StreamInterrupted)) or error.__class__ is OverloadedError
    assert budget.tokens == (9 if sick else 10)


class Broken:
    """A stream that gives one piece of text, then what it was told to."""

    def __init__(self, *steps):
        self.steps = list(steps)

    async def pull(self):
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    async def close(self):
        pass

    def abandon(self):
        pass

    def broken(self, error, partial):
        final = StreamInterrupted("cut")
        final.__cause__ = error
        return final


START = [ReplyStart("1", "m"), TextDelta("Hi", 0)]
RESET = NetworkError("reset", sent=True)


@pytest.mark.parametrize(
    ("steps", "read", "tokens"),
    [
        ([[Finish("stop")], None], None, 5.1),
        ([RESET], None, 4.0),
        ([throttled(1.0)], None, 5.0),
        ([[Finish("stop")], None], 1, 5.0),
        ([asyncio.CancelledError()], None, 5.0),
    ],
    ids=["whole", "cut", "throttled", "left early", "cancelled"],
)
def test_a_stream_settles_when_it_closes(script, steps, read, tokens):
    budget, budgets = purse()
    for _ in range(5):
        budget.failure()
    sim = script(steps={ONE: ["fine"]})
    call = sim.call()

    async def send(_call):
        return Reply(START, Broken(*steps))

    async def read_it():
        reply = await Retry(budgets=budgets)(call, send)
        assert budget.tokens == 5.0
        for _ in range(read or 100):
            if await reply.next() is None:
                return
        await reply.close()

    try:
        run_sync(read_it())
    except (AistraleError, asyncio.CancelledError):
        assert read is None
    assert budget.tokens == tokens


def test_a_stream_that_breaks_after_a_failed_attempt_costs_no_second_time(script):
    budget, budgets = purse()
    sim = script(steps={ONE: ["fine"]})
    call = sim.call()
    answers = [down(), Reply(START, Broken(RESET))]

    async def send(_call):
        step = answers.pop(0)
        if isinstance(step, Reply):
            return step
        raise step

    async def read_it():
        reply = await Retry(budgets=budgets)(call, send)
        while await reply.next() is not None:
            pass

    with pytest.raises(StreamInterrupted):
        run_sync(read_it())
    assert budget.tokens == 10 - 1 - 1


# --- what is never swallowed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), asyncio.CancelledError(), ValueError("bug")],
    ids=repr,
)
def test_what_is_no_failure_of_a_provider_is_never_swallowed(script, error):
    """R6."""
    sim = script(steps={ONE: [error, "never"]})
    call = sim.call()
    budget, budgets = purse()
    with pytest.raises(type(error)) as caught:
        sim.run(call, retry=Retry(Backoff(attempts=9), budgets))
    assert caught.value is error
    assert len(sim.tried) == 1
    assert call.errors == []
    assert budget.tokens == 10


def test_a_cancellation_while_waiting_ends_the_call(script):
    sim = script(steps={ONE: [down(), "never"]})

    async def sleep(seconds):
        raise asyncio.CancelledError

    sim.runtime.sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        sim.run(retry=Retry())
    assert len(sim.tried) == 1


def test_errors_say_where_they_happened(script):
    sim = script(steps={ONE: [down(), ServerError("x", status=500, provider="p", target="t")]})
    call = sim.call()
    with pytest.raises(ServerError):
        sim.run(call, retry=Retry(Backoff(attempts=2)))
    assert [(error.provider, error.target) for error in call.errors] == [("openai", ONE), ("p", "t")]


# --- whatever happens ---------------------------------------------------------------------------------------------------

ERRORS = st.one_of(
    st.builds(down),
    st.builds(throttled, st.none() | st.floats(0, 700)),
    st.builds(lambda wait: OverloadedError("busy", status=503, retry_after=wait), st.none() | st.floats(0, 20)),
    st.builds(refused),
    st.builds(lambda: ConnectError("no name", phase="resolve")),
    st.builds(lambda: ResponseError("html", status=200)),
    st.builds(lambda: InvalidRequestError("bad", status=400)),
    st.builds(lambda: QuotaExceededError("spent", status=429)),
    st.builds(lambda: ModelLoadingError("loading", status=503, retry_after=20.0)),
    st.builds(lambda: CircuitOpen("open", retry_after=1.0)),
)


@given(
    failures=st.lists(ERRORS, max_size=8),
    attempts=st.integers(1, 5),
    total=st.none() | st.floats(0.1, 100),
    took=st.floats(0, 5),
    others=st.booleans(),
    tokens=st.integers(0, 10),
    seed=st.integers(),
)
def test_invariants(script, failures, attempts, total, took, others, tokens, seed):  # noqa: PLR0917
    """R1, R2, R4, R5, Q3 and the books of the budget, for any sequence of failures."""
    sim = script(steps={ONE: [*failures, "fine"], TWO: ["other"]}, took=took)
    sim.runtime.random = random.Random(seed)
    call = sim.call(total=total)
    call.others = call.targets[1:] if others else []
    budget, budgets = purse(tokens=tokens)
    raised = None
    try:
        sim.run(call, retry=Retry(Backoff(attempts=attempts), budgets))
    except AistraleError as error:
        raised = error
    tried = len(sim.tried)
    assert tried <= attempts
    assert call.errors == failures[: tried if raised is not None else tried - 1]
    if raised is not None:
        assert raised is failures[tried - 1]
    assert len(sim.runtime.slept) == tried - 1
    for error, slept in zip(failures, sim.runtime.slept, strict=False):
        announced = getattr(error, "retry_after", None)
        assert slept >= (announced or 0.0)
        assert slept <= 8.0 or announced is not None
        assert not isinstance(error, (InvalidRequestError, QuotaExceededError, CircuitOpen))
    if others:
        assert sum(sim.runtime.slept) <= 0.005
    if total is not None and tried > 1:
        # The last wait ended in time for an attempt.
        assert sim.runtime.time - took <= call.deadline - 0.049
    assert 0 <= budget.tokens <= tokens


@given(outcomes=st.lists(st.sampled_from(["fine", "down", "throttled"]), min_size=1, max_size=60), seed=st.integers())
def test_a_sick_provider_is_asked_little_more_than_once_a_call(script, outcomes, seed):
    """Q2, through the policy: retries are bounded by the full budget and what successes earned."""
    retry = Retry(Backoff(attempts=5), purse()[1])
    attempts = free = 0
    for number, outcome in enumerate(outcomes):
        step = {"fine": "fine", "down": down(), "throttled": throttled(0.5)}[outcome]
        sim = script(steps={ONE: [step]})
        sim.runtime.random = random.Random(seed + number)
        with contextlib.suppress(AistraleError):
            sim.run(retry=retry)
        attempts += len(sim.tried)
        free += len(sim.tried) - 1 if outcome == "throttled" else 0
    assert attempts - free <= len(outcomes) * 1.1 + 10


def test_every_attempt_sends_the_same_bytes(script):
    """R8."""
    sim = script(steps={ONE: [down(), down(), "fine"]})
    sent = []

    async def send(call):
        sent.append(call.prepared[call.target.name].http)
        call.attempts.pop()
        return await sim.send(call)

    async def encoded(call):
        return await Encode()(call, send)

    call = sim.call()

    async def ask():
        reply = await Retry()(call, encoded)
        return (await reply.completion()).text

    assert run_sync(ask()) == "fine"
    assert len(sent) == 3
    assert len({(http.body, http.url, tuple(http.headers)) for http in sent}) == 1


def test_one_line_says_what_it_does():
    assert "retry budget" in Retry(budgets=purse()[1]).describe()
    assert "retry budget" not in Retry().describe()
    assert Retry(Backoff(attempts=2)).describe().startswith("up to 2 attempts")


def test_without_a_budget_attempts_are_all_that_counts(script):
    for _ in range(20):
        sim = script(steps={ONE: [down()]})
        with pytest.raises(ServerError):
            sim.run(retry=Retry())
        assert len(sim.tried) == 3


def test_a_whole_answer_earns_too(script):
    budget, budgets = purse()
    budget.failure()
    call = script(steps={ONE: ["fine"]}).call()

    async def send(_call):
        return Reply([Whole(Completion(choices=[Choice(Message.assistant("Hi"), "stop")]))])

    async def ask():
        reply = await Retry(budgets=budgets)(call, send)
        await reply.completion()

    run_sync(ask())
    assert budget.tokens == 9.1

"""Rows 67 to 79: what providers answer with a status: limits, quotas, overload, bad keys, bad requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aistrale.errors import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QueueTimeout,
    QuotaExceededError,
    RateLimitError,
    StreamInterrupted,
)
from aistrale.types import Switched
from tests.faults.matrix import ALL, BEGUN, BOTH, Case, answers, both, errors_of, fails, in_turn, params

PROVIDERS = ("compatible", "openai", "anthropic", "gemini", "groq", "huggingface")
# Those whose bodies the fault server can write for every fault.
WRITTEN = ("compatible", "openai", "anthropic", "groq", "huggingface")
# How many calls at once a target gets before it has complained.
MOST = 512


async def twice(face, run):
    return [await face.ask(), await face.ask()]


def blocked(least):
    """A check: nothing is let through to target a for a while."""

    def check(run):
        queue = run.client.queues()[run.names["a"]]
        # Some of it has gone by since.
        assert least - 0.5 < queue.blocked <= 2 * max(least, 1.0)

    return check


def cut(run):
    """A check: target a gets fewer calls at once than before."""
    assert run.client.queues()[run.names["a"]].limit < MOST


def told(seconds):
    """A check: the provider's wait stands on the error and in the ledger; None where what it said is no wait."""

    def check(run):
        error = run.asked[0].error
        assert error.retry_after == pytest.approx(seconds) if seconds is not None else error.retry_after is None
        assert run.attempts("a")[0].retry_after == error.retry_after

    return check


def unsent(run):
    """A check: the second call says that it was not sent."""
    assert "not sent" in str(run.asked[1].error)
    assert run.asked[1].error.attempts == ()


LIMITS = [
    both(67, "rate_limit:ra=0.3", answers("a", a=2), name="rate_limit waited for", script=("rate_limit:ra=0.3", "ok"),
         settings={"timeout": 0.7}, least=0.3, check=cut),
    # A whole second in one mode only.
    both(67, "rate_limit:ra=1", answers("a", a=2), name="a second waited for", script=("rate_limit:ra=1", "ok"),
         settings={"timeout": 1.4}, least=1.0, check=cut, colours=("asyncio",)),
    both(67, "rate_limit:ra=1", fails(RateLimitError, a=1), name="rate_limit that does not fit",
         settings={"timeout": 0.5}, check=blocked(1.0)),
    both(67, "rate_limit:ra=1", answers("b", a=1, b=2), name="rate_limit to b, and the next call too", fallback=True,
         within=0.9, scenario=twice, colours=ALL, check=blocked(1.0)),
    both(67, "rate_limit:ra=1", in_turn(fails(RateLimitError), fails(QueueTimeout), a=1),
         name="rate_limit told to the next call", settings={"timeout": 0.5}, scenario=twice),
    *(
        both(67, "rate_limit:ra=1", fails(RateLimitError, a=1), name="rate_limit", provider=provider,
             settings={"timeout": 0.5}, check=told(1.0))
        for provider in ("openai", "anthropic", "groq", "huggingface")
    ),
    both(68, "http:status=429,ra_ms=300", answers("a", a=2), script=("http:status=429,ra_ms=300", "ok"),
         settings={"timeout": 0.8}, least=0.3),
    both(68, "http:status=429,ra_ms=300", fails(RateLimitError, a=1), name="ra_ms alone", settings={"timeout": 0.2},
         check=told(0.3)),
    both(68, "http:status=429,ra_date=3", fails(RateLimitError, a=1), settings={"timeout": 0.5}, check=blocked(2.5)),
    both(68, "http:status=429,ra_date=-100", answers("a", a=2), name="a date that is over", within=2.0,
         script=("http:status=429,ra_date=-100", "ok"), settings={"timeout": 0.5}),
    *(
        both(68, f"http:status=429,ra={wrong}", answers("a", a=2), name=f"ra={wrong}", within=1.0,
             script=(f"http:status=429,ra={wrong}", "ok"))
        for wrong in ("-1", "nan", "inf", "1e9", "soon")
    ),
    *(
        both(68, f"http:status=429,ra={wrong}", fails(RateLimitError, a=3), name=f"ra={wrong} alone", within=1.0,
             check=told(None))
        for wrong in ("-1", "nan", "inf", "1e9")
    ),
    # More than a month is no wait that anybody means; it is as if nothing had been said.
    both(68, "http:status=429,ra=1000000000", fails(RateLimitError, a=3), within=1.0, check=told(None)),
    both(68, "http:status=429,ra=1000000000", answers("b", a=1, b=1), name="ra=1000000000 to b", fallback=True,
         within=1.0),
    both(68, "http:status=429,ra=3000", fails(RateLimitError, a=1), within=1.0, breaker="open", check=told(3000.0)),
    *(
        both(70, "slow_down", answers("a", a=2), script=("slow_down", "ok"), provider=provider, check=cut)
        for provider in WRITTEN
    ),
    both(70, "slow_down", answers("b", a=1, b=1), name="slow_down to b", fallback=True, check=cut),
    both(72, "gemini_429:ra=0.3", answers("a", a=2), provider="gemini", script=("gemini_429:ra=0.3", "ok"),
         settings={"timeout": 0.8}, least=0.3),
    both(72, "gemini_429:ra=2", fails(RateLimitError, a=1), provider="gemini", settings={"timeout": 0.5},
         check=told(2.0)),
    both(72, "gemini_429:ra=2", answers("b", a=1, b=1), name="gemini_429 to b", provider="gemini", fallback=True,
         within=1.0),
]  # fmt: skip
QUOTAS = [
    *(
        both(69, fault, in_turn(fails(QuotaExceededError), fails(QuotaExceededError), a=1), provider=provider,
             scenario=twice, check=unsent)
        for fault, providers in (("quota", WRITTEN), ("http:status=402", PROVIDERS))
        for provider in providers
    ),
    *(
        both(69, fault, answers("b", a=1, b=2), name=f"{fault} to b", provider=provider, fallback=True, scenario=twice,
             colours=ALL if fault == "quota" else BOTH)
        for fault, provider in (("quota", "openai"), ("http:status=402", "huggingface"))
    ),
    both(69, "spend_limit_400", answers("b", a=1, b=1), name="spend_limit_400 to b", provider="anthropic",
         fallback=True),
    both(72, "gemini_429:ra=2,per=day", fails(QuotaExceededError, a=1), provider="gemini"),
    both(72, "gemini_429:ra=2,per=day", answers("b", a=1, b=2), name="per=day to b", provider="gemini", fallback=True,
         scenario=twice),
]  # fmt: skip
CAPACITY = [
    *(
        both(71, "overloaded", answers("b", a=1, b=1), provider=provider, fallback=True, check=cut,
             colours=ALL if provider == "anthropic" else BOTH)
        for provider in PROVIDERS
    ),
    # In the words of Hugging Face's own inference servers, whose error is a text and nothing else.
    both(71, "overloaded", answers("b", a=1, b=1), name="overloaded, own server", provider="huggingface",
         path="/models/m/v1", fallback=True, check=cut),
    both(71, "overloaded", fails(OverloadedError, a=3), name="overloaded alone"),
    both(74, "http:status=498", fails(OverloadedError, a=1), provider="groq"),
    both(74, "http:status=498", answers("b", a=1, b=1), name="498 to b", provider="groq", fallback=True),
    both(78, "http:status=503,should_retry=false", fails(OverloadedError, a=1)),
    both(78, "http:status=503,should_retry=false", answers("b", a=1, b=1), name="should_retry=false to b",
         fallback=True),
    both(79, "flaky:fail=2", answers("a", a=3), check=errors_of("OverloadedError", "OverloadedError", ""),
         colours=ALL),
]  # fmt: skip
LOADING = [
    both(73, "hf_loading:est=20", fails(ModelLoadingError, a=1), provider="huggingface", within=1.0, check=told(20.0)),
    both(73, "hf_loading:est=20", answers("b", a=1, b=1), name="hf_loading to b", provider="huggingface",
         fallback=True, within=1.0),
    both(73, "hf_loading:est=0.2", answers("a", a=2), provider="huggingface", script=("hf_loading:est=0.2", "ok"),
         settings={"timeout": 0.7}, least=0.2),
]  # fmt: skip
REFUSED = {
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    413: InvalidRequestError,
    422: InvalidRequestError,
}
REFUSALS = [
    *(
        both(75, "http:status=401", in_turn(fails(AuthenticationError), fails(AuthenticationError), a=1),
             provider=provider, fallback=True, scenario=twice, check=unsent)
        for provider in PROVIDERS
    ),
    *(
        both(75, f"http:status={status}", fails(error, a=1), provider=provider, fallback=True)
        for status, error in REFUSED.items()
        for provider in (PROVIDERS if status == 404 else ("compatible", "anthropic", "gemini"))
    ),
]  # fmt: skip
# The windows of the models: 400,000 tokens (OpenAI's), 200,000 (Anthropic's), 1,000,000 (Gemini's), unknown (b/m).
WINDOWS = [
    *(both(76, "context_length", fails(ContextLengthError, a=1), provider=provider) for provider in WRITTEN),
    both(76, "context_length", answers("b", a=1, b=1), name="to a larger window", provider="openai",
         second_provider="gemini", fallback=True, colours=ALL),
    both(76, "context_length", fails(ContextLengthError, a=1), name="not to a smaller window", provider="openai",
         second_provider="anthropic", fallback=True),
    both(76, "context_length", fails(ContextLengthError, a=1), name="not to an unknown window", provider="anthropic",
         fallback=True),
]  # fmt: skip


def counted(word, cases):
    """The cases, whose failures target a's breaker counts so, where they do not say something else."""
    return [pytest.param(*each.values, word, id=each.id) for each in params(*cases)]


@pytest.mark.parametrize(
    ("case", "streamed", "breaker"),
    [
        *counted("ignored", [*LIMITS, *LOADING, *WINDOWS, *REFUSALS[len(PROVIDERS) :]]),
        *counted("open", [*QUOTAS, *REFUSALS[: len(PROVIDERS)]]),
        *counted("failure", CAPACITY),
    ],
)
def test_row(play, case, streamed, breaker):
    for run in play(replace(case, breaker=case.breaker or breaker), streamed):
        assert len(run.attempts("a")) == run.stats["by_key"][f"{run.key}-a"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_69_the_day_on_which_a_spend_limit_ends_is_read(play, streamed):
    case = both(69, "spend_limit_400", fails(QuotaExceededError, a=1), provider="anthropic", breaker="open")
    for run in play(case, streamed):
        assert run.asked[0].error.resets_at == datetime(2026, 12, 1, tzinfo=UTC)


# --- 77: a model that does not take the beginning of its own answer ---------------------------------------------------


def switches(seen):
    return [event for event in seen.events if isinstance(event, Switched)]


@pytest.mark.parametrize(
    ("script", "expect"),
    [
        (("prefill_400", "ok"), answers("b", a=1, b=2)),
        (("ok",), answers("b", a=1, b=1)),
        (("prefill_400", "prefill_400"), fails(StreamInterrupted, partial=BEGUN, a=1, b=2)),
        (("prefill_400", "http:status=404"), fails(StreamInterrupted, partial=BEGUN, a=1, b=2)),
    ],
    ids=["asked by the user", "taken", "refused", "gone"],
)
def test_77_a_beginning_that_is_not_taken_is_quoted_or_the_original_error_raised(play, script, expect):
    async def scenario(face, run):
        run.server.script(f"{run.key}-b", script)
        return [await face.ask(streams="resume")]

    def check(run):
        (seen,) = run.asked
        assert len(switches(seen)) == (seen.error is None)
        rows = [(row.target, row.outcome) for row in run.attempts()]
        assert rows[0] == (run.names["a"], "interrupted")
        if seen.error is None:
            assert rows[-1] == (run.names["b"], "success")
        else:
            # Not the second target's refusal, which is only noted on it.
            assert "connection" in str(seen.error)
            assert any("Nobody went on" in note for note in seen.error.__notes__)

    case = Case(row=77, fault="fin_between_chunks:after=4", stream=expect, fallback=True, second_provider="anthropic",
                breaker="failure", scenario=scenario, check=check, colours=ALL)  # fmt: skip
    play(case, True)

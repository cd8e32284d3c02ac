"""Advice about calls that nobody waits for, and about attempts that were paid for in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.cost.advice.prices import quantile
from aistrale.cost.advice.types import share, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.cost.advice.facts import Facts
    from aistrale.cost.advice.prices import Mix
    from aistrale.cost.advice.types import Advice, Situation

_DAY: Final = 86_400.0
_MIN_CALLS: Final = 50
# Bulk work: nearly all of the unattended calls come in bursts, and the bursts are a small part of the time.
_IN_BURSTS: Final = 0.8
_MOST_TIME: Final = 0.25
_ONE_BURST: Final = 500
# Who waits this long, in seconds, at the median, can wait a little longer.
_PATIENT: Final = 20.0
_MIN_BILLED: Final = 5
_WORDS: Final = ("batch", "bulk", "nightly", "backfill", "index", "offline", "cron", "eval", "import", "migrat")


def batch(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Bursts of calls that nobody waits for, where the provider has a cheaper batch interface."""
    if not is_bulk(facts, situation):
        return
    saved = _saved(facts, facts.bulk, {"processing": "batch"}, situation)
    if saved is None or situation.monthly(saved) < situation.least:
        return
    named = any(word in f"{facts.use.name} {facts.use.route}".lower() for word in _WORDS)
    yield situation.advice(
        facts,
        "batch",
        f"{facts.bulk.calls:,} calls come in {facts.bursts} bursts, not streamed and in no session: bulk work at the "
        "price of conversations",
        "Send them through the provider's batch interface, which answers within a day (usually much sooner).",
        saved=saved,
        low=saved * (0.9 if named else 0.6),
        high=saved,
        how="the tokens of these calls at the price list's batch prices instead of the usual ones",
        evidence={
            "bulk_calls": facts.bulk.calls,
            "bursts": facts.bursts,
            "days_with_bursts": len(facts.burst_days),
            "hours_in_bursts": round(facts.burst_seconds / 3600, 2),
            "share_in_bursts": share(facts.bulk.calls, facts.unattended.calls),
        },
        confidence="high" if named else "medium",
        caveats=(
            "whether somebody waits for these answers cannot be seen in the ledger",
            "aistrale has no batch client",
        ),
    )


def flex(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Long calls that nobody waits for, where the provider has a slower and cheaper service tier."""
    if facts.unattended.calls < _MIN_CALLS or quantile(facts.latencies, 0.5) < _PATIENT or is_bulk(facts, situation):
        return
    saved = _saved(facts, facts.unattended, {"service_tier": "flex"}, situation)
    if saved is None or situation.monthly(saved) < situation.least:
        return
    yield situation.advice(
        facts,
        "service_tier",
        f"{facts.unattended.calls:,} unattended calls take {quantile(facts.latencies, 0.5):.0f} s at the median",
        'Ask for the flex tier (`service_tier="flex"`), with a long deadline and the usual tier as second target.',
        saved=saved,
        low=saved * 0.8,
        high=saved,
        how="the tokens of these calls at the price list's flex prices instead of the usual ones",
        evidence={
            "unattended_calls": facts.unattended.calls,
            "latency_median": round(quantile(facts.latencies, 0.5), 1),
            "latency_p95": round(quantile(facts.latencies, 0.95), 1),
        },
        caveats=(
            "flex answers more slowly and refuses calls when it is busy",
            "who waits cannot be seen in the ledger",
        ),
    )


def retries(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Attempts that failed and were charged all the same."""
    billed = sum(each.billed for each in facts.failures.values())
    wasted = sum(each.cost for each in facts.failures.values())
    if billed < _MIN_BILLED or situation.monthly(wasted) < situation.least:
        return
    worst = max(facts.failures, key=lambda reason: facts.failures[reason].cost)
    attempts = facts.calls + sum(each.count for each in facts.failures.values())
    yield situation.advice(
        facts,
        "wasted_attempts",
        f"{billed:,} attempts failed and were charged, most of the cost by {worst}",
        _CURES.get(worst, "Find out why these attempts fail; each is paid for and gives nothing."),
        saved=wasted,
        low=wasted * 0.5,
        high=wasted,
        how="what attempts cost that ended in an error, or lost a race against another",
        evidence={
            "attempts": attempts,
            "failed_and_charged": billed,
            "share_of_attempts": share(billed, attempts),
            **{f"cost_of_{reason}": usd(each.cost) for reason, each in facts.failures.items() if each.cost},
        },
        confidence="medium",
        caveats=("what broken streams cost is estimated: providers do not say",),
    )


_CURES: Final = {
    "AttemptTimeout": "Give attempts more time (`clocks.first_token`, `timeout`), or ask for shorter answers: each "
    "attempt that is given up is paid for.",
    "DeadlineExceeded": "Give calls a longer deadline, or let them answer sooner (shorter answers, a faster model).",
    "StreamInterrupted": 'Let streams go on where they broke (`streams = "resume"`) instead of starting again.',
    "hedge that lost": "Hedge later, or only where the tail of the latencies is worth the price of a second attempt.",
}


def is_bulk(facts: Facts, situation: Situation) -> bool:
    """Whether the unattended calls of a use are bulk work."""
    calls = facts.bulk.calls
    if calls < _MIN_CALLS or calls < _IN_BURSTS * facts.unattended.calls or len(facts.users) > 1:
        return False
    return facts.burst_seconds <= _MOST_TIME * situation.days * _DAY and (facts.bursts > 1 or calls >= _ONE_BURST)


def _saved(facts: Facts, mix: Mix, conditions: dict[str, str], situation: Situation) -> float | None:
    use, now = facts.use, situation
    usual = mix.cost(now.book, use.provider, use.model, now.day)
    less = mix.cost(now.book, use.provider, use.model, now.day, conditions)
    return None if usual is None or less is None else usual - less

"""Advice about what is asked for: histories, limits, thinking, questions that were asked before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.cost.advice.facts import KEPT_MESSAGES
from aistrale.cost.advice.prices import LIFETIME, quantile
from aistrale.cost.advice.types import share, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.cost.advice.facts import Facts
    from aistrale.cost.advice.types import Advice, Situation

_MIN_CALLS: Final = 50
_MIN_LONG: Final = 30
# A limit this many times what answers need, and by so many tokens.
_OVERSIZED: Final = 4.0
_OVERSIZED_BY: Final = 2000
_MIN_LIMITS: Final = 100
# OpenAI's rate limits count the limit of a request, not what it used (rate limit guide); Groq's do likewise.
_COUNT_LIMITS: Final = frozenset({"openai", "azure", "groq"})
# Thinking that is this much of the output, before answers as short as this.
_THINKING: Final = 0.75
_SHORT_ANSWER: Final = 300
# What the next lower effort leaves out, at least, about and at most. Efforts differ from model to model by more.
_LESS_THINKING: Final = (0.25, 0.5, 0.7)
# Questions that come again: so many, such a share, and so many times as many as chance explains.
_MIN_TWINS: Final = 20
_TWIN_SHARE: Final = 0.1
_BEYOND_CHANCE: Final = 5.0


def histories(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Conversations whose history is most of what is paid for."""
    saved = facts.history
    if facts.long < _MIN_LONG or situation.monthly(saved) < situation.least:
        return
    yield situation.advice(
        facts,
        "long_history",
        f"{facts.long:,} calls carry long histories: {quantile(facts.long_messages, 0.5):.0f} messages before the last "
        "one, at the median",
        f"Keep the last {KEPT_MESSAGES} messages and a summary of those before, or use the provider's own compaction.",
        saved=saved,
        low=saved * 0.5,
        high=saved,
        how=f"what the messages before the last {KEPT_MESSAGES} cost as input, cached ones at the price of the cache, "
        "messages taken to be equally long",
        evidence={
            "long_calls": facts.long,
            "messages_median": round(quantile(facts.long_messages, 0.5)),
            "messages_p90": round(quantile(facts.long_messages, 0.9)),
            "saved_share": share(saved, facts.cost),
        },
        caveats=(
            "answers may depend on what was said long ago; a summary costs tokens too",
            "a trimmed history changes the beginning of the prompt: trim in steps, or no cache has anything to read",
        ),
    )


def limits(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Limits on the output far above what answers need: they cost nothing, and are told for what else they do."""
    if len(facts.limits) < _MIN_LIMITS or facts.prices is None:
        return
    limit, needed = quantile(facts.limits, 0.5), quantile(facts.outputs, 0.99)
    if limit < _OVERSIZED * needed or limit - needed < _OVERSIZED_BY:
        return
    counts = facts.use.provider in _COUNT_LIMITS
    enough = int(-(-needed * 1.5 // 256) * 256)
    yield situation.advice(
        facts,
        "oversized_max_tokens",
        f"max_tokens is {limit:,.0f}, and 99 of 100 answers need at most {needed:,.0f} tokens",
        f"Set max_tokens to about {enough:,}.",
        saved=0.0,
        low=0.0,
        high=0.0,
        how="costs nothing directly; budgets reserve the limit before each call"
        + (", and the provider's rate limits count it" if counts else ""),
        evidence={
            "limit_median": round(limit),
            "output_p99": round(needed),
            "reserved_too_much_per_call": usd((limit - needed) * facts.prices.output / 1e6),
            "rate_limited_attempts": facts.limited,
        },
        confidence="high",
        caveats=("an answer that needs more than the limit is cut off",),
    )


def thinking(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Much thinking before short answers."""
    prices = facts.prices
    if prices is None or facts.thinking < _MIN_CALLS:
        return
    if facts.reasoning_tokens < _THINKING * facts.output_tokens or quantile(facts.visible, 0.5) > _SHORT_ANSWER:
        return
    cost = facts.reasoning_tokens * prices.output / 1e6
    low, about, high = (cost * part for part in _LESS_THINKING)
    if situation.monthly(about) < situation.least:
        return
    yield situation.advice(
        facts,
        "thinking",
        f"{share(facts.reasoning_tokens, facts.output_tokens):.0%} of the output is thinking, for answers of "
        f"{quantile(facts.visible, 0.5):.0f} tokens",
        "Ask for less thinking: the next lower `reasoning.effort`, or a smaller budget; and test whether answers stay "
        "good (`client.score`).",
        saved=about,
        low=low,
        high=high,
        how=f"the price of the thinking, of which the next lower effort is taken to leave out about "
        f"{_LESS_THINKING[1]:.0%}",
        evidence={
            "thinking_calls": facts.thinking,
            "reasoning_tokens": facts.reasoning_tokens,
            "output_tokens": facts.output_tokens,
            "visible_median": round(quantile(facts.visible, 0.5)),
            "cost_of_thinking": usd(cost),
        },
        confidence="low",
        caveats=(
            "hard questions need thinking: quality comes first",
            "how much less an effort thinks is an assumption",
        ),
    )


def twins(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Calls that look like one that was answered a moment ago."""
    beyond = facts.twins.count - facts.twins.chance
    if facts.twins.count < _MIN_TWINS or beyond < _MIN_TWINS or facts.twins.count < _BEYOND_CHANCE * facts.twins.chance:
        return
    if beyond < _TWIN_SHARE * facts.calls:
        return
    saved = facts.twins.cost * beyond / facts.twins.count
    if situation.monthly(saved) < situation.least:
        return
    yield situation.advice(
        facts,
        "repeated_calls",
        f"{facts.twins.count:,} of {facts.calls:,} calls look like one of the last {LIFETIME / 60:.0f} minutes",
        "Switch on the answer cache (settings `cache`): the same question is then answered from memory.",
        saved=saved,
        low=saved * 0.25,
        high=facts.twins.cost,
        how="what calls cost whose prompt has the same beginning and the same sizes to the token as one of the last "
        f"{LIFETIME:g} seconds, less those that agree by chance",
        evidence={
            "repeated": facts.twins.count,
            "by_chance": round(facts.twins.chance, 1),
            "repeated_share": share(facts.twins.count, facts.calls),
            "cost_of_repeated": usd(facts.twins.cost),
        },
        confidence="low",
        caveats=(
            "the ledger has no content: different questions of one length look the same",
            "a remembered answer does not vary; where variety is wanted, do not remember it",
        ),
    )

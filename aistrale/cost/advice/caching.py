"""Advice about the caches that providers keep of prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.cost.advice.prices import LIFETIME, quantile
from aistrale.cost.advice.types import share, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.cost.advice.facts import Facts
    from aistrale.cost.advice.prices import Cached
    from aistrale.cost.advice.types import Advice, Situation

_MIN_CALLS: Final = 50
_MIN_HITS: Final = 30
# A cache that serves more than this of what it could is in use.
_SERVED: Final = 0.5
# Prefixes of one length of which hardly any comes twice: something in them is new each time.
_DISTINCT: Final = 0.8
_SPREAD: Final = 0.1
# What of the computed saving is left at worst: a cache promises nothing where it is not asked for by name.
_SURE: Final = {"anthropic": 0.8}
_LIKELY: Final = 0.5

_ASK: Final = (
    "Mark the end of the system text and the tools with a cache hint (`TextPart(..., cache=CacheHint())`; in "
    "Anthropic's own words `cache_control`)."
)
_HELP: Final = {
    "anthropic": _ASK,
    "openai": "Give calls that share a prompt the same `cache_key` (OpenAI's `prompt_cache_key`), and keep what "
    "changes behind what stays.",
    "gemini": "Put what all calls share first and send them close together, or make an explicit cache of it "
    "(`cachedContents`), which promises the saving.",
}


def unused(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """The same prefix again and again within the lifetime of a cache, and hardly anything read from one."""
    prices, same = facts.prices, facts.same
    if prices is None or facts.prefixed < _MIN_CALLS or same.hits < _MIN_HITS or _serves(same):
        return
    saved = same.saving(prices)
    if situation.monthly(saved) < situation.least:
        return
    yield situation.advice(
        facts,
        "prompt_caching",
        f"The provider's prompt cache is not used: {same.hits:,} calls repeat a prompt that it could have kept",
        _HELP.get(facts.use.provider, _HELP["openai"]),
        saved=saved,
        low=saved * _SURE.get(facts.use.provider, _LIKELY),
        high=saved,
        how="tokens of the repeated prefix at the price of reading from the cache instead of the price paid, less the "
        "premium for writing it where the price list has one",
        evidence=_evidence(facts, same, len(facts.prefixes)),
        confidence="high" if facts.use.provider == "anthropic" else "medium",
        caveats=(
            f"prefixes are taken to be kept for {LIFETIME:g} seconds after their last use",
            "the length of the prefix is estimated from its characters, scaled to the provider's count",
        ),
    )


def broken(facts: Facts, situation: Situation) -> Iterator[Advice]:
    """Prefixes of one length that are new with nearly every call, as a time of day in the system text makes them."""
    prices, alike = facts.prices, facts.alike
    if prices is None or facts.prefixed < _MIN_CALLS or alike.hits < _MIN_HITS:
        return
    middle = quantile(facts.lengths, 0.5)
    spread = quantile(facts.lengths, 0.9) - quantile(facts.lengths, 0.1)
    if len(facts.prefixes) < _DISTINCT * facts.prefixed or spread > _SPREAD * middle or _serves(alike):
        return
    saved = alike.saving(prices)
    if situation.monthly(saved) < situation.least:
        return
    yield situation.advice(
        facts,
        "cache_breaking",
        f"The beginning of the prompt changes with every call: {len(facts.prefixes):,} prefixes of the same length in "
        f"{facts.prefixed:,} calls",
        "Take what changes (the date and time, an id, the user's name) out of the system text and the tools, or put it "
        "at the end of the conversation; then the provider's cache can keep the rest.",
        saved=saved,
        low=saved * _LIKELY,
        high=saved,
        how="as if all of these calls had the same prefix: its tokens at the price of reading from the cache instead "
        "of the price paid, less the premium for writing it",
        evidence=_evidence(facts, alike, len(facts.prefixes)),
        caveats=(
            "what makes the prefixes differ cannot be seen in the ledger: long contexts of one length look the same",
        ),
    )


def _serves(cached: Cached) -> bool:
    possible = cached.had + cached.read + cached.rewritten
    return possible <= 0 or cached.had > _SERVED * possible


def _evidence(facts: Facts, cached: Cached, prefixes: int) -> dict[str, float | int | str]:
    possible = cached.had + cached.read + cached.rewritten
    return {
        "calls_with_long_prefix": facts.prefixed,
        "prefixes": prefixes,
        "prefix_tokens": round(quantile(facts.lengths, 0.5)),
        "least_cached_tokens": facts.minimum or 0,
        "repeated_in_time": cached.hits,
        "read_from_cache": share(cached.had, possible),
        "cost_of_prefixes": usd(
            0.0 if facts.prices is None else (cached.read + cached.written) * facts.prices.input / 1e6
        ),
    }

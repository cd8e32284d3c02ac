"""What a call will use and cost, before it is made: an interval, never a promise.

The prompt can be counted (`tokens/counters.py`), within bounds. How much a model will say cannot be known: what it
said before, for this route or model, is the best guess there is, and without that only what is usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.cost.prices import price_usage
from aistrale.cost.tokens.counters import Count, count_request
from aistrale.store.records import AttemptRow
from aistrale.types import EmbedRequest, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.cost.tokens.calibration import Calibration
    from aistrale.providers.catalog import ModelFacts
    from aistrale.store.protocol import Exchange
    from aistrale.types import Cost, Request

History: TypeAlias = "Iterable[int | AttemptRow | Exchange]"

# Answers before their quantiles say anything.
_ENOUGH: Final = 5
# Own answers of this model before those of others on the same route are left out.
_ENOUGH_OWN: Final = 8
# The newest that are looked at: prompts and models change.
_NEWEST: Final = 1000
# What is assumed without history, tokens: some sentences up to two pages; of models that think first, whose thoughts
# are output, several times that. Assumptions, not measurements: how long answers are is up to the application.
_USUAL: Final = (10, 300, 1500)
_THINKING: Final = (50, 1000, 8000)
# How a catalog says that a model thinks unless it is told not to; the others think where they are asked to.
_THINKS_ANYWAY: Final = frozenset({"effort", "level"})


@dataclass(slots=True, frozen=True, kw_only=True)
class Estimate:
    """What a call is expected to use and to cost; tokens and US dollars.

    Args:
        input_tokens: The prompt, best guess.
        input_low: Not less than this, as far as is known.
        input_high: Not more than this, as far as is known.
        output_p50: What half of the answers stay within, thoughts included.
        output_p90: What nine of ten answers stay within.
        output_most: What no answer exceeds: the limit of the request or of the model; None where neither is known.
        usd: For the best guesses of both; None where the price is unknown.
        usd_low: For the least prompt and an answer that only one of ten falls short of.
        usd_high: For the largest prompt and `output_p90`.
        usd_most: For the largest prompt and `output_most`; None where one of them is unknown.
        book: The price book.
        method: How the prompt was counted, see `aistrale.cost.tokens.counters.Count`.
        answers: Earlier answers that the output was taken from; 0 where it is only what is usual.
        reason: Why the cost is unknown, else what the output rests on.
    """

    input_tokens: int
    input_low: int
    input_high: int
    output_p50: int
    output_p90: int
    output_most: int | None
    usd: Decimal | None
    usd_low: Decimal | None
    usd_high: Decimal | None
    usd_most: Decimal | None
    book: str | None
    method: str
    answers: int
    reason: str


def count_tokens(
    request: Request | EmbedRequest,
    provider: str,
    model: str,
    *,
    facts: ModelFacts | None = None,
    dialect: str | None = None,
    calibration: Calibration | None = None,
) -> Count:
    """How many input tokens a request has, corrected by what earlier calls have shown.

    Loads encodings at its first use and may read the ledger: not on an event loop.

    Args:
        request: What would be sent.
        provider: The provider's name.
        model: The model, in the provider's words.
        facts: What the catalog says of it.
        dialect: The wire format that it would be sent in.
        calibration: What was learned; nothing is corrected without it.
    """
    counted = count_request(request, provider, model, facts=facts, dialect=dialect)
    return counted if calibration is None else calibration.corrected(provider, model, counted)


def predict(
    request: Request | EmbedRequest,
    provider: str,
    model: str,
    *,
    history: History = (),
    book: PriceBook | None = None,
    calibration: Calibration | None = None,
    at: datetime | None = None,
    facts: ModelFacts | None = None,
    dialect: str | None = None,
) -> Estimate:
    """What a call will use and cost.

    The cost is that of a prompt which no cache holds, all of it text, without fees for hosted tools.

    Args:
        request: What would be sent.
        provider: The provider's name.
        model: The model, in the provider's words.
        history: Earlier answers, newest last: their tokens of output, or rows of the ledger, of which those of other
            models count only where there are few of this one, and those that did not succeed never.
        book: The prices; the process's own by default.
        calibration: What was learned about our counts.
        at: When it would be sent, aware; now by default.
        facts: What the catalog says of the model.
        dialect: The wire format that it would be sent in.
    """
    count = count_tokens(request, provider, model, facts=facts, dialect=dialect, calibration=calibration)
    low = middle = high = seen = 0
    most: int | None = 0
    reason = "embeddings have no output"
    if not isinstance(request, EmbedRequest):
        most = _most(request, facts)
        sizes = _sizes(history, provider, model)
        seen = len(sizes) if len(sizes) >= _ENOUGH else 0
        spread = _quantiles(sizes) if seen else _usual(request, facts)
        low, middle, high = (size if most is None else min(size, most) for size in spread)
        reason = f"the output is that of {seen} earlier answers" if seen else "the output is what is usual: no history"

    def cost(prompt: int, answer: int | None) -> Cost | None:
        if answer is None:
            return None
        usage = Usage(input=prompt, output=answer, source="estimated")
        tier = None if isinstance(request, EmbedRequest) else request.service_tier
        conditions = {"service_tier": tier} if tier is not None else {}
        return price_usage(provider, model, usage, at=at, book=book, **conditions)

    usual = cost(count.tokens, middle)
    least, much, utmost = cost(count.low, low), cost(count.high, high), cost(count.high, most)
    known = usual is not None and usual.usd is not None
    return Estimate(
        input_tokens=count.tokens,
        input_low=count.low,
        input_high=count.high,
        output_p50=middle,
        output_p90=high,
        output_most=most,
        usd=_usd(usual),
        usd_low=_usd(least),
        usd_high=_usd(much),
        usd_most=_usd(utmost),
        book=usual.book if usual is not None else None,
        method=count.method,
        answers=seen,
        reason=reason if known or usual is None else usual.reason or reason,
    )


def _usd(cost: Cost | None) -> Decimal | None:
    return cost.usd if cost is not None else None


def _most(request: Request, facts: ModelFacts | None) -> int | None:
    limits = [limit for limit in (request.max_tokens, facts.max_output if facts is not None else None) if limit]
    return min(limits) * max(request.n or 1, 1) if limits else None


def _sizes(history: History, provider: str, model: str) -> list[int]:
    """Tokens of the newest answers; of this model where there are enough, else of all."""
    own: list[int] = []
    every: list[int] = []
    for each in history:
        if isinstance(each, int):
            own.append(each)
            every.append(each)
            continue
        row = each if isinstance(each, AttemptRow) else each.attempt
        said = [row.output, row.reasoning, row.audio_output, row.image_output]
        if row.outcome != "success" or all(size is None for size in said):
            continue
        every.append(sum(size or 0 for size in said))
        if (row.provider, row.model) == (provider, model):
            own.append(every[-1])
    return (own if len(own) >= _ENOUGH_OWN else every)[-_NEWEST:]


def _quantiles(sizes: Sequence[int]) -> tuple[int, int, int]:
    """The sizes that a tenth, a half and nine tenths of answers stay within.

    Of n answers the next is below the k-th smallest with a chance of k / (n + 1), whatever their distribution; where n
    is too small for nine tenths, half more than the largest is taken.
    """
    ordered = sorted(sizes)
    rank = ceil(0.9 * (len(ordered) + 1))
    high = ordered[rank - 1] if rank <= len(ordered) else ceil(ordered[-1] * 1.5)
    low = ordered[max(0, floor(0.1 * (len(ordered) + 1)) - 1)]
    middle = ordered[(len(ordered) - 1) // 2]
    return low, max(low, middle), max(high, middle)


def _usual(request: Request, facts: ModelFacts | None) -> tuple[int, int, int]:
    asked = request.reasoning
    thinks = asked is not None and asked.effort != "none" and bool(asked.effort or asked.budget)
    if asked is None and facts is not None:
        thinks = facts.reasoning in _THINKS_ANYWAY
    low, middle, high = _THINKING if thinks else _USUAL
    if asked is not None and asked.budget:
        high = max(high, asked.budget + _USUAL[2])
    alternatives = max(request.n or 1, 1)
    return low * alternatives, middle * alternatives, high * alternatives

"""What metered use costs, by any price book, in exact decimals; and a bill computed again from the ledger.

Every line is charged at its own model's rates of that day, and at the tier that its largest prompt falls into. What has
no rate makes the whole unknown, with the reason: it is never taken for nothing.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Context, Decimal
from time import time
from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.cost.book.names import provider_name
from aistrale.cost.meter import BUCKETS, Line, Metered, bucket_lines
from aistrale.types import Cost, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.cost.book.rows import Rates
    from aistrale.store.records import AttemptRow

_Counts: TypeAlias = "Mapping[str, int | Decimal]"

# The caller may have set a small precision for its own sums.
EXACT: Final = Context(prec=60)
# A part of a second's price may have no end: 10^-18 dollars are far below what any ledger sums up.
_SMALLEST: Final = Decimal("1E-18")
_DAY: Final = 86_400
_SECONDS: Final = Decimal(3600)

# Where a kind of token has no rate of its own, providers charge a wider kind's: what is read from a cache costs less
# only where the price list has a column for it. Sound is not among them.
_WIDER: Final[dict[str, tuple[str, ...]]] = {
    "cache_read": ("input",),
    "image_input": ("input",),
    "video_input": ("input",),
    "audio_cache_read": ("cache_read", "audio_input"),
    "image_cache_read": ("cache_read", "image_input", "input"),
    "video_cache_read": ("cache_read", "video_input", "input"),
}
# Gemini's pages name the price of sound only where it differs, and OpenAI charges nothing more for what it writes to
# its cache before GPT-5.6 (OpenAI prompt caching guide).
_WIDER_AT: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("gemini", "audio_input"): ("input",),
    ("gemini", "audio_cache_read"): ("cache_read", "audio_input", "input"),
    ("openai", "cache_write"): ("input",),
}
_SEARCHES: Final = {"web_search_calls": "call", "grounded_prompts": "prompt", "web_search_queries": "query"}
_THOUSANDS: Final = frozenset({"file_search", "maps_grounding"})
# Since then a request that ends as a refusal without output is free (Claude API release notes, 2 June 2026).
_FREE_REFUSALS: Final = (date(2026, 6, 2) - date(1970, 1, 1)).days
# Conditions that choose no rates: two multiply the price of tokens.
_NO_RATES: Final = frozenset({"inference_geo", "data_residency", "stop_reason"})


def price_metered(
    book: PriceBook, provider: str, model: str, metered: Metered, at: datetime | float | None = None
) -> Cost:
    """What metered use costs.

    Args:
        book: The prices.
        provider: The provider's name.
        model: The model that was asked, in the provider's words; lines may name others.
        metered: What was used, from `aistrale.cost.meter`.
        at: When, aware, or Unix seconds; now by default.

    Returns:
        US dollars, or None and the reason why they are unknown; with the book's label, wherever it was asked.

    Raises:
        ValueError: `at` has no time zone.
    """
    if not metered.lines:
        return Cost(None, metered.reason or "the provider reported no usage")
    if not any(line.units for line in metered.lines):
        return Cost(Decimal(0), metered.reason)
    day = day_of(at)
    if metered.conditions.get("stop_reason") == "refusal" and day >= _FREE_REFUSALS:
        return Cost(Decimal(0), "a refusal without output is not billed", metered.estimated)
    bill = _Bill(book, provider, metered.conditions, day)
    total = Decimal(0)
    for line in metered.lines:
        amount = bill.charge(line.model or model, line)
        if amount is None:
            return Cost(None, bill.reason, metered.estimated, book.label)
        total = EXACT.add(total, amount)
    reason = "; ".join(filter(None, [metered.reason, *bill.notes, bill.remark])) or None
    return Cost(total, reason, metered.estimated or bool(bill.notes), book.label)


def reprice(attempt: AttemptRow, book: PriceBook) -> Cost:
    """A bill computed again from the ledger.

    Args:
        attempt: The settled row. Where no price was looked up for it (it was refused, or never sent, or reported no
            usage) it costs what stands there.
        book: The prices; with the book that the row names, the amount is the same again.
    """
    estimated = attempt.usage_source == "estimated"
    if attempt.book is None:
        return Cost(None if attempt.cost is None else Decimal(attempt.cost), attempt.cost_reason, estimated)
    metered = metered_of(attempt)
    cost = price_metered(book, attempt.provider, attempt.response_model or attempt.model, metered, attempt.at)
    if cost.usd is None and attempt.response_model not in {None, attempt.model}:
        return price_metered(book, attempt.provider, attempt.model, metered, attempt.at)
    return cost


def metered_of(attempt: AttemptRow) -> Metered:
    """What was used, from a row: what it says was priced, and where it says nothing its columns of tokens."""
    said = Metered.from_json(attempt.metered)
    if said.lines:
        return said
    usage = Usage(**{name: count for name in BUCKETS if (count := getattr(attempt, name, None)) is not None})
    estimated = attempt.usage_source == "estimated"
    reason = "the tokens are estimated" if estimated else None
    return Metered(tuple(bucket_lines(usage)), said.conditions, estimated, reason)


class _Bill:
    """The rates of one exchange, and why something has none."""

    __slots__ = ("_book", "_conditions", "_day", "_provider", "_requested", "notes", "reason", "remark")

    def __init__(self, book: PriceBook, provider: str, conditions: Mapping[str, str], day: int) -> None:
        self._book, self._provider, self._conditions, self._day = book, provider, conditions, day
        self.notes: list[str] = []
        self.reason: str | None = None
        self.remark: str | None = None
        self._requested = False

    def charge(self, model: str, line: Line) -> Decimal | None:
        """What a line costs; None where it is not known, with `reason`."""
        if not line.units:
            return Decimal(0)
        chosen = tuple(item for item in self._conditions.items() if item[0] not in _NO_RATES)
        period = rates_of(self._book, self._provider, model, chosen, self._day)
        if isinstance(period, str):
            self.reason = period
            return None
        name = f"{self._provider}/{model}"
        rates = self._table(line, period)
        total = self._uses(line.units, rates, period.web_search_per, name)
        if total is None:
            return None
        tokens = Decimal(0)
        for unit, count in line.units.items():
            if count and unit not in _SEARCHES and unit not in _THOUSANDS and unit != "audio_seconds":
                rate = rate_of(rates, unit, self._provider)
                if rate is None:
                    self.reason = no_rate(unit, name)
                    return None
                tokens = EXACT.add(tokens, EXACT.multiply(rate, count))
        factor = self._factor(rates, name)
        if factor is None:
            return None
        tokens = EXACT.scaleb(EXACT.multiply(tokens, factor), -6)
        total = EXACT.add(total, tokens)
        if line.model is None and not self._requested:
            # However many passes a request took, it was one.
            self._requested = True
            total = EXACT.add(total, rates.get("request") or Decimal(0))
        return total

    def _table(self, line: Line, period: Rates) -> Mapping[str, Decimal]:
        if not period.tiers:
            return period.rates
        if line.prompt is not None:
            return table_of(period, line.prompt)
        given = sum(count for unit, count in line.units.items() if unit in _INPUTS)
        if given > period.tiers[-1].above:
            self.notes.append(
                "the counts are a sum over several prompts, priced as if none had more than "
                f"{period.tiers[-1].above} tokens"
            )
        return period.rates

    def _uses(
        self, units: Mapping[str, int | Decimal], rates: Mapping[str, Decimal], per: str, name: str
    ) -> Decimal | None:
        """Hosted tools and sound, whose fees nothing multiplies."""
        total = Decimal(0)
        uses = {unit: units[unit] for unit in _THOUSANDS if units.get(unit)}
        if searches := self._searches(units, per):
            uses["web_search"] = searches
        for unit, count in uses.items():
            fee = rates.get(unit)
            if fee is None:
                self.reason = f"no fee for {_FEE_WORDS[unit]} of {name} is known"
                return None
            total = EXACT.add(total, EXACT.scaleb(EXACT.multiply(fee, count), -3))
        seconds = units.get("audio_seconds")
        if seconds:
            rate = rates.get("audio_hours")
            if rate is None:
                self.reason = no_rate("audio_hours", name)
                return None
            least = rates.get("audio_min_seconds") or Decimal(0)
            total = EXACT.add(total, _hours(max(Decimal(seconds), least), rate))
        return total

    def _searches(self, units: _Counts, per: str) -> int | Decimal:
        """How many searches are charged, in the way in which the model's fee counts them."""
        told = {way: count for unit, way in _SEARCHES.items() if (count := units.get(unit))}
        if per in told or not told:
            return told.get(per, 0)
        if per == "prompt":
            return 1
        if per == "query" and "call" not in told:
            self.notes.append("how many searches were made is not known, only that there were some")
        return max(told.values())

    def _factor(self, rates: Mapping[str, Decimal], name: str) -> Decimal | None:
        factor = Decimal(1)
        geo, region = self._conditions.get("inference_geo"), self._conditions.get("data_residency")
        if geo is not None:
            more = rates.get(f"geo_{geo}")
            if more is None:
                self.reason = f"no price of {name} for the inference geography {geo} is known"
                return None
            factor = EXACT.multiply(factor, more)
        if region is not None:
            more = rates.get("residency")
            if more is None:
                # OpenAI's data residency guide: the uplift is for models released on or after 2026-03-05.
                self.remark = f"no uplift of {name} for data residency is known"
            else:
                factor = EXACT.multiply(factor, more)
        return factor


_FEE_WORDS: Final = {
    "web_search": "searches",
    "file_search": "searches of files",
    "maps_grounding": "grounding with maps",
}
_INPUTS: Final = frozenset(
    {
        "input",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "cache_write_12h",
        "audio_input",
        "audio_cache_read",
        "image_input",
        "image_cache_read",
        "video_input",
        "video_cache_read",
    }
)


def _hours(seconds: Decimal, rate: Decimal) -> Decimal:
    amount = EXACT.divide(EXACT.multiply(seconds, rate), _SECONDS)
    exponent = amount.as_tuple().exponent
    return amount.quantize(_SMALLEST, context=EXACT) if isinstance(exponent, int) and exponent < -18 else amount


def no_rate(unit: str, name: str) -> str:
    """Why a price is unknown that lacks one rate."""
    what = "hours of sound" if unit == "audio_hours" else unit if unit == "characters" else f"{unit} tokens"
    return f"no rate for {what} of {name} is known"


def rate_of(rates: Mapping[str, Decimal], unit: str, provider: str) -> Decimal | None:
    """The rate of a unit, or of the wider one that it is charged as."""
    rate = rates.get(unit)
    if rate is None:
        wider = _WIDER_AT.get((provider_name(provider), unit)) or _WIDER.get(unit, ())
        rate = next((rates[each] for each in wider if each in rates), None)
    return rate


def table_of(period: Rates, prompt: int) -> Mapping[str, Decimal]:
    """The rates for a prompt of that length: a tier holds for prompts of more tokens than its limit."""
    for tier in period.tiers:
        if prompt > tier.above:
            return tier.rates
    return period.rates


def rates_of(book: PriceBook, provider: str, model: str, chosen: tuple[tuple[str, str], ...], day: int) -> Rates | str:
    """A model's rates under conditions on a day (counted from 1970-01-01, UTC), or why there are none."""
    periods = book.periods(provider, model, chosen)
    if isinstance(periods, str):
        return periods
    for period in periods:
        if period.start <= day:
            return period if period.rates else _no_day(provider, model)
    return _no_day(provider, model)


def _no_day(provider: str, model: str) -> str:
    return f"no price of {provider}/{model} is known for that day"


def day_of(at: datetime | float | None) -> int:
    """Days since 1970-01-01, UTC; of an aware instant, of Unix seconds, or of now.

    Raises:
        ValueError: The instant has no time zone.
    """
    if at is None:
        return int(time() // _DAY)
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValueError("at: a time with a time zone is needed, for example datetime.now(UTC)")
        at = at.timestamp()
    return int(at // _DAY)

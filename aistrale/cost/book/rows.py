"""What stands in a price book: rates, the periods in which they hold, and where they were read.

The data is JSON, see `tools/refresh_prices.py`. A model has periods, the oldest first; a period has rates, the rates
of longer prompts (`above`) and those under conditions (`when`), which name only what differs. Here they are read
into complete tables, so that pricing is one look-up per bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aistrale.types import JSON, JSONObject

Table: TypeAlias = dict[str, Decimal]

# What rates are called, by what one unit of them is. US dollars each, but for factors and seconds.
PER_MILLION = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "audio_input",
    "audio_output",
    "audio_cache_read",
    "image_input",
    "image_output",
    "image_cache_read",
    "video_input",
    "video_output",
    "video_cache_read",
    "characters",
)
PER_THOUSAND = ("web_search", "file_search", "maps_grounding")
PER_HOUR = ("audio_hours",)
PER_ONE = ("request",)
FACTORS = ("geo_us", "residency")
SECONDS = ("audio_min_seconds",)
# Those that are prices; a discount lowers them.
MONEY = frozenset((*PER_MILLION, *PER_THOUSAND, *PER_HOUR, *PER_ONE))
UNITS = frozenset((*MONEY, *FACTORS, *SECONDS))
# Rates of other media, with that of text which they are equal to unless told otherwise.
MEDIA_OF_TEXT = {
    f"{medium}_{unit}": unit for medium in ("audio", "image", "video") for unit in ("input", "output", "cache_read")
}
# Rates that move with that of input.
CACHES_OF_TEXT = frozenset({"cache_read", "cache_write", "cache_write_1h", "cache_write_12h"})
# What conditions say when they ask for the usual price: OpenAI, Groq and Anthropic API references.
USUAL = {
    "service_tier": frozenset({"default", "standard", "standard_only", "auto", "on_demand"}),
    "processing": frozenset({"realtime", "standard"}),
    "speed": frozenset({"standard"}),
}
# How searches are counted for the fee: every call of the tool, every prompt that searched, every query that was sent.
SEARCH_COUNTS = ("call", "prompt", "query")

EPOCH = date(1970, 1, 1).toordinal()
# Before every exchange there can be.
ALWAYS = -EPOCH


@dataclass(slots=True, frozen=True)
class Tier:
    """Rates of long prompts.

    Args:
        above: They hold, for the whole exchange, when its prompt has more tokens than this, cached ones included.
        rates: The complete table.
    """

    above: int
    rates: Mapping[str, Decimal]


@dataclass(slots=True, frozen=True)
class Rates:
    """What a model costs under given conditions from a day on.

    Args:
        start: The first day, counted from 1970-01-01, UTC; far negative where nobody knows it.
        rates: US dollars per million tokens, thousand searches, hour of audio (`audio_hours`) or request; factors
            (`geo_us`, `residency`); seconds (`audio_min_seconds`). Empty when no price of that time is known.
        tiers: The rates of long prompts, the longest first.
        web_search_per: What the fee for searches counts: "call", "prompt" or "query".
    """

    start: int
    rates: Mapping[str, Decimal]
    tiers: tuple[Tier, ...] = ()
    web_search_per: str = "call"


@dataclass(slots=True, frozen=True)
class BookRow:
    """A period of a model as it stands in the book.

    Args:
        start: The first day; None where nobody knows it.
        end: The last day; None where none is known.
        rates: As in Rates; for a condition only what differs from the usual price.
        tiers: As in Rates, with only what differs; their limits look at the whole prompt, cached tokens included.
        when: The conditions under which these rates hold; empty for the usual price.
        source: Where it was read.
        checked_on: The day on which it was last compared with the sources.
        agree: Further sources that say the same of the units that they know.
    """

    start: date | None
    end: date | None
    rates: Mapping[str, Decimal]
    tiers: tuple[Tier, ...]
    when: Mapping[str, str]
    source: str
    checked_on: date
    agree: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class BookModel:
    """A model in the book.

    Args:
        provider: Who sells it.
        id: Its name there.
        backend: Of a router: who serves it; None elsewhere.
        aliases: Further names of it.
        rows: Its periods, the oldest first, each with its conditions behind it.
    """

    provider: str
    id: str
    backend: str | None
    aliases: tuple[str, ...]
    rows: tuple[BookRow, ...]


def day_number(day: str) -> int:
    """Days from 1970-01-01 to a day in ISO 8601."""
    return date.fromisoformat(day).toordinal() - EPOCH


def decimals(rates: JSON) -> Table:
    """A table of the data, read."""
    return {unit: Decimal(amount) for unit, amount in cast("dict[str, str]", rates).items()}


def start_of(period: JSONObject) -> int:
    """The first day of a period."""
    return day_number(cast("str", period["from"])) if "from" in period else ALWAYS


def periods_under(periods: Sequence[JSONObject], conditions: Mapping[str, str]) -> tuple[Rates, ...] | None:
    """The rates of a model under conditions, the newest first.

    Args:
        periods: The periods of the data, the oldest first.
        conditions: What must be listed as such: an unlisted condition has no known price.

    Returns:
        None when no period knows the conditions. A period that does not has empty rates.
    """
    found = [_under(period, conditions) for period in reversed(periods)]
    if all(rates is None for rates in found):
        return None
    pairs = zip(reversed(periods), found, strict=True)
    every = [rates or Rates(start_of(period), {}) for period, rates in pairs]
    if periods and "to" in periods[-1]:
        every.insert(0, Rates(day_number(cast("str", periods[-1]["to"])) + 1, {}))
    return tuple(every)


def _under(period: JSONObject, conditions: Mapping[str, str]) -> Rates | None:
    rates, above = _tables(period)
    if conditions:
        variants = cast("list[JSONObject]", period.get("when", []))
        variant = next((each for each in variants if each["if"] == conditions), None)
        if variant is None:
            return None
        changed, beyond = _tables(variant)
        # A rate that the variant names without a limit holds at every length.
        limits = above.keys() | beyond.keys()
        above = {limit: {**above.get(limit, {}), **changed, **beyond.get(limit, {})} for limit in limits}
        rates = {**rates, **changed}
    tiers = tuple(Tier(limit, {**rates, **above[limit]}) for limit in sorted(above, reverse=True))
    return Rates(start_of(period), rates, tiers, cast("str", period.get("web_search_per", "call")))


def _tables(row: JSONObject) -> tuple[Table, dict[int, Table]]:
    tiers = cast("list[JSONObject]", row.get("above", []))
    return decimals(row["rates"]), {cast("int", tier["tokens"]): decimals(tier["rates"]) for tier in tiers}


def rows_of(periods: Sequence[JSONObject], sources: Sequence[str]) -> tuple[BookRow, ...]:
    """The rows of a model, as people read them.

    Args:
        periods: The periods of the data, the oldest first.
        sources: The list that the periods' `source` and `agree` point into.
    """
    rows: list[BookRow] = []
    for index, period in enumerate(periods):
        later = periods[index + 1] if index + 1 < len(periods) else None
        start = cast("str | None", period.get("from"))
        until = cast("str | None", period.get("to"))
        end = None if until is None else date.fromisoformat(until)
        if end is None and later is not None:
            end = date.fromisoformat(cast("str", later["from"])) - timedelta(days=1)
        for table in (period, *cast("list[JSONObject]", period.get("when", []))):
            rates, above = _tables(table)
            rows.append(
                BookRow(
                    start=None if start is None else date.fromisoformat(start),
                    end=end,
                    rates=rates,
                    tiers=tuple(Tier(limit, above[limit]) for limit in sorted(above, reverse=True)),
                    when=cast("dict[str, str]", table.get("if", {})),
                    source=sources[cast("int", period["source"])],
                    checked_on=date.fromisoformat(cast("str", period["checked_on"])),
                    agree=tuple(sources[each] for each in cast("list[int]", period.get("agree", []))),
                )
            )
    return tuple(rows)


def rate_text(value: Decimal) -> str:
    """A rate as it stands in the data: a plain decimal without exponent and trailing zeros.

    Raises:
        ValueError: It is negative or not finite.
    """
    if not value.is_finite() or value < 0:
        raise ValueError("a rate must be finite and not negative")
    return format(value.normalize(), "f") if value else "0"

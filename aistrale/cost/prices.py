"""What exchanges cost, from the usage that providers report: the meter and the price book behind one question.

What is not known stays unknown: a model without a price, tokens without a rate, a condition that changes the price in a
way nobody recorded. It is never taken for zero.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING

from aistrale.cost.book.price_book import price_book
from aistrale.cost.meter import BUCKETS, meter
from aistrale.cost.meter_conditions import plain_conditions
from aistrale.cost.pricing import EXACT, day_of, no_rate, price_metered, rate_of, rates_of, table_of
from aistrale.types import Cost, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aistrale.cost.book.price_book import PriceBook

_COUNTS = attrgetter(*BUCKETS)
_UNTOLD = (None,) * len(BUCKETS)
_OUTPUTS = frozenset({"output", "audio_output", "image_output"})
_NOTHING = Decimal(0)


def price(
    provider: str,
    model: str,
    usage: Usage | Mapping[str, object] | None,
    *,
    at: datetime | None = None,
    book: PriceBook | None = None,
    **conditions: object,
) -> Cost:
    """What an exchange cost.

    Args:
        provider: The provider's name.
        model: The model, in the provider's words; at Hugging Face with the backend (`org/name:backend`).
        usage: The provider's usage object, verbatim, or decoded; see `aistrale.cost.meter.meter`. Anything else than
            an object or None is an error.
        at: When it happened, aware; now by default. Prices change.
        book: The prices; those of `aistrale.cost.book.price_book.price_book` by default.
        conditions: What changes the price and does not stand in the usage: `service_tier` of the answer,
            `processing="batch"`, `speed="fast"`, `inference_provider` (Hugging Face's backend), `data_residency`,
            `web_search_calls` and the other uses of hosted tools (numbers), `http_status`, `stop_reason`, `aborted`;
            all of them stand at `aistrale.cost.meter.meter`.

    Returns:
        US dollars, or None and the reason why they are unknown; with the label of the price book.

    Raises:
        ValueError: `at` has no time zone.
        MalformedBody: The usage object does not have the provider's shape.
    """
    if isinstance(usage, Usage):
        return price_usage(provider, model, usage, at=at, book=book, **conditions)
    metered = meter(provider, model, usage, **conditions)
    return price_metered(price_book() if book is None else book, provider, model, metered, at)


def price_usage(
    provider: str,
    model: str,
    usage: Usage,
    *,
    at: datetime | float | None = None,
    book: PriceBook | None = None,
    **conditions: object,
) -> Cost:
    """As price, for decoded usage; about 3 microseconds once a model's rates are known.

    Args:
        provider: As in price.
        model: As in price.
        usage: Decoded, with the verbatim object in `raw` where there is one.
        at: As in price; Unix seconds are taken too.
        book: As in price.
        conditions: As in price.
    """
    if book is None:
        book = price_book()
    chosen = plain_conditions(usage, conditions) if conditions or usage.raw is not None else ()
    if chosen is None:
        return price_metered(book, provider, model, meter(provider, model, usage, **conditions), at)
    rates = rates_of(book, provider, model, chosen, day_of(at))
    if isinstance(rates, str):
        return Cost(None, rates, usage.source == "estimated", book.label)
    counts = _COUNTS(usage)
    if counts == _UNTOLD:
        return Cost(None, "the provider reported no usage")
    units = _units(*counts)
    table = rates.rates
    if rates.tiers:
        table = table_of(rates, sum([count for unit, count in units if unit not in _OUTPUTS]))
    total = _NOTHING
    for unit, count in units:
        if count:
            rate = table.get(unit) or rate_of(table, unit, provider)
            if rate is None:
                return Cost(None, no_rate(unit, f"{provider}/{model}"), usage.source == "estimated", book.label)
            total = EXACT.fma(rate, count, total)
    usd = EXACT.scaleb(total, -6)
    if "request" in table:
        usd = EXACT.add(usd, table["request"])
    estimated = usage.source == "estimated"
    return Cost(usd, "the tokens are estimated" if estimated else None, estimated, book.label)


def _units(  # noqa: PLR0917 - the buckets, in the order of BUCKETS
    given: int | None,
    read: int | None,
    written: int | None,
    written_5m: int | None,
    written_30m: int | None,
    written_1h: int | None,
    written_12h: int | None,
    made: int | None,
    thought: int | None,
    heard: int | None,
    spoken: int | None,
    seen: int | None,
    painted: int | None,
    tool: int | None,
) -> tuple[tuple[str, int], ...]:
    """The buckets by the rates that they are charged at, as BUCKETS says; unrolled, since every call is priced."""
    return (
        ("input", (given or 0) + (tool or 0)),
        ("cache_read", read or 0),
        ("cache_write", (written or 0) + (written_5m or 0) + (written_30m or 0)),
        ("cache_write_1h", written_1h or 0),
        ("cache_write_12h", written_12h or 0),
        ("output", (made or 0) + (thought or 0)),
        ("audio_input", heard or 0),
        ("audio_output", spoken or 0),
        ("image_input", seen or 0),
        ("image_output", painted or 0),
    )

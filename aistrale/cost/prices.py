"""What exchanges cost, from the usage that providers report: the meter and the price book behind one question.

What is not known stays unknown: a model without a price, tokens without a rate, a condition that changes the price in a
way nobody recorded. It is never taken for zero.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING

from aistrale.cost.book import price_book
from aistrale.cost.meter import BUCKETS, meter
from aistrale.cost.meter_conditions import plain_conditions
from aistrale.cost.pricing import EXACT, day_of, no_rate, price_metered, rate_of, rates_of, table_of
from aistrale.types import Cost, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aistrale.cost.book import PriceBook

_UNITS = tuple(BUCKETS.items())
_COUNTS = attrgetter(*BUCKETS)


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
        book: The prices; those of `aistrale.cost.book.price_book` by default.
        conditions: What changes the price and does not stand in the usage: `service_tier` of the answer,
            `processing="batch"`, `speed="fast"`, `inference_provider` (Hugging Face's backend), `data_residency`,
            `web_search_calls` and the other uses of hosted tools (numbers), `http_status`, `stop_reason`, `aborted`.

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
    table = table_of(rates, usage.input_total or 0) if rates.tiers else rates.rates
    total, known = Decimal(0), False
    for (bucket, unit), count in zip(_UNITS, _COUNTS(usage), strict=True):
        if count is None:
            continue
        known = True
        if count:
            rate = table.get(unit) or rate_of(table, unit, provider)
            if rate is None:
                return Cost(None, no_rate(bucket, f"{provider}/{model}"), usage.source == "estimated", book.label)
            total = EXACT.add(total, EXACT.multiply(rate, count))
    if not known:
        return Cost(None, "the provider reported no usage")
    usd = EXACT.scaleb(total, -6)
    if "request" in table:
        usd = EXACT.add(usd, table["request"])
    estimated = usage.source == "estimated"
    return Cost(usd, "the tokens are estimated" if estimated else None, estimated, book.label)

"""What is done to the periods of one model's prices; used by `price_build.py`."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from price_sources import BATCH, PRIORITY, USUAL

from aistrale.cost.book.rows import FACTORS, PER_HOUR, PER_MILLION, rate_text
from aistrale.providers.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from price_sources import Prices, Table

Row: TypeAlias = dict[str, Any]

# What a batch of text or sound may use.
_HALVED = tuple(unit for unit in (*PER_MILLION, *PER_HOUR) if unit != "characters")


def tables(period: Row) -> Iterator[Row]:
    """Every table of a period."""
    for each in (period, *period.get("when", ())):
        yield each["rates"]
        for tier in each.get("above", ()):
            yield tier["rates"]


def clipped(periods: list[Row], start: str, end: str | None) -> list[Row]:
    """The periods of a time."""
    found: list[Row] = []
    for index, period in enumerate(periods):
        until = periods[index + 1]["from"] if index + 1 < len(periods) else None
        if (until is not None and until <= start) or (end is not None and period.get("from", "") >= end):
            continue
        found.append({**deepcopy(period), "from": max(start, period.get("from", ""))})
    if found and not start:
        found[0].pop("from", None)
    return found


def written(table: Table, tiers: Mapping[int, Table]) -> Row:
    """A table in the words of the data."""
    row: Row = {"rates": {unit: rate_text(amount) for unit, amount in table.items()}}
    if tiers:
        row["above"] = [
            {"tokens": limit, "rates": {unit: rate_text(amount) for unit, amount in tiers[limit].items()}}
            for limit in sorted(tiers)
        ]
    return row


def period_of(prices: Prices) -> Row:
    """The only period of a model whose prices come from a source of today's prices alone."""
    period = written(prices.lanes[USUAL], prices.tiers.get(USUAL, {}))
    when = [
        {"if": dict(lane), **written(table, prices.tiers.get(lane, {}))}
        for lane, table in prices.lanes.items()
        if lane != USUAL and table
    ]
    if when:
        period["when"] = when
    return period


def agree_on_text(period: Row, prices: Prices) -> bool:
    """Whether two sources mean the same model: a source that has another price of text is asked for nothing more."""
    theirs = prices.lanes[USUAL]
    return all(
        Decimal(period["rates"][unit]) == theirs[unit]
        for unit in ("input", "output")
        if unit in theirs and unit in period["rates"]
    )


def fill_period(period: Row, prices: Prices, provider: str) -> None:
    """Add what only the other source has."""
    theirs = prices.lanes[USUAL]
    for unit, amount in theirs.items():
        if unit not in {"input", "output"}:
            period["rates"].setdefault(unit, rate_text(amount))
    for tier in period.get("above", ()):
        beyond = prices.tiers.get(USUAL, {}).get(tier["tokens"], {})
        for unit, amount in beyond.items():
            tier["rates"].setdefault(unit, rate_text(amount))
    listed = {tuple(sorted(each["if"].items())): each for each in period.get("when", ())}
    for lane, table in prices.lanes.items():
        rates = {unit: amount for unit, amount in table.items() if unit not in FACTORS}
        if lane == USUAL or not rates:
            continue
        tiers = prices.tiers.get(lane, {})
        if lane in listed:
            fill_variant(listed[lane], rates, tiers)
            continue
        made = {"if": dict(lane), **written(rates, tiers)}
        period.setdefault("when", []).append(made)
        if lane == PRIORITY and provider == "openai":
            period["when"].append({**deepcopy(made), "if": {"service_tier": "fast"}})


def fill_variant(variant: Row, rates: Table, tiers: Mapping[int, Table]) -> None:
    """Add to a condition what only the other source has."""
    for unit, amount in rates.items():
        # Text and its cache that genai-prices leaves out of a condition cost the same as outside of it.
        if unit not in {"input", "output", "cache_read", "cache_write"}:
            variant["rates"].setdefault(unit, rate_text(amount))
    for tier in variant.get("above", ()):
        beyond = tiers.get(tier["tokens"], {})
        if "cache_write_12h" in beyond:
            tier["rates"].setdefault("cache_write_12h", rate_text(beyond["cache_write_12h"]))


def complete_fast(period: Row) -> None:
    """OpenAI renamed its priority processing to fast: what is filled into the one holds for the other."""
    listed = {each["if"].get("service_tier"): each for each in period.get("when", ())}
    priority, fast = listed.get("priority"), listed.get("fast")
    if priority is None or fast is None or priority["rates"].get("input") != fast["rates"].get("input"):
        return
    for unit, amount in priority["rates"].items():
        fast["rates"].setdefault(unit, amount)
    for one, other in zip(priority.get("above", ()), fast.get("above", ()), strict=False):
        for unit, amount in one["rates"].items():
            other["rates"].setdefault(unit, amount)


def carry_on(earlier: Row, later: Row) -> None:
    """Give a period that is yet to come the conditions of the one before it, in the same proportion.

    Service tiers and batches are published as parts of the usual price (Gemini API pricing: half, and 1.8 times), and
    no source lists them ahead.
    """
    listed = [each["if"] for each in later.get("when", ())]
    for unit in ("maps_grounding", "web_search"):
        if unit in earlier["rates"]:
            later["rates"].setdefault(unit, earlier["rates"][unit])
    for variant in earlier.get("when", ()):
        if variant["if"] in listed or variant.get("above"):
            continue
        rates = {
            unit: rate_text(Decimal(amount) * Decimal(later["rates"][unit]) / Decimal(earlier["rates"][unit]))
            for unit, amount in variant["rates"].items()
            if later["rates"].get(unit) and Decimal(earlier["rates"].get(unit, 0))
        }
        if rates.keys() == variant["rates"].keys():
            later.setdefault("when", []).append({"if": dict(variant["if"]), "rates": rates})


def complete_past(earlier: Row, later: Row) -> None:
    """Give an earlier period the conditions that only the later one has, where it is clear what they cost then.

    That is so where the usual price was the same, and where the condition halves every rate that it names, as batches
    and flex do at every provider; of other discounts nobody knows what they were.
    """
    then, now = earlier["rates"], later["rates"]
    same = all(then.get(unit) == now.get(unit) for unit in ("input", "output"))
    for variant in later.get("when", ()):
        if any(each["if"] == variant["if"] for each in earlier.get("when", ())):
            continue
        if same:
            earlier.setdefault("when", []).append(deepcopy(variant))
        elif _is_half(variant, later):
            half = {"if": variant["if"], **_half(variant, earlier)}
            earlier.setdefault("when", []).append(half)


def _limits(table: Row) -> dict[int, Row]:
    return {0: table["rates"], **{tier["tokens"]: tier["rates"] for tier in table.get("above", ())}}


def _is_half(variant: Row, period: Row) -> bool:
    usual = _limits(period)
    return bool(variant["rates"]) and all(
        unit in usual.get(limit, {}) and 2 * Decimal(amount) == Decimal(usual[limit][unit])
        for limit, rates in _limits(variant).items()
        for unit, amount in rates.items()
    )


def _half(variant: Row, period: Row) -> Row:
    """Half of a period's rates, where the variant names them."""
    named = _limits(variant)
    tables = {
        limit: {unit: Decimal(amount) / 2 for unit, amount in rates.items() if unit in named[limit]}
        for limit, rates in _limits(period).items()
        if limit in named
    }
    return written(tables.pop(0), tables)


def halve_batches(model: Row) -> None:
    """Batches cost half where the provider says so of all its models, which not every source repeats for each.

    Anthropic: half of everything (Batch processing, Pricing). Groq: half, and no further discount for cached tokens
    (Batch processing, Pricing).
    """
    provider = model["provider"]
    if provider in {"anthropic", "groq"}:
        for period in model["periods"]:
            halve(period, _HALVED, cached="cache_read" if provider == "anthropic" else "input")


def halve(period: Row, units: Iterable[str], *, cached: str) -> None:
    """Complete what a period says of batches, or add it, with half of the usual rates, those of long prompts too.

    Args:
        period: The period.
        units: The units that are halved.
        cached: Half of which unit's rate cached tokens cost.
    """
    usual = _limits(period)
    listed = next((each for each in period.get("when", ()) if each["if"] == dict(BATCH)), None)
    known = {} if listed is None else _limits(listed)
    tables: dict[int, Table] = {}
    for limit, rates in usual.items():
        tables[limit] = {unit: Decimal(amount) for unit, amount in known.get(limit, {}).items()}
        for unit in units:
            source = cached if unit == "cache_read" else unit
            if unit in rates and source in rates:
                tables[limit].setdefault(unit, Decimal(rates[source]) / 2)
    for limit in known.keys() - usual.keys():
        tables[limit] = {unit: Decimal(amount) for unit, amount in known[limit].items()}
    made = written(tables.pop(0), tables)
    if listed is not None:
        listed |= made
    elif made["rates"]:
        period.setdefault("when", []).append({"if": dict(BATCH), **made})


def write_down_media(model: Row) -> None:
    """Prices of sound, images and film are listed only where they differ from that of text: write them down."""
    names = (model["id"], *model["aliases"])
    facts = next((found for name in names if (found := catalog().get(model["provider"], name))), None)
    taken: tuple[str, ...] = ()
    if facts is not None and facts.kind in {"chat", "embedding"}:
        media = {"gemini": ("image", "audio", "video"), "openai": ("image",)}.get(model["provider"], ())
        taken = tuple(medium for medium in media if medium in (facts.input or ()))
    for period in model["periods"]:
        for medium in ("image", "audio", "video"):
            for text, unit in (("input", "input"), ("cache_read", "cache_read"), ("output", "output")):
                wanted = medium in taken and unit != "output"
                same_price(period, text, f"{medium}_{unit}", wanted=wanted)


def same_price(period: Row, text: str, unit: str, *, wanted: bool) -> None:
    """Where a medium costs as much as text, so it does in long prompts and under conditions."""
    rates = period["rates"]
    if text not in rates or (rates[unit] != rates[text] if unit in rates else not wanted):
        return
    for table in tables(period):
        if text in table:
            table.setdefault(unit, table[text])


def correct_period(rule: Row, period: Row) -> None:
    """Apply the rates and conditions of an override to one period."""
    period["rates"].update(rule.get("rates", {}))
    for condition in rule.get("when", ()):
        kept = [each for each in period.get("when", ()) if each["if"] != condition["if"]]
        period["when"] = [*kept, deepcopy(condition)]
    for unit in rule.get("drop", ()):
        for table in tables(period):
            table.pop(unit, None)


def show(table: Table) -> str:
    """A table on one line."""
    return ", ".join(f"{unit} {amount:f}" for unit, amount in table.items())

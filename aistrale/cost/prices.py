"""What tokens cost: the rates of the catalog, applied to disjoint buckets, in exact decimals.

Rates are US dollars per million tokens. What is not known stays unknown: a model without a price, a bucket
with tokens and no rate, a condition that changes the price in a way nobody recorded. It is never taken for
zero.
"""

from __future__ import annotations

from datetime import date
from decimal import Context, Decimal
from operator import attrgetter
from time import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from aistrale.providers.catalog import lookup
from aistrale.types import Cost, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aistrale.types import JSON, JSONObject

Table: TypeAlias = dict[str, Decimal]

# Which rate a bucket of Usage is charged at. Thinking is output; what a provider's own tools add is input.
BUCKETS = {
    "input": "input",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "cache_write_5m": "cache_write",
    "cache_write_30m": "cache_write",
    "cache_write_1h": "cache_write_1h",
    "cache_write_12h": "cache_write_12h",
    "output": "output",
    "reasoning": "output",
    "audio_input": "audio_input",
    "audio_output": "audio_output",
    "image_input": "image_input",
    "image_output": "image_output",
    "tool_input": "input",
}
_UNITS = tuple(BUCKETS.items())
_COUNTS = attrgetter(*BUCKETS)

# Conditions that choose other rates, with the words that mean the usual ones.
_USUAL = {
    "service_tier": frozenset({"default", "standard", "standard_only", "auto", "on_demand"}),
    "processing": frozenset({"realtime", "standard"}),
    "speed": frozenset({"standard"}),
}
# Ways in which providers count the searches of their hosted tools; each is charged per thousand.
_SEARCHES = ("web_search_calls", "web_search_queries", "grounded_prompts")
_UNCHARGED = frozenset({"stream"})
_GEO_FREE = (None, "", "global", "not_available")

# The caller may have set a small precision for its own sums.
_EXACT = Context(prec=60)
_DAY = 86_400


class _Period(NamedTuple):
    """Rates from a day on (days since 1970), and those for prompts of more tokens than a limit, the highest first."""

    start: int
    rates: Table
    above: tuple[tuple[int, Table], ...]


_known: dict[tuple[str, str, tuple[tuple[str, str], ...]], tuple[_Period, ...] | str] = {}
_REMEMBERED = 4096


def price(
    provider: str,
    model: str,
    usage: Usage | Mapping[str, object] | None,
    *,
    at: datetime | None = None,
    **conditions: object,
) -> Cost:
    """What an exchange cost.

    Args:
        provider: The provider's name.
        model: The model, in the provider's words; at Hugging Face with the backend (`org/name:backend`).
        usage: The provider's usage object, verbatim, or decoded. Anything else than an object or None is an
            error.
        at: When it happened, aware; now by default. Prices change.
        conditions: What changes the price and does not stand in the usage: `service_tier`,
            `processing="batch"`, `speed="fast"`, `web_search_calls` (a number), `inference_provider` (Hugging
            Face's backend).

    Returns:
        US dollars, or None and the reason why they are unknown.

    Raises:
        ValueError: `at` has no time zone.
        MalformedBody: The usage object does not have the provider's shape.
    """
    if usage is None:
        return Cost(reason="the provider reported no usage")
    if not isinstance(usage, Usage) and "input_token_details" in usage:
        return Cost(reason="usage of realtime sessions is not priced")
    decoded = usage if isinstance(usage, Usage) else read_usage(provider, usage)
    return price_usage(provider, model, decoded, at=at, **conditions)


def price_usage(provider: str, model: str, usage: Usage, *, at: datetime | None = None, **conditions: object) -> Cost:
    """As price, for decoded usage; about 3 microseconds once a model's rates are known."""
    chosen: tuple[tuple[str, str], ...] = ()
    searches = 0
    raw = usage.raw
    if conditions or raw is not None:
        said = _conditions(raw, conditions)
        if isinstance(said, str):
            return Cost(reason=said)
        chosen, searches = said
    key = (provider, model, chosen)
    periods = _known.get(key)
    if periods is None:
        if len(_known) >= _REMEMBERED:
            _known.clear()
        periods = _known[key] = _periods(provider, model, chosen)
    if isinstance(periods, str):
        return Cost(reason=periods)
    day = int(time() // _DAY) if at is None else _day(at)
    period = next((each for each in periods if each.start <= day), None)
    if period is None:
        return Cost(reason=f"no price of {provider}/{model} is known for that day")
    cost = _sum(provider, model, usage, period, searches)
    if raw is not None and "cacheTokensDetails" in raw and cost.usd is not None:
        cost.usd = _EXACT.add(cost.usd, _cached_audio(raw, period))
    return cost


def read_usage(provider: str, raw: Mapping[str, object]) -> Usage:
    """Decode a provider's usage object, whichever of its formats it is in.

    Raises:
        MalformedBody: It has the shape of none.
    """
    from aistrale.dialects import chat_dialect

    body = cast("JSONObject", dict(raw))
    if provider == "anthropic":
        dialect, answer = "anthropic_messages", {"type": "message", "content": [], "usage": body}
    elif any(name.endswith("TokenCount") for name in body):
        dialect, answer = "gemini_generate", {"usageMetadata": body}
    elif "input_tokens" in body:
        dialect, answer = "openai_responses", {"object": "response", "output": [], "usage": body}
    else:
        dialect, answer = "openai_chat", {"object": "chat.completion", "choices": [], "usage": body}
    usage = chat_dialect(dialect).decode_response(cast("JSONObject", answer)).usage
    return usage if usage is not None else Usage(raw=body)


def _sum(provider: str, model: str, usage: Usage, period: _Period, searches: int) -> Cost:
    counts = _COUNTS(usage)
    rates = period.rates
    if period.above:
        prompt = usage.input_total or 0
        rates = next((table for limit, table in period.above if prompt > limit), rates)
    total = Decimal(0)
    known = False
    for (bucket, unit), count in zip(_UNITS, counts, strict=True):
        if count is None:
            continue
        known = True
        if count:
            rate = rates.get(unit)
            if rate is None:
                return Cost(reason=f"no rate for {bucket} tokens of {provider}/{model} is known")
            total = _EXACT.add(total, _EXACT.multiply(rate, count))
    if not known:
        return Cost(reason="the provider reported no usage")
    usd = _EXACT.scaleb(total, -6)
    if searches:
        fee = rates.get("web_search")
        if fee is None:
            return Cost(reason=f"no fee for searches of {provider}/{model} is known")
        usd = _EXACT.add(usd, _EXACT.scaleb(_EXACT.multiply(fee, searches), -3))
    return Cost(usd, "the tokens are estimated" if usage.source == "estimated" else None)


def _cached_audio(raw: JSONObject, period: _Period) -> Decimal:
    """What Gemini's cached sound costs more than cached text; the hub has one bucket for both."""
    dearer = period.rates.get("cache_read_audio")
    details = raw["cacheTokensDetails"]
    if dearer is None or not isinstance(details, list):
        return Decimal(0)
    tokens = 0
    for each in details:
        count = each.get("tokenCount") if isinstance(each, dict) and each.get("modality") == "AUDIO" else None
        tokens += count if isinstance(count, int) else 0
    more = _EXACT.subtract(dearer, period.rates["cache_read"])
    return _EXACT.scaleb(_EXACT.multiply(more, Decimal(tokens)), -6)


def _conditions(raw: JSONObject | None, conditions: dict[str, object]) -> tuple[tuple[tuple[str, str], ...], int] | str:
    """The conditions that choose rates and the number of searches, or why the price is unknown."""
    said: dict[str, object] = {}
    searches = 0
    if raw is not None:
        said["service_tier"] = raw.get("service_tier") or raw.get("serviceTier")
        said["speed"] = raw.get("speed")
        if raw.get("inference_geo") not in _GEO_FREE:
            return "no price for a chosen inference geography is known"
        passes = raw.get("iterations")
        if isinstance(passes, list) and any(
            isinstance(each, dict) and each.get("type") != "message" for each in passes
        ):
            return "the usage holds passes of compaction or of an advisor, which its totals leave out"
        tools = raw.get("server_tool_use")
        counted = tools.get("web_search_requests") if isinstance(tools, dict) else None
        searches = counted if isinstance(counted, int) else 0
    for name, value in conditions.items():
        if name in _SEARCHES and isinstance(value, int):
            searches = value
        elif name in _USUAL or name == "inference_provider":
            said[name] = value
        elif name not in _UNCHARGED:
            return f"what the condition {name} costs is not known"
    if said.get("service_tier") == "batch":
        said.update(service_tier=None, processing="batch")
    chosen = [
        (name, str(value).lower())
        for name, value in said.items()
        if value is not None and str(value).lower() not in _USUAL.get(name, ())
    ]
    return tuple(sorted(chosen)), searches


def _periods(provider: str, model: str, chosen: tuple[tuple[str, str], ...]) -> tuple[_Period, ...] | str:
    """A model's rates under conditions, the newest first, or why there are none."""
    facts = lookup(provider, model)
    if facts is None:
        return f"the catalog has no {provider}/{model}"
    conditions = dict(chosen)
    backend = conditions.pop("inference_provider", None)
    listed: JSON = facts.rates
    if facts.backend_rates:
        backend = backend or model.partition(":")[2].lower()
        if not backend:
            return f"which backend served {provider}/{model} is not known; name it as {model}:BACKEND"
        listed = facts.backend_rates.get(backend)
    if not listed:
        return f"no price of {provider}/{model} is known"
    rows = cast("list[JSONObject]", listed)[::-1]
    periods = [_period(row, conditions) for row in rows]
    if all(period is None for period in periods):
        words = ", ".join(f"{name}={value}" for name, value in conditions.items())
        return f"no price of {provider}/{model} with {words} is known"
    return tuple(period or _Period(_start(row), {}, ()) for row, period in zip(rows, periods, strict=True))


def _period(row: JSONObject, conditions: dict[str, str]) -> _Period | None:
    rates, above = _tables(row)
    if conditions:
        variants = cast("list[JSONObject]", row.get("when", []))
        variant = next((each for each in variants if each["if"] == conditions), None)
        if variant is None:
            return None
        changed, beyond = _tables(variant)
        # A rate that the variant names without a limit holds at every length.
        above = {limit: {**table, **changed, **beyond.get(limit, {})} for limit, table in (above or beyond).items()}
        rates = {**rates, **changed}
    ordered = sorted(above.items(), reverse=True)
    return _Period(_start(row), rates, tuple((limit, {**rates, **table}) for limit, table in ordered))


def _start(row: JSONObject) -> int:
    return date.fromisoformat(cast("str", row["from"])).toordinal() - _EPOCH if "from" in row else -_EPOCH


def _tables(row: JSONObject) -> tuple[Table, dict[int, Table]]:
    tiers = cast("list[JSONObject]", row.get("above", []))
    return _decimals(row["rates"]), {cast("int", tier["tokens"]): _decimals(tier["rates"]) for tier in tiers}


def _decimals(rates: JSON) -> Table:
    return {unit: Decimal(amount) for unit, amount in cast("dict[str, str]", rates).items()}


_EPOCH = date(1970, 1, 1).toordinal()


def _day(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError("at: a time with a time zone is needed, for example datetime.now(UTC)")
    return int(at.timestamp() // _DAY)

"""From the price data that genai-prices publishes to a price book in our own format.

The format is that of its `prices/new_data/v2/data.json`: a list of providers with their models, each with a rule
which names it goes by (`match`), one table of prices or several dated ones (`prices`), and what differs under
conditions (`price_variants`). A price is a number, or a base with tiers: beyond so many prompt tokens everything
costs the tier's price. `aistrale prices update` reads it from the network and `tools/refresh_prices.py` from the
installed package, hence it is data that nobody checked: sizes are bounded and nothing in it is run.
"""

from __future__ import annotations

import json
import re
import warnings
from datetime import date
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from aistrale.cost.book.rows import rate_text
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aistrale.types import JSON, JSONObject

# Where the project publishes its data, as its own updater has it (genai_prices.update_prices, 0.2.3).
URL = "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"

PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "google": "gemini", "groq": "groq"}
ROUTER = "huggingface_"

# Its names of prices and ours. A thousand requests are priced there, one here.
UNITS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "cache_audio_read_mtok": "audio_cache_read",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
    "cache_image_read_mtok": "image_cache_read",
    "input_video_mtok": "video_input",
    "output_video_mtok": "video_output",
    "cache_video_read_mtok": "video_cache_read",
    "input_mchars": "characters",
    "web_searches_kcount": "web_search",
    "storage_searches_kcount": "file_search",
    "audio_hours": "audio_hours",
    "input_audio_hours": "audio_hours",
    "requests_kcount": "request",
}
# Values of conditions that mean the usual price.
_USUAL = ({"service_tier": "default"}, {"service_tier": "standard"}, {"processing": "standard"}, {"speed": "standard"})

_MODELS = 20_000
_LONGEST_NAME = 200
# Two unbounded repetitions over a name of at most 200 characters stay far below a millisecond.
_REPETITIONS = 2
_DEEPEST = 8
_UNBOUNDED = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\})")
_REPEATED_GROUP = re.compile(r"\)(?:[*+?]|\{)")


def convert(data: JSON, names: Mapping[str, Iterable[str]], as_of: date) -> list[JSONObject]:
    """Read the models of the providers that aistrale knows.

    Args:
        data: The published data.
        names: Names of models by provider that are looked for in its rules, to be aliases of what they match.
        as_of: The day of the data; tells which of its dated prices hold.

    Returns:
        Models as in a price book, without the sources of their periods.

    Raises:
        ConfigurationError: It is not in the format.
    """
    try:
        return _convert(data, names, as_of)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise ConfigurationError(
            f"the price data of genai-prices has another shape than expected ({type(error).__name__})",
            hint="Update aistrale, or give a price book in its own format.",
        ) from error


def _convert(data: JSON, names: Mapping[str, Iterable[str]], as_of: date) -> list[JSONObject]:
    providers = {cast("str", each["id"]): each for each in cast("list[JSONObject]", data)}
    every: list[JSONObject] = []
    for theirs, ours in PROVIDERS.items():
        if theirs in providers:
            every += _provider(ours, providers[theirs], names.get(ours, ()), as_of)
    every += _routed({name: each for name, each in sorted(providers.items()) if name.startswith(ROUTER)}, as_of)
    if len(every) > _MODELS:
        raise ValueError("too many models")
    return every


def _provider(ours: str, theirs: JSONObject, names: Iterable[str], as_of: date) -> list[JSONObject]:
    models = [
        each for each in cast("list[JSONObject]", theirs["models"]) if len(cast("str", each["id"])) <= _LONGEST_NAME
    ]
    aliases: dict[int, list[str]] = {}
    taken = {cast("str", each["id"]).lower() for each in models}
    every = [*names, *(name for each in models for name in spelled(each["match"]))]
    for name in dict.fromkeys(every):
        if name.lower() in taken or len(name) > _LONGEST_NAME:
            continue
        owner = next((index for index, each in enumerate(models) if matches(each["match"], name)), None)
        if owner is not None:
            taken.add(name.lower())
            aliases.setdefault(owner, []).append(name)
    found: list[JSONObject] = []
    for index, each in enumerate(models):
        model: JSONObject = {"provider": ours, "id": each["id"]}
        if index in aliases:
            model["aliases"] = cast("JSON", sorted(aliases[index]))
        # Without periods it is known that no price is known.
        found.append({**model, "periods": cast("JSON", periods_of(ours, each, as_of))})
    return found


def _routed(backends: Mapping[str, JSONObject], as_of: date) -> list[JSONObject]:
    """The models of the router, each with the backends that serve it.

    A backend's price of a model is also that of the other models that its rule spells out, at this backend alone. Its
    names for faster servings (`-fast`), which cost more where there are any, are not among them.
    """
    routed: dict[str, JSONObject] = {}
    others: list[tuple[str, str, list[JSONObject]]] = []
    for theirs, provider in backends.items():
        backend = theirs.removeprefix(ROUTER)
        for each in cast("list[JSONObject]", provider["models"]):
            periods = periods_of("huggingface", each, as_of)
            id_ = cast("str", each["id"])
            _serve(routed, id_, backend, periods)
            others += [(name, backend, periods) for name in spelled(each["match"]) if not name.endswith("-fast")]
    for name, backend, periods in others:
        _serve(routed, name, backend, periods)
    return list(routed.values())


def _serve(routed: dict[str, JSONObject], name: str, backend: str, periods: list[JSONObject]) -> None:
    model = routed.setdefault(name.lower(), {"provider": "huggingface", "id": name, "backends": {}})
    cast("dict[str, JSON]", model["backends"]).setdefault(backend, cast("JSON", periods))


def periods_of(provider: str, model: JSONObject, as_of: date) -> list[JSONObject]:
    """The periods of a model's prices, the oldest first, each with its conditions."""
    listed = model["prices"]
    several: list[JSONObject] = cast("list[JSONObject]", listed) if isinstance(listed, list) else [{"prices": listed}]
    variants = cast("list[JSONObject]", model.get("price_variants") or [])
    if not all(_is_by_day(each) for each in (*several, *variants)):
        # Prices by the time of day: not to know the price is better than to know the wrong one.
        return []
    dated = sorted(((_start(each), each["prices"]) for each in several), key=lambda pair: pair[0])
    variants = sorted(variants, key=_start)
    periods: list[JSONObject] = []
    for index, (start, prices) in enumerate(dated):
        period = tables_of(cast("JSONObject", prices))
        if not period["rates"]:
            continue
        if start != date.min:
            period["from"] = start.isoformat()
        end = dated[index + 1][0] if index + 1 < len(dated) else date.max
        when = _variants(variants, start, end, as_of)
        if when:
            period["when"] = cast("JSON", when)
        if provider == "gemini" and "web_search" in cast("JSONObject", period["rates"]):
            period["web_search_per"] = search_count(cast("str", model["id"]))
        periods.append(period)
    return periods


def search_count(model: str) -> str:
    """How Gemini's searches are charged: Gemini API pricing, per grounded prompt up to 2.5, per query since 3."""
    return "prompt" if re.match(r"gemini-[12]\.", model) else "query"


def _variants(variants: list[JSONObject], start: date, end: date, as_of: date) -> list[JSONObject]:
    chosen: dict[str, JSONObject] = {}
    for each in variants:
        # The day of a variant is mostly the one on which somebody checked it, not the one on which it began: in the
        # current period it holds throughout, in an earlier one only if it had been seen by then.
        seen = _start(each)
        when = {str(name): str(value) for name, value in cast("JSONObject", each["when"]).items()}
        if when not in _USUAL and seen < end and seen <= max(start, as_of):
            chosen[json.dumps(when, sort_keys=True)] = {
                "if": cast("JSON", when),
                **tables_of(cast("JSONObject", each["prices"])),
            }
    return list(chosen.values())


def _is_by_day(priced: JSONObject) -> bool:
    constraint = priced.get("constraint")
    return constraint is None or "start_date" in cast("JSONObject", constraint)


def _start(priced: JSONObject) -> date:
    constraint = cast("JSONObject | None", priced.get("constraint"))
    return date.min if constraint is None else date.fromisoformat(cast("str", constraint["start_date"]))


def tables_of(prices: JSONObject) -> JSONObject:
    """One table of prices: the base rates, and those beyond a length of prompt."""
    rates: JSONObject = {}
    above: dict[int, JSONObject] = {}
    for name, value in prices.items():
        unit = UNITS.get(name)
        if unit is None or value is None:
            continue
        scale = Decimal("0.001") if unit == "request" else Decimal(1)
        tiered: JSONObject = value if isinstance(value, dict) else {"base": value, "tiers": []}
        rates[unit] = number(tiered["base"], scale)
        for tier in cast("list[JSONObject]", tiered["tiers"]):
            above.setdefault(int(cast("int", tier["start"])), {})[unit] = number(tier["price"], scale)
    table: JSONObject = {"rates": rates}
    if above:
        table["above"] = [{"tokens": start, "rates": above[start]} for start in sorted(above)]
    return table


def number(value: JSON, scale: Decimal = Decimal(1)) -> str:
    """A price as text, without the noise of binary fractions: ten digits say every price there is.

    Raises:
        ValueError: It is no price: negative, not finite, not a number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise TypeError("a price must be a number")
    return rate_text(Context(prec=10).multiply(Decimal(str(value)), scale))


def matches(clause: JSON, name: str, depth: int = 0) -> bool:
    """Whether a name fits a rule of genai-prices; case does not matter.

    A regular expression that could take long is taken for one that does not match.
    """
    if not isinstance(clause, dict) or len(clause) != 1 or depth > _DEEPEST:
        raise ValueError("a rule must have one clause")
    ((kind, value),) = clause.items()
    if kind in {"or", "and"}:
        found = (matches(each, name, depth + 1) for each in cast("list[JSON]", value))
        return any(found) if kind == "or" else all(found)
    text = cast("str", value).lower()
    lower = name.lower()
    if kind == "equals":
        return lower == text
    if kind == "starts_with":
        return lower.startswith(text)
    if kind == "ends_with":
        return lower.endswith(text)
    if kind == "contains":
        return text in lower
    if kind != "regex":
        raise ValueError("an unknown kind of rule")
    expression = _expression(cast("str", value))
    return expression is not None and len(name) <= _LONGEST_NAME and expression.search(name) is not None


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str] | None:
    """A regular expression that cannot take long; None for one that could, and for what is none."""
    if len(pattern) > _LONGEST_NAME or _REPEATED_GROUP.search(pattern):
        return None
    if len(_UNBOUNDED.findall(pattern)) > _REPETITIONS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return re.compile(pattern, re.IGNORECASE)
        except (re.error, Warning, OverflowError, RecursionError):
            return None


def spelled(clause: JSON, depth: int = 0) -> list[str]:
    """The names that a rule spells out; a beginning is one where it ends in a word, not in a part of a date."""
    if not isinstance(clause, dict) or depth > _DEEPEST:
        return []
    found = [
        cast("str", value)
        for kind, value in clause.items()
        if kind == "equals" or (kind == "starts_with" and cast("str", value)[-1:].isalpha())
    ]
    for each in cast("list[JSON]", clause.get("or") or []):
        found += spelled(each, depth + 1)
    return found

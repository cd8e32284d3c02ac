"""Readers of the packages from which prices are taken or with which they are compared; used by `refresh_prices.py`.

Nothing is fetched: files of installed packages are read, and of genai-prices its module of data. Every reader but that
of genai-prices gives the same shape: models by (provider, name), each with its lanes of rates.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from decimal import Context, Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aistrale.cost.book.genai import PROVIDERS as GENAI_PROVIDERS
from aistrale.cost.book.genai import ROUTER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

Table: TypeAlias = dict[str, Decimal]
# Conditions, sorted: () is the usual price.
Lane: TypeAlias = tuple[tuple[str, str], ...]

USUAL: Lane = ()
BATCH: Lane = (("processing", "batch"),)
FLEX: Lane = (("service_tier", "flex"),)
PRIORITY: Lane = (("service_tier", "priority"),)
ULTRAFAST: Lane = (("service_tier", "ultrafast"),)
FAST: Lane = (("speed", "fast"),)

MILLION = Decimal(1_000_000)
HOUR = Decimal(3600)


@dataclass(slots=True)
class Prices:
    """What a source says of a model today.

    Args:
        lanes: Rates by conditions.
        tiers: Rates of long prompts by conditions and limit.
    """

    lanes: dict[Lane, Table] = field(default_factory=dict)
    tiers: dict[Lane, dict[int, Table]] = field(default_factory=dict)


Models: TypeAlias = dict[tuple[str, str], Prices]


def package_folder(name: str) -> Path:
    """Where a package is installed, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is not installed; see the head of refresh_prices.py")
    return Path(spec.origin).parent


def rounded(value: Decimal) -> Decimal:
    """Without the noise of binary fractions: ten digits say every price there is."""
    return Context(prec=10).create_decimal(value).normalize()


# --- genai-prices


def genai_data() -> list[dict[str, Any]]:
    """The data of the installed genai-prices, in the shape that the project publishes."""
    from genai_prices.data import providers

    # Others have prices by the time of day, which no price book of ours knows.
    ours = [each for each in providers if each.id in GENAI_PROVIDERS or each.id.startswith(ROUTER)]
    return [{"id": each.id, "models": [_genai_model(model) for model in each.models]} for each in ours]


def _genai_model(model: Any) -> dict[str, Any]:  # noqa: ANN401 - of genai-prices
    listed = model.prices
    prices = [_genai_dated(each) for each in listed] if isinstance(listed, list) else _genai_prices(listed)
    variants = [{"when": dict(each.when), **_genai_dated(each)} for each in model.price_variants or []]
    return {"id": model.id, "match": _genai_clause(model.match), "prices": prices, "price_variants": variants}


def _genai_dated(priced: Any) -> dict[str, Any]:  # noqa: ANN401 - of genai-prices
    row: dict[str, Any] = {"prices": _genai_prices(priced.prices)}
    if priced.constraint is not None:
        row["constraint"] = {"start_date": priced.constraint.start_date.isoformat()}
    return row


def _genai_prices(prices: Any) -> dict[str, Any]:  # noqa: ANN401 - of genai-prices
    found: dict[str, Any] = {}
    for name, value in vars(prices).items():
        if hasattr(value, "tiers"):
            tiers = [{"start": tier.start, "price": tier.price} for tier in value.tiers]
            found[name] = {"base": value.base, "tiers": tiers}
        elif value is not None:
            found[name] = value
    return found


def _genai_clause(clause: Any) -> dict[str, Any]:  # noqa: ANN401 - of genai-prices
    ((name, value),) = vars(clause).items()
    if name in {"or_", "and_"}:
        return {name.removesuffix("_"): [_genai_clause(each) for each in value]}
    return {name: value}


# --- litellm

LITELLM_PREFIX = {"openai": "", "anthropic": "", "gemini": "gemini/", "groq": "groq/"}
LITELLM_UNITS = {
    "input_cost_per_token": ("input", MILLION),
    "output_cost_per_token": ("output", MILLION),
    "cache_read_input_token_cost": ("cache_read", MILLION),
    "cache_creation_input_token_cost": ("cache_write", MILLION),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_1h", MILLION),
    "cache_creation_input_token_cost_above_12hr": ("cache_write_12h", MILLION),
    "input_cost_per_audio_token": ("audio_input", MILLION),
    "output_cost_per_audio_token": ("audio_output", MILLION),
    "cache_read_input_audio_token_cost": ("audio_cache_read", MILLION),
    "input_cost_per_image_token": ("image_input", MILLION),
    "output_cost_per_image_token": ("image_output", MILLION),
    "cache_read_input_image_token_cost": ("image_cache_read", MILLION),
    "input_cost_per_video_token": ("video_input", MILLION),
    "output_cost_per_video_token": ("video_output", MILLION),
    "input_cost_per_second": ("audio_hours", HOUR),
    "input_cost_per_character": ("characters", MILLION),
    "google_maps_grounding_cost_per_query": ("maps_grounding", Decimal(1000)),
}
LITELLM_LANES = {"_batches": BATCH, "_flex": FLEX, "_priority": PRIORITY, "_ultrafast": ULTRAFAST}
_ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens$")


def litellm_models() -> Models:
    """The table of litellm."""
    file = package_folder("litellm") / "model_prices_and_context_window_backup.json"
    table: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    found: Models = {}
    for key, entry in table.items():
        provider = entry.get("litellm_provider", "")
        prefix = LITELLM_PREFIX.get(provider)
        name = key.removeprefix(prefix or "")
        # With a prefix of their own stand sizes of images, and the names of another provider's copy.
        if prefix is None or (provider != "groq" and "/" in name):
            continue
        prices = litellm_prices(provider, entry)
        if prices.lanes:
            found[provider, name] = prices
    return found


def litellm_prices(provider: str, entry: Mapping[str, Any]) -> Prices:
    """The prices of one entry of litellm's table."""
    found = Prices()
    for name, value in entry.items():
        if isinstance(value, (str, bool, list, dict)) or value is None:
            continue
        bare, lane = name, USUAL
        for suffix, conditions in LITELLM_LANES.items():
            if name.endswith(suffix):
                bare, lane = name.removesuffix(suffix), conditions
        tier = _ABOVE.match(bare)
        unit = LITELLM_UNITS.get(tier[1] if tier else bare)
        if unit is None:
            continue
        amount = rounded(Decimal(value) * unit[1])
        table = (
            found.tiers.setdefault(lane, {}).setdefault(int(tier[2]) * 1000, {})
            if tier
            else found.lanes.setdefault(lane, {})
        )
        table[unit[0]] = amount
    usual = found.lanes.get(USUAL, {})
    # Its zeros stand for "free of charge" and for "not known" alike.
    if not any(usual.get(unit) for unit in ("input", "audio_hours", "characters", "audio_input")):
        return Prices()
    _add_fees(usual, provider, entry)
    for table in (*found.lanes.values(), *(tier for tiers in found.tiers.values() for tier in tiers.values())):
        for unit in [unit for unit, amount in table.items() if not amount]:
            del table[unit]
    return found


def _add_fees(usual: Table, provider: str, entry: Mapping[str, Any]) -> None:
    """Fees and factors, which litellm keeps in places of their own."""
    search = (entry.get("search_context_cost_per_query") or {}).get("search_context_size_medium")
    if search is not None:
        usual["web_search"] = rounded(Decimal(search) * 1000)
    special = entry.get("provider_specific_entry") or {}
    if provider == "anthropic" and "us" in special:
        usual["geo_us"] = rounded(Decimal(special["us"]))
    regions = [key for key in entry if re.fullmatch(r"regional_processing_uplift_multiplier_(eu|us)", key)]
    uplifts = {rounded(Decimal(entry[key])) for key in regions}
    if len(uplifts) == 1:
        usual["residency"] = uplifts.pop()


# --- model-prices

MODEL_PRICES_NAME = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}
_DAY = 10


def model_prices_lanes(provider: str) -> dict[str, Lane]:
    """The lanes of model-prices; OpenAI renamed priority to fast, Anthropic's fast is a mode of its own."""
    fast = FAST if provider == "anthropic" else PRIORITY
    return {"standard": USUAL, "batch": BATCH, "flex": FLEX, "fast": fast, "ultrafast": ULTRAFAST}


def model_prices_snapshot() -> dict[str, Any]:
    """The data of model-prices."""
    file = package_folder("model_prices") / "snapshot.json"
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    return data


def model_prices_tables(rates: Mapping[str, Any]) -> tuple[Table, dict[int, Table]]:
    """One row of it."""
    units = ("input", "output", "cache_read", "cache_write")
    # It writes zero where there is no discount, or no such thing.
    table = {unit: rounded(Decimal(rates[unit])) for unit in units if rates.get(unit)}
    tiers = {
        int(tier["above"]): {unit: rounded(Decimal(tier[unit])) for unit in units if tier.get(unit)}
        for tier in rates.get("tiers") or []
    }
    return table, tiers


def model_prices_models(snapshot: Mapping[str, Any], as_of: date) -> Models:
    """What it says of a day."""
    found: Models = {}
    for theirs, provider in MODEL_PRICES_NAME.items():
        for name, lanes in snapshot["prices"][theirs].items():
            prices = found[provider, name] = Prices()
            for word, lane in model_prices_lanes(provider).items():
                rows = [row for row in lanes.get(word, []) if (row["start"] or "")[:_DAY] <= as_of.isoformat()]
                if rows and rows[-1]["rates"]:
                    table, tiers = model_prices_tables(rows[-1]["rates"])
                    prices.lanes[lane] = table
                    if tiers:
                        prices.tiers[lane] = tiers
    return found


def model_prices_changes(snapshot: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Table, Table, str]]:
    """Every change of a rate: provider, model, day, the rates before and after it that differ, and the source."""
    for theirs, provider in MODEL_PRICES_NAME.items():
        for name, lanes in snapshot["prices"][theirs].items():
            before: Table | None = None
            for row in lanes["standard"]:
                if not row["rates"]:
                    before = None
                    continue
                after = model_prices_tables(row["rates"])[0]
                units = [unit for unit in after if before and unit in before and before[unit] != after[unit]]
                if before and units:
                    old = {unit: before[unit] for unit in units}
                    new = {unit: after[unit] for unit in units}
                    yield provider, name, row["start"][:_DAY], old, new, row["rates"]["source"]
                before = after


# --- metergraph

METERGRAPH_CHANNELS = {"openai-api": "openai", "anthropic-api": "anthropic", "google-api": "gemini"}


def metergraph_models(as_of: date) -> Models:
    """What metergraph says of a day."""
    import yaml

    data = yaml.safe_load((package_folder("metergraph_core") / "data" / "prices.yaml").read_text(encoding="utf-8"))
    day = as_of.isoformat()
    found: Models = {}
    for model in data["models"]:
        for row in model.get("prices", []):
            provider = METERGRAPH_CHANNELS.get(row["channel"])
            if provider is None or not row["effective_from"] <= day < row.get("effective_to", "9999"):
                continue
            for alias in model["aliases"]:
                holds = alias.get("effective_from", "") <= day < alias.get("effective_to", "9999")
                if (
                    alias["channel"] == row["channel"]
                    and alias["provider"] in {"openai", "anthropic", "google"}
                    and holds
                    and "/" not in alias["alias"]
                ):
                    found[provider, alias["alias"]] = _metergraph_prices(row)
    return found


def _metergraph_prices(row: Mapping[str, Any]) -> Prices:
    units = {
        "input": "input",
        "output": "output",
        "cache_read": "cache_read",
        "cache_write": "cache_write_5m",
        "cache_write_1h": "cache_write_1h",
    }
    table = {
        ours: rounded(Decimal(str(row[f"{theirs}_per_mtok"])))
        for ours, theirs in units.items()
        if row.get(f"{theirs}_per_mtok")
    }
    batch = {
        unit: rounded(Decimal(str(row[f"batch_{unit}_per_mtok"])))
        for unit in ("input", "output", "cache_read")
        if row.get(f"batch_{unit}_per_mtok")
    }
    prices = Prices(lanes={USUAL: table, **({BATCH: batch} if batch else {})})
    long = (row.get("rules") or {}).get("long_context")
    if long:
        factors = {"output": Decimal(str(long["output_multiplier"]))}
        other = Decimal(str(long["input_multiplier"]))
        prices.tiers[USUAL] = {
            int(long["threshold"]): {unit: rounded(amount * factors.get(unit, other)) for unit, amount in table.items()}
        }
    return prices


# --- openai-cost-calculator

OCC_UNITS = {
    "input": "input",
    "output": "output",
    "cached_input": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write_1h",
    "input_audio": "audio_input",
    "output_audio": "audio_output",
    "cached_input_audio": "audio_cache_read",
    "input_image": "image_input",
    "output_image": "image_output",
    "web_search": "web_search",
}
OCC_LANES = {"batch": BATCH, "flex": FLEX, "priority": PRIORITY, "fast": FAST}


def occ_models(as_of: date) -> Models:
    """What openai-cost-calculator says of a day."""
    folder = package_folder("openai_cost_calculator") / "data" / "pricing"
    found: Models = {}
    for provider in ("openai", "anthropic", "gemini", "groq"):
        for model in json.loads((folder / f"{provider}.json").read_text(encoding="utf-8"))["models"]:
            prices = Prices()
            for row in model["prices"]:
                _occ_row(prices, row, as_of.isoformat())
            if prices.lanes:
                found[provider, model["id"]] = prices
    return found


def _occ_row(prices: Prices, row: Mapping[str, Any], day: str) -> None:
    conditions = dict(row.get("conditions") or {})
    if not row.get("effective_from", "") <= day < row.get("effective_until", "9999"):
        return
    word = conditions.pop("service_tier", None)
    if conditions or (word is not None and word not in OCC_LANES):
        return
    lane = USUAL if word is None else OCC_LANES[word]
    table = {OCC_UNITS[unit]: rounded(Decimal(amount)) for unit, amount in row["rates"].items() if Decimal(amount)}
    if "web_search" in table:
        table["web_search"] *= 1000
    limit = row.get("min_input_tokens")
    if limit:
        # It counts from the limit on, or from one token beyond it; the providers' pages say beyond so many thousand.
        prices.tiers.setdefault(lane, {})[int(limit) // 1000 * 1000] = table
    else:
        prices.lanes[lane] = table

"""What changes the price of an exchange besides how much was used: tiers, batches, regions, hosted tools.

The words are the providers' own; what an answer says goes before what a request asked for, since a request may be
served in a lower tier, and is billed so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.types import JSON, JSONObject, Usage

# Conditions that choose other rates, with the words that mean the usual ones.
USUAL: Final[dict[str, frozenset[str]]] = {
    "service_tier": frozenset(
        {"default", "standard", "standard_only", "auto", "on_demand", "unspecified", "traffic_type_unspecified", ""}
    ),
    "processing": frozenset({"realtime", "standard", "default", ""}),
    "speed": frozenset({"standard", ""}),
    "inference_geo": frozenset({"global", "not_available", ""}),
    "data_residency": frozenset({"global", "none", ""}),
    "inference_provider": frozenset({""}),
}
# Uses of hosted tools, by the words in which callers may tell them.
_FEES: Final = {
    "web_search_calls": "web_search_calls",
    "web_search_requests": "web_search_calls",
    "web_search_queries": "web_search_queries",
    "grounded_prompts": "grounded_prompts",
    "web_searches": "web_search_calls",
    "search_queries": "web_search_queries",
    "file_search_calls": "file_search",
    "file_searches": "file_search",
    "maps_grounding": "maps_grounding",
    "maps_grounding_calls": "maps_grounding",
    "maps_grounded_prompts": "maps_grounding",
}
# How long what is written to a cache is kept, by the rate of writing that it is charged at.
_LIFETIMES: Final = {"5m": None, "30m": None, "1h": "1h", "12h": "12h"}
# They say how the exchange went, and change no price. Fetching pages has no fee of its own.
_UNCHARGED: Final = frozenset(
    {"stream", "api", "endpoint", "operation", "block_reason", "web_fetch_calls", "web_fetch_requests"}
)
# Vertex names the way in which capacity was bought (Vertex AI reference, `TrafficType`); some of its clients by number.
_TRAFFIC: Final = {0: "unspecified", 1: "on_demand", 2: "provisioned_throughput"}
_PREPAID: Final = "provisioned_throughput"
# Gemini's hosted tools, where the usage counts them (Interactions API reference, `grounding_tool_count`).
_GROUNDED: Final = {"google_search": "web_search_queries", "google_maps": "maps_grounding"}


@dataclass(slots=True)
class Said:
    """What changes the price of an exchange, besides how much was used.

    Args:
        words: Conditions that may choose other rates, as callers wrote them.
        chosen: Those that do, and what the usage object says of them; the usual ones are left out.
        fees: Uses of hosted tools.
        refused: Whether the model refused.
        empty: Whether nothing was said.
        aborted: Whether the answer broke off.
        breakdown: What each model behind a compound system used.
        images: What a hosted tool used to make images, and its model.
        lifetime: How long what was written to a cache is kept, where that is longer than usual.
        measured: Amounts of what is not counted in tokens.
    """

    words: dict[str, object] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    fees: dict[str, int] = field(default_factory=dict)
    refused: bool = False
    empty: bool = False
    aborted: bool = False
    breakdown: JSON = None
    images: JSON = None
    lifetime: str | None = None
    measured: JSONObject = field(default_factory=dict)


def read_conditions(raw: JSONObject, conditions: Mapping[str, object]) -> Said | str:
    """The conditions of an exchange, or why its price cannot be known.

    Args:
        raw: The provider's usage object; what it says about the exchange goes before what callers say: an answer may
            have been served in a lower tier than was asked for, and is billed so.
        conditions: As in `meter`.
    """
    said = Said()
    for name, value in conditions.items():
        if name in USUAL:
            said.words[name] = value
        elif name in _OTHERS:
            if value is not None and (wrong := _OTHERS[name](said, name, value)):
                return wrong
        elif name not in _UNCHARGED:
            return f"what the condition {name} costs is not known"
    if _traffic(raw) == _PREPAID:
        return "provisioned throughput is paid for by the time that it is reserved, not by what is used"
    if wrong := _hosted(said, raw):
        return wrong
    said.fees = {name: uses for name, uses in said.fees.items() if uses}
    said.chosen = choose(raw, said.words)
    return said


def _hosted(said: Said, raw: JSONObject) -> str | None:
    """Add the uses of hosted tools that the usage object counts itself; what callers count goes first."""
    told: dict[str, object] = {}
    tools, grounded = raw.get("server_tool_use"), raw.get("grounding_tool_count")
    if isinstance(tools, dict):
        told["web_search_calls"] = tools.get("web_search_requests")
    for entry in grounded if isinstance(grounded, list) else ():
        if isinstance(entry, dict) and (tool := _GROUNDED.get(str(entry.get("type")))):
            told[tool] = entry.get("count")
    for name, value in told.items():
        if value is not None and name not in said.fees and (wrong := _use(said, name, value)):
            return wrong
    return None


def choose(raw: JSONObject, words: dict[str, object]) -> dict[str, str]:
    """The conditions that are not the usual ones, in a fixed order; what the usage object says goes first."""
    told: dict[str, object] = {
        "service_tier": _traffic(raw) or raw.get("service_tier") or raw.get("serviceTier"),
        "speed": raw.get("speed"),
        "inference_geo": raw.get("inference_geo"),
    }
    chosen: dict[str, str] = {}
    for name, usual in USUAL.items():
        value = told.get(name)
        value = words.get(name) if value is None else value
        if value is None or (word := str(value).lower().removeprefix(f"{name}_")) in usual:
            continue
        if name == "service_tier" and word == "batch":
            words = {**words, "processing": word}
        else:
            chosen[name] = word
    return chosen


# What a usage object may hold that its buckets do not say.
_LOUD: Final = frozenset(
    {
        "service_tier",
        "serviceTier",
        "speed",
        "inference_geo",
        "trafficType",
        "grounding_tool_count",
        "iterations",
        "server_tool_use",
        "cacheTokensDetails",
        "promptTokensDetails",
        "candidatesTokensDetails",
        "toolUsePromptTokensDetails",
    }
)
_SAYING_MORE: Final = frozenset({"iterations", "cacheTokensDetails", "grounding_tool_count"})
_DETAILS: Final = ("promptTokensDetails", "candidatesTokensDetails", "toolUsePromptTokensDetails")
_PLAIN_CONDITIONS: Final = frozenset({"service_tier", "processing", "speed", "inference_provider", *_UNCHARGED})
_QUIET: Final[JSONObject] = {}
_DIGITS: Final = 18


def plain_conditions(usage: Usage, conditions: Mapping[str, object]) -> tuple[tuple[str, str], ...] | None:
    """The conditions that choose rates, where the buckets of decoded usage say all the rest.

    Returns:
        None where more is to be known than buckets and rates: then `meter` says it.
    """
    raw = usage.raw
    if raw is None:
        raw = _QUIET
    elif (
        usage.output is None
        or usage.input is None
        or usage.audio_input
        or usage.image_input
        or usage.audio_output
        or usage.image_output
    ):
        return None
    elif _LOUD.isdisjoint(raw):
        raw = _QUIET
    elif not _is_plain(raw):
        return None
    usual = raw is _QUIET or _is_usual(raw)
    if usual and not conditions:
        return ()
    if not _PLAIN_CONDITIONS.issuperset(conditions):
        return None
    if usual and len(conditions) == 1:
        # What nearly every answer says: its tier, or who served it.
        ((name, value),) = conditions.items()
        if name in _UNCHARGED or (isinstance(value, str) and value in USUAL[name]):
            return ()
    chosen = choose(raw, cast("dict[str, object]", conditions))
    if "inference_geo" in chosen or chosen.get("service_tier") == _PREPAID:
        return None
    return tuple(chosen.items())


def _is_usual(raw: JSONObject) -> bool:
    """Whether a usage object names nothing but usual conditions; what is no word is looked at elsewhere."""
    try:
        return (
            raw.get("service_tier", "") in USUAL["service_tier"]
            and raw.get("serviceTier", "") in USUAL["service_tier"]
            and raw.get("inference_geo", "") in USUAL["inference_geo"]
            and raw.get("speed", "") in USUAL["speed"]
            and "trafficType" not in raw
        )
    except TypeError:
        return False


def _is_plain(raw: JSONObject) -> bool:
    if not _SAYING_MORE.isdisjoint(raw):
        return False
    tools = raw.get("server_tool_use")
    if tools is not None and (not isinstance(tools, dict) or any(tools.values())):
        return False
    for name in _DETAILS:
        told = raw.get(name)
        if told is not None and (not isinstance(told, list) or len(told) > 1 or not all(map(_is_text, told))):
            return False
    return True


def _is_text(entry: JSON) -> bool:
    return isinstance(entry, dict) and entry.get("modality") == "TEXT"


def whole_number(value: object) -> int | None:
    """A count that callers tell; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < 10**_DIGITS else None


def _traffic(raw: JSONObject) -> str | None:
    """How the capacity was bought, in the words of `service_tier`; None where that is not told."""
    told = raw.get("trafficType")
    if told is None:
        return None
    word = _TRAFFIC.get(told, str(told)) if type(told) is int else str(told)
    return word.lower().removeprefix("on_demand_")


def _use(said: Said, name: str, value: object) -> str | None:
    uses = whole_number(value)
    if uses is None:
        return f"{name} is not a number of uses"
    said.fees[_FEES[name]] = uses
    return None


def _batched(said: Said, name: str, value: object) -> None:
    if value:
        said.words.setdefault("processing", name)


def _refused(said: Said, _: str, value: object) -> None:
    said.refused = said.refused or value == "refusal"


def _emptied(said: Said, _: str, value: object) -> None:
    said.empty = bool(value)


def _aborted(said: Said, _: str, value: object) -> None:
    said.aborted = bool(value)


def _broken_down(said: Said, _: str, value: object) -> None:
    said.breakdown = _parsed(value)


def _painted(said: Said, _: str, value: object) -> None:
    said.images = _parsed(value)


def _measured(said: Said, name: str, value: object) -> None:
    said.measured[name] = cast("JSON", value)


def _kept(said: Said, _: str, value: object) -> str | None:
    if str(value) not in _LIFETIMES:
        return f"what a cache that lives for {value} costs is not known"
    said.lifetime = _LIFETIMES[str(value)]
    return None


def _parsed(value: object) -> JSON:
    """An object, or the JSON text of one; None for what is neither."""
    try:
        node = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return cast("JSONObject", node) if isinstance(node, dict) else None


_OTHERS: Final[dict[str, Callable[[Said, str, object], str | None]]] = {
    **dict.fromkeys(_FEES, _use),
    **dict.fromkeys(("seconds", "audio_seconds", "duration", "characters", "input_characters"), _measured),
    "batch": _batched,
    "cache_ttl": _kept,
    "stop_reason": _refused,
    "finish_reason": _refused,
    "empty": _emptied,
    "aborted": _aborted,
    "usage_breakdown": _broken_down,
    "image_generation": _painted,
}

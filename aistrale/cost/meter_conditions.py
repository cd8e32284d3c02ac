"""What changes the price of an exchange besides how much was used: tiers, batches, regions, hosted tools.

The words are the providers' own; what an answer says goes before what a request asked for, since a request may be
served in a lower tier, and is billed so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    "file_search_calls": "file_search",
    "maps_grounding": "maps_grounding",
    "maps_grounded_prompts": "maps_grounding",
}
# They say how the exchange went, and change no price. Fetching pages has no fee of its own.
_UNCHARGED: Final = frozenset({"stream", "api", "endpoint", "web_fetch_calls", "web_fetch_requests"})
# Vertex names the way in which capacity was bought (Vertex AI reference, `TrafficType`); some of its clients by number.
_TRAFFIC: Final = {0: "unspecified", 1: "on_demand", 2: "provisioned_throughput"}
_PREPAID: Final = "provisioned_throughput"
# Gemini's hosted tools, where the usage counts them (Interactions API reference, `grounding_tool_count`).
_GROUNDED: Final = {"google_search": "web_search_queries", "google_maps": "maps_grounding"}


@dataclass(slots=True)
class Said:
    """What changes the price of an exchange, besides how much was used.

    Args:
        chosen: Conditions that choose other rates; the usual ones are left out.
        fees: Uses of hosted tools.
        refused: Whether the model refused.
        empty: Whether nothing was said.
        aborted: Whether the answer broke off.
        breakdown: What each model behind a compound system used.
        images: What a hosted tool used to make images, and its model.
    """

    chosen: dict[str, str] = field(default_factory=dict)
    fees: dict[str, int] = field(default_factory=dict)
    refused: bool = False
    empty: bool = False
    aborted: bool = False
    breakdown: JSON = None
    images: JSON = None


def read_conditions(raw: JSONObject, conditions: Mapping[str, object]) -> Said | str:
    """The conditions of an exchange, or why its price cannot be known.

    Args:
        raw: The provider's usage object; what it says about the exchange goes before what callers say: an answer may
            have been served in a lower tier than was asked for, and is billed so.
        conditions: As in `meter`.
    """
    said = Said()
    words: dict[str, object] = {}
    for name, value in conditions.items():
        if name in USUAL:
            words[name] = value
        elif name in _FEES:
            if value is None:
                continue
            if (uses := whole_number(value)) is None:
                return f"{name} is not a number of uses"
            said.fees[_FEES[name]] = uses
        elif name == "batch":
            words.setdefault("processing", name if value else None)
        elif name in _OTHERS:
            _OTHERS[name](said, value)
        elif name not in _UNCHARGED:
            return f"what the condition {name} costs is not known"
    if _traffic(raw) == _PREPAID:
        return "provisioned throughput is paid for by the time that it is reserved, not by what is used"
    tools = raw.get("server_tool_use")
    if isinstance(tools, dict) and "web_search_calls" not in said.fees:
        said.fees["web_search_calls"] = whole_number(tools.get("web_search_requests")) or 0
    for tool in _grounded(raw.get("grounding_tool_count")):
        said.fees.setdefault(*tool)
    said.fees = {name: uses for name, uses in said.fees.items() if uses}
    said.chosen = choose(raw, words)
    return said


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


def _grounded(told: JSON) -> Iterator[tuple[str, int]]:
    for entry in told if isinstance(told, list) else ():
        if isinstance(entry, dict) and (tool := _GROUNDED.get(str(entry.get("type")))):
            yield tool, whole_number(entry.get("count")) or 0


def _refused(said: Said, value: object) -> None:
    said.refused = said.refused or value == "refusal"


def _emptied(said: Said, value: object) -> None:
    said.empty = bool(value)


def _aborted(said: Said, value: object) -> None:
    said.aborted = bool(value)


def _broken_down(said: Said, value: object) -> None:
    said.breakdown = _parsed(value)


def _painted(said: Said, value: object) -> None:
    said.images = _parsed(value)


def _parsed(value: object) -> JSON:
    """An object, or the JSON text of one; None for what is neither."""
    try:
        node = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return cast("JSONObject", node) if isinstance(node, dict) else None


_OTHERS: Final = {
    "stop_reason": _refused,
    "finish_reason": _refused,
    "empty": _emptied,
    "aborted": _aborted,
    "usage_breakdown": _broken_down,
    "image_generation": _painted,
}

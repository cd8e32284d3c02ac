"""Tokens by modality, where a provider tells them: parts of the input, of the output, and of what a cache gave.

Our buckets are disjoint, so that sound out of a cache is in none of sound; the conventions count it in both. So they
are read from the provider's own usage object, and from the buckets where that is silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject, Usage

_MODALITIES: Final = ("text", "image", "audio")
# By what the conventions call them: where chat completions, and where the Responses API has them. Gemini has lists.
_TABLES: Final = {
    "input_tokens": ("prompt_tokens_details", "input_tokens_details"),
    "output_tokens": ("completion_tokens_details", "output_tokens_details"),
}
_CACHED: Final = "cached_tokens_details"
_LISTS: Final = {
    "input_tokens": "promptTokensDetails",
    "output_tokens": "candidatesTokensDetails",
    "cache_read.input_tokens": "cacheTokensDetails",
}
_BUCKETS: Final = {
    "audio.input_tokens": "audio_input",
    "image.input_tokens": "image_input",
    "audio.output_tokens": "audio_output",
    "image.output_tokens": "image_output",
}


def modality_counts(usage: Usage) -> dict[str, int]:
    """Tokens by the ends of their attributes' names, such as `audio.input_tokens`; none of which there were none."""
    found: dict[str, int | None] = {name: getattr(usage, bucket) for name, bucket in _BUCKETS.items()}
    raw = usage.raw or {}
    for side, keys in _TABLES.items():
        for key in keys:
            details = _object(raw.get(key))
            found.update(_flat(details, side))
            found.update(_flat(_object(details.get(_CACHED)), f"cache_read.{side}"))
    for side, key in _LISTS.items():
        found.update(_listed(raw.get(key), side))
    return {name: count for name, count in found.items() if count}


def _flat(details: JSONObject, side: str) -> dict[str, int]:
    return {
        f"{kind}.{side}": count
        for kind in _MODALITIES
        if isinstance(count := details.get(f"{kind}_tokens"), int) and not isinstance(count, bool)
    }


def _listed(details: JSON, side: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in details if isinstance(details, list) else ():
        kind, count = _object(item).get("modality"), _object(item).get("tokenCount")
        if isinstance(kind, str) and kind.lower() in _MODALITIES and isinstance(count, int):
            name = f"{kind.lower()}.{side}"
            found[name] = found.get(name, 0) + count
    return found


def _object(value: JSON) -> JSONObject:
    return value if isinstance(value, dict) else {}

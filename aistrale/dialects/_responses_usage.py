"""OpenAI Responses: the `usage` object, whose counts overlap, and the hub's disjoint buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.dialects._responses_content import NAME, ours
from aistrale.dialects.shape import MalformedBody, as_int, as_object
from aistrale.types import Usage, Wire

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, JSONObject

_IN: Final = "input_tokens_details"
_OUT: Final = "output_tokens_details"
_TTL: Final = "cache_write_tokens_details"
# Buckets that this usage object has no place for; their tokens stand in the total of their side.
_UNTOLD: Final = (
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "image_input",
    "tool_input",
    "audio_output",
    "image_output",
)


def decode_usage(value: JSON, field: str = "usage") -> Usage:
    """Read a usage object: cached and written tokens are part of the input, reasoning is part of the output.

    Raises:
        MalformedBody: A count is no whole number, or negative.
    """
    raw = as_object(value, field)
    given, made = _details(raw, _IN, field), _details(raw, _OUT, field)
    lifetimes = _details(given, _TTL, field)
    cached, written = _count(given, "cached_tokens", field), _count(given, "cache_write_tokens", field)
    short, long = _count(lifetimes, "ttl_30m_tokens", field), _count(lifetimes, "ttl_12h_tokens", field)
    told = (short or 0) + (long or 0)
    untold = None if written is None else max(0, written - told)
    reasoning = _count(made, "reasoning_tokens", field)
    return Usage(
        input=_less(_count(raw, "input_tokens", field), (cached or 0) + (max(told, written or 0))),
        cache_read=cached,
        # With all lifetimes told there is no bucket of unknown lifetime.
        cache_write=None if lifetimes and not untold else untold,
        cache_write_30m=short,
        cache_write_12h=long,
        output=_less(_count(raw, "output_tokens", field), reasoning or 0),
        reasoning=reasoning,
        raw=raw,
        wire=Wire(NAME),
    )


def _details(node: JSONObject, key: str, field: str) -> JSONObject:
    value = node.get(key)
    return {} if value is None else as_object(value, f"{field}.{key}")


def _count(node: JSONObject, key: str, field: str) -> int | None:
    value = node.get(key)
    if value is None:
        return None
    count = as_int(value, f"{field}.{key}")
    if count < 0:
        raise MalformedBody(f"{field}.{key}", "a count")
    return count


def _less(total: int | None, part: int) -> int | None:
    return None if total is None else max(0, total - part)


def encode_usage(usage: Usage, loss: Loss) -> JSONObject:
    """Write a usage object; counts that are not known are 0, because the official SDK requires them."""
    raw = usage.raw if ours(usage.wire) and usage.raw is not None else None
    # The buckets may not tell how the provider counted (a total that is no sum, a missing count); its own object does.
    if raw is not None and decode_usage(raw) == usage:
        return raw
    for name in _UNTOLD:
        if getattr(usage, name):
            loss.emulate(f"usage.{name}", "The tokens are counted in the totals; there is no count of their own.")
    given = dict(_details(raw or {}, _IN, "usage"))
    given["cached_tokens"] = _at_least(usage.cache_read)
    given["cache_write_tokens"] = _at_least(usage.cache_write_total)
    if usage.cache_write_30m is not None or usage.cache_write_12h is not None:
        lifetimes: JSONObject = {
            "ttl_30m_tokens": _at_least(usage.cache_write_30m),
            "ttl_12h_tokens": _at_least(usage.cache_write_12h),
        }
        given[_TTL] = lifetimes
    made = dict(_details(raw or {}, _OUT, "usage"))
    made["reasoning_tokens"] = _at_least(usage.reasoning)
    return {
        **(raw or {}),
        "input_tokens": _at_least(usage.input_total),
        _IN: given,
        "output_tokens": _at_least(usage.output_total),
        _OUT: made,
        "total_tokens": _at_least(usage.total),
    }


def _at_least(count: int | None) -> int:
    """The count; 0 for one that nobody told, or that some server calculated to less than nothing."""
    return max(count or 0, 0)

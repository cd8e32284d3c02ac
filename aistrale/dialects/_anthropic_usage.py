"""Token counts of the Anthropic Messages format: `usage` to the hub's disjoint buckets, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._anthropic_blocks import NAME, is_native
from aistrale.dialects.shape import form_of, get_int, get_object, kept, rest
from aistrale.types import Usage, Wire

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSONObject

_MODELLED = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "output_tokens_details",
    }
)
_LIFETIMES = {"ephemeral_5m_input_tokens": "cache_write_5m", "ephemeral_1h_input_tokens": "cache_write_1h"}
# Buckets that this format counts under `input_tokens` or `output_tokens` without telling them apart.
_INPUT = ("audio_input", "image_input", "tool_input")
_OUTPUT = ("audio_output", "image_output")
_WRITES = ("cache_write", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")
_OTHER_LIFETIMES = ("cache_write_30m", "cache_write_12h")


def decode_usage(body: JSONObject) -> Usage:
    """Decode a usage object.

    `input_tokens` leaves out what a cache gave or took; `output_tokens` includes thinking (Anthropic Messages API
    reference, `usage`). Where writes are broken down by lifetime, `cache_write` holds only what the breakdown omits.
    """
    fields = rest(body, _MODELLED)
    usage = Usage(input=get_int(body, "input_tokens"), cache_read=get_int(body, "cache_read_input_tokens"), raw=body)
    written = get_int(body, "cache_creation_input_tokens")
    lifetimes = get_object(body, "cache_creation")
    form = ""
    if lifetimes is None or all(lifetimes.get(key) is None for key in _LIFETIMES):
        usage.cache_write = written
        if lifetimes is not None:
            fields["cache_creation"] = lifetimes
    else:
        usage.cache_write_5m = get_int(lifetimes, "ephemeral_5m_input_tokens")
        usage.cache_write_1h = get_int(lifetimes, "ephemeral_1h_input_tokens")
        told = (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
        if written is None:
            form = "no_total"
        elif written > told:
            usage.cache_write = written - told
        elif written < told:
            fields["cache_creation_input_tokens"] = written
        extra = rest(lifetimes, _LIFETIMES)
        if extra or not lifetimes:
            fields["cache_creation"] = extra
    output = get_int(body, "output_tokens")
    details = get_object(body, "output_tokens_details")
    if details is not None:
        usage.reasoning = get_int(details, "thinking_tokens")
        extra = rest(details, ("thinking_tokens",))
        if extra or not details:
            fields["output_tokens_details"] = extra
    if output is not None:
        usage.output = max(output - (usage.reasoning or 0), 0)
        if output < (usage.reasoning or 0):
            fields["output_tokens"] = output
    usage.wire = Wire(NAME, fields, form)
    return usage


def encode_usage(usage: Usage | None, loss: Loss | None = None) -> JSONObject:
    """Encode usage; counts that are not known, and that the format demands, are 0.

    Args:
        usage: The buckets.
        loss: Where to record counts that cannot be told apart here; None records nothing.
    """
    if usage is None:
        if loss is not None:
            loss.emulate("usage", "not reported; this format demands counts and is told 0")
        return {"input_tokens": 0, "output_tokens": 0}
    body: JSONObject = {}
    native = is_native(usage.wire)
    given = (usage.input, *(getattr(usage, name) for name in _INPUT))
    if not native or usage.input is not None:
        body["input_tokens"] = _sum(*given)
    written = (
        usage.cache_write,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.cache_write_30m,
        usage.cache_write_12h,
    )
    if any(count is not None for count in written) and form_of(usage.wire, NAME) != "no_total":
        body["cache_creation_input_tokens"] = _sum(*written)
    if usage.cache_read is not None:
        body["cache_read_input_tokens"] = usage.cache_read
    lifetimes: JSONObject = {
        key: count for key, name in _LIFETIMES.items() if (count := getattr(usage, name)) is not None
    }
    if lifetimes:
        body["cache_creation"] = {key: lifetimes.get(key, 0) for key in _LIFETIMES} if not native else lifetimes
    if not native or usage.output is not None:
        body["output_tokens"] = _sum(usage.output, usage.reasoning, *(getattr(usage, name) for name in _OUTPUT))
    if usage.reasoning is not None:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    _merge(body, kept(usage.wire, NAME))
    if loss is not None:
        _record(usage, loss)
    return body


def _merge(body: JSONObject, fields: JSONObject) -> None:
    for key, value in fields.items():
        current = body.get(key)
        if type(current) is dict and type(value) is dict:
            body[key] = {**value, **current}
        # A total that contradicts its own breakdown was kept as it came.
        elif key not in body or value is not None:
            body[key] = value


def _record(usage: Usage, loss: Loss) -> None:
    if not is_native(usage.wire):
        for name, total in (("input", usage.input_total), ("output", usage.output_total)):
            if total is None:
                loss.emulate(f"usage.{name}", "not reported; this format demands a count and is told 0")
    for name in (*_INPUT, *_OUTPUT, *_OTHER_LIFETIMES):
        if getattr(usage, name):
            loss.emulate(f"usage.{name}", "counted, but not told apart in this format")


def _sum(*counts: int | None) -> int:
    return sum(count for count in counts if count is not None)

"""Token counts of the OpenAI chat dialect.

OpenAI counts inclusively: cached, written and audio tokens are part of `prompt_tokens`, reasoning and audio of
`completion_tokens` (API reference, "Chat completions", object `usage`). Some compatible servers report reasoning beside
`completion_tokens`, so that only the total holds it; the counts tell which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.dialects._chat_wire import NAME, note, take_object, words_of
from aistrale.dialects.shape import as_object, get_int, kept, rest
from aistrale.types import JSONObject, Usage

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss

_INPUT: Final = "prompt_tokens_details"
_OUTPUT: Final = "completion_tokens_details"
TOTALS: Final[tuple[str, ...]] = ("prompt_tokens", "completion_tokens", "total_tokens")
_INPUT_FIELDS: Final = {
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "audio_tokens": "audio_input",
    "image_tokens": "image_input",
}
_OUTPUT_FIELDS: Final = {
    "reasoning_tokens": "reasoning",
    "audio_tokens": "audio_output",
    "image_tokens": "image_output",
}
# In the order in which overlaps are taken out.
_INPUT_BUCKETS: Final = ("audio_input", "image_input", "cache_write", "cache_read")
_OUTPUT_BUCKETS: Final = ("audio_output", "image_output", "reasoning")
# Counted here without being told apart.
_UNTOLD: Final = ("tool_input", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")
_TOTALS_SET: Final = frozenset(TOTALS)
_MODELLED: Final = frozenset({*TOTALS, _INPUT, _OUTPUT})


def decode_usage(value: JSONObject) -> Usage:
    """The counts as disjoint buckets.

    Raises:
        MalformedBody: A count is no whole number.
    """
    prompt, completion = get_int(value, "prompt_tokens"), get_int(value, "completion_tokens")
    total = get_int(value, "total_tokens")
    usage = Usage(raw=value)
    fields = rest(value, _MODELLED)
    words: list[str] = []
    _read_details(value, _INPUT, _INPUT_FIELDS, usage, fields)
    _read_details(value, _OUTPUT, _OUTPUT_FIELDS, usage, fields)
    if usage.cache_read is None and (cached := get_int(value, "cached_tokens")) is not None:
        # Together's place for it.
        usage.cache_read = cached
        fields.pop("cached_tokens", None)
        words.append("cached_beside")
    if prompt is not None:
        usage.input = prompt - _fit(usage, prompt, _INPUT_BUCKETS, "overlap_in", words)
        if "overlap_in" in words:
            fields.update({name: value[name] for name in (_INPUT, "cached_tokens") if name in value})
    beside = 0
    if completion is not None:
        extra = 0 if total is None or prompt is None else total - prompt - completion
        if extra > 0 and usage.reasoning in {None, extra}:
            words.append("reasoning_untold" if usage.reasoning is None else "reasoning_beside")
            usage.reasoning = beside = extra
        buckets = _OUTPUT_BUCKETS[:2] if beside else _OUTPUT_BUCKETS
        usage.output = completion - _fit(usage, completion, buckets, "overlap_out", words)
        if "overlap_out" in words:
            fields.update({name: value[name] for name in (_OUTPUT,) if name in value})
    if len(value) < len(TOTALS) or not value.keys() >= _TOTALS_SET:
        words.extend(f"no_{name}" for name in TOTALS if name not in value)
    # Sums that do not add up are given back as they came.
    read, made = usage.input_total or 0, usage.output_total or 0
    for name, count, written in zip(
        TOTALS, (prompt, completion, total), (read, made - beside, read + made), strict=True
    ):
        if count is not None and count != written:
            fields[name] = count
    usage.wire = note(fields, words)
    return usage


def _read_details(value: JSONObject, key: str, names: dict[str, str], usage: Usage, fields: JSONObject) -> None:
    if value.get(key) is None:
        return
    details = as_object(value[key], f"usage.{key}")
    for name, bucket in names.items():
        count = get_int(details, name)
        if count is not None:
            setattr(usage, bucket, count)
    # Kept even when empty: it says that the object was there.
    fields[key] = rest(details, names)


def _fit(usage: Usage, whole: int, buckets: tuple[str, ...], word: str, words: list[str]) -> int:
    """Cut buckets that overlap (sound read from the cache is told in both) down to the sum; returns what they hold."""
    held = sum([getattr(usage, name) or 0 for name in buckets])
    if held <= whole:
        return held
    words.append(word)
    excess = held - whole
    for name in buckets:
        count = getattr(usage, name) or 0
        cut = min(count, excess)
        if cut:
            setattr(usage, name, count - cut)
            excess -= cut
    return whole


def encode_usage(usage: Usage, loss: Loss) -> JSONObject:
    """The counts as OpenAI counts them.

    Sums that nobody told are written as zero, because the format requires them; of the details only what is known is
    written.

    Args:
        usage: The buckets.
        loss: Takes counts that cannot be told apart here.
    """
    for name in _UNTOLD:
        if getattr(usage, name):
            loss.emulate(f"usage.{name}", "counted, but not told apart in this format")
    fields, words = kept(usage.wire, NAME), words_of(usage.wire)
    odd = {name: fields.pop(name) for name in TOTALS if name in fields}
    had_input, had_output = fields.get(_INPUT) is not None, fields.get(_OUTPUT) is not None
    inner = take_object(fields, _INPUT) if had_input else {}
    outer = take_object(fields, _OUTPUT) if had_output else {}
    beside = "reasoning_beside" in words or "reasoning_untold" in words
    prompt = usage.input_total or 0
    output = usage.output_total or 0
    counts: JSONObject = {
        "prompt_tokens": prompt,
        "completion_tokens": output - (usage.reasoning or 0) if beside else output,
        "total_tokens": prompt + output,
    }
    body: JSONObject = {name: count for name, count in counts.items() if f"no_{name}" not in words}
    body.update(odd)
    cached_beside = "cached_beside" in words
    told_in = {
        "cached_tokens": None if cached_beside else usage.cache_read,
        "cache_write_tokens": usage.cache_write_total,
        "audio_tokens": usage.audio_input,
        "image_tokens": usage.image_input,
    }
    told_out = {
        "reasoning_tokens": None if "reasoning_untold" in words else usage.reasoning,
        "audio_tokens": usage.audio_output,
        "image_tokens": usage.image_output,
    }
    if "overlap_in" not in words:
        inner.update({name: count for name, count in told_in.items() if count is not None})
    if "overlap_out" not in words:
        outer.update({name: count for name, count in told_out.items() if count is not None})
    if inner or had_input:
        body[_INPUT] = inner
    if outer or had_output:
        body[_OUTPUT] = outer
    if cached_beside and usage.cache_read is not None and "overlap_in" not in words:
        body["cached_tokens"] = usage.cache_read
    return {**fields, **body}

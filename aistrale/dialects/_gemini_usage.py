"""Gemini's `usageMetadata`, both ways.

The prompt count includes what was read from a cache, the candidates count excludes thoughts, and the prompt of
server-side tools is extra (Gemini API reference, `UsageMetadata`). Details by modality split the same tokens again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._gemini_names import NAME, modality, own
from aistrale.dialects.shape import as_int, as_list, as_object, kept
from aistrale.types import Usage, Wire

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

_COUNTS = frozenset(
    {
        "promptTokenCount",
        "cachedContentTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "toolUsePromptTokenCount",
        "totalTokenCount",
    }
)


def decode_usage(body: JSONObject, field: str = "usageMetadata") -> Usage:
    """Read the counts into disjoint buckets.

    Raises:
        MalformedBody: A count is no whole number.
    """
    prompt = _count(body, "promptTokenCount", field)
    cached = _count(body, "cachedContentTokenCount", field)
    answer = _count(body, "candidatesTokenCount", field)
    thoughts = _count(body, "thoughtsTokenCount", field)
    tool = _count(body, "toolUsePromptTokenCount", field)
    usage = Usage(cache_read=cached, reasoning=thoughts, tool_input=tool, raw=body)
    if prompt is not None:
        fresh = max(prompt - (cached or 0), 0)
        details = _details(body, "promptTokensDetails", field)
        if details:
            if cached and sum(details.values()) != fresh:
                # The details cover the cached tokens too, so that those of each modality must come off once more.
                for kind, tokens in _details(body, "cacheTokensDetails", field).items():
                    details[kind] = max(details.get(kind, 0) - tokens, 0)
            usage.input, usage.audio_input, usage.image_input = _split(fresh, details)
        else:
            usage.input = fresh
    if answer is not None:
        details = _details(body, "candidatesTokensDetails", field)
        usage.output, usage.audio_output, usage.image_output = _split(answer, details)
    usage.wire = _remember(body, prompt, cached, (answer, thoughts, tool), field)
    return usage


class Turns:
    """The counts of a stream over the turns of hosted tools.

    Every chunk counts what its turn has made so far, and each turn begins anew; the last chunk holds the totals. One
    recorded last chunk left out the answer, although 36 tokens had come: then the turns' own ends add up to it.
    """

    __slots__ = ("_answer", "_before", "_last", "_thoughts")

    def __init__(self) -> None:
        self._last: JSONObject = {}
        self._answer = self._thoughts = 0
        self._before = (0, 0)

    def feed(self, body: JSONObject) -> None:
        """Take the counts of a chunk. Raises MalformedBody."""
        answer = _count(body, "candidatesTokenCount", "usageMetadata") or 0
        if answer < self._answer:
            self._before = self._before[0] + self._answer, self._before[1] + self._thoughts
            self._thoughts = 0
        self._answer, self._last = answer, body
        self._thoughts = max(self._thoughts, _count(body, "thoughtsTokenCount", "usageMetadata") or 0)

    def finish(self) -> Usage | None:
        """The whole, estimated, where the last chunk did not count the answer; None where it did."""
        body, (answer, thoughts) = self._last, self._before
        if not answer or body.get("candidatesTokenCount") is not None:
            return None
        usage = decode_usage(body)
        usage.output, usage.reasoning = answer, max(usage.reasoning or 0, thoughts) or None
        usage.source = "estimated"
        # What the provider said stays what is written.
        told = ("candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount")
        form = "" if usage.wire is None else usage.wire.form
        usage.wire = Wire(
            NAME,
            {**kept(usage.wire, NAME), **{key: body[key] for key in told if key in body}},
            " ".join([*form.split(), *(key for key in told if key not in body)]),
        )
        return usage


def _count(body: JSONObject, key: str, field: str) -> int | None:
    value = body.get(key)
    return value if value is None or type(value) is int else as_int(value, f"{field}.{key}")


def _details(body: JSONObject, key: str, field: str) -> dict[str, int]:
    """Tokens by modality; empty where all are text, which is what a stream says over and over."""
    value = body.get(key)
    if value is None:
        # The answers of batchEmbedContents spell the name without the plural.
        value = body.get(key.replace("Tokens", "Token"))
    if value is None:
        return {}
    counts: dict[str, int] = {}
    for item in as_list(value, f"{field}.{key}"):
        entry = as_object(item, f"{field}.{key}")
        kind = modality(entry.get("modality"))
        counts[kind] = counts.get(kind, 0) + (_count(entry, "tokenCount", f"{field}.{key}") or 0)
    return {} if counts.keys() == {"TEXT"} else counts


def _split(total: int, details: dict[str, int]) -> tuple[int, int | None, int | None]:
    """Text, audio and images of a total; the hub counts video and documents as text."""
    if not details:
        return total, None, None
    audio = min(details["AUDIO"], total) if "AUDIO" in details else None
    rest = total - (audio or 0)
    image = min(details["IMAGE"], rest) if "IMAGE" in details else None
    return rest - (image or 0), audio, image


def _remember(
    body: JSONObject, prompt: int | None, cached: int | None, others: tuple[int | None, ...], field: str
) -> Wire:
    """What the buckets do not say: details, and counts that do not follow from them."""
    fields = {key: value for key, value in body.items() if key not in _COUNTS or value is None}
    absent = ""
    implied = prompt
    if prompt is not None and prompt < 0:
        fields["promptTokenCount"] = prompt
        implied = 0
    if cached is not None and (prompt is None or prompt < cached):
        implied = cached
        if prompt is None:
            absent = "promptTokenCount"
        else:
            fields["promptTokenCount"] = prompt
    total = _count(body, "totalTokenCount", field)
    known = [count for count in (implied, *others) if count is not None]
    if total is None:
        absent = f"{absent} totalTokenCount" if known else absent
    elif not known or total != sum(known):
        fields["totalTokenCount"] = total
    return Wire(NAME, fields, absent)


def _counts(usage: Usage) -> JSONObject:
    tool = usage.tool_input
    whole = usage.input_total
    prompt = whole if tool is None or whole is None else whole - tool
    counts: JSONObject = {}
    if prompt is not None and (prompt or usage.input is not None or tool is None):
        counts["promptTokenCount"] = prompt
    answer = usage.output_total
    if answer is not None:
        visible = answer - (usage.reasoning or 0)
        if visible or usage.output is not None or usage.reasoning is None:
            counts["candidatesTokenCount"] = visible
    for key, value in (
        ("cachedContentTokenCount", usage.cache_read),
        ("thoughtsTokenCount", usage.reasoning),
        ("toolUsePromptTokenCount", tool),
    ):
        if value is not None:
            counts[key] = value
    if usage.total is not None:
        counts["totalTokenCount"] = usage.total
    return counts


def encode_usage(usage: Usage) -> JSONObject:
    """Write the counts that overlap, as Gemini does."""
    counts = _counts(usage)
    if own(usage.wire) and usage.wire is not None:
        absent = usage.wire.form.split()
        counts = {key: value for key, value in counts.items() if key not in absent}
        return {**counts, **kept(usage.wire, NAME)}
    prompt = counts.get("promptTokenCount")
    if type(prompt) is int and (usage.audio_input is not None or usage.image_input is not None):
        counts["promptTokensDetails"] = _write_details(prompt, usage.audio_input, usage.image_input)
    answer = counts.get("candidatesTokenCount")
    if type(answer) is int and (usage.audio_output is not None or usage.image_output is not None):
        counts["candidatesTokensDetails"] = _write_details(answer, usage.audio_output, usage.image_output)
    return counts


def _write_details(total: int, audio: int | None, image: int | None) -> list[JSON]:
    text = total - (audio or 0) - (image or 0)
    counts = (("TEXT", text), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": kind, "tokenCount": tokens} for kind, tokens in counts if tokens is not None]

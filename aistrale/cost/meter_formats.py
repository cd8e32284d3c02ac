"""How providers count: a usage object of any of their formats, as disjoint units.

Every reader takes the object verbatim and gives lines: what one model used, in units that do not overlap, named as the
price book names their rates. Sums that contain one another are taken apart; where parts do not fit into their sum, the
sum is right and the parts are cut, so that no count is negative and no token stands in two units.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from aistrale.dialects.shape import MalformedBody, as_int, as_list, as_number, as_object

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

Units: TypeAlias = dict[str, "int | Decimal"]

_NOTHING: Final[JSONObject] = {}
# What the ledger can keep; no exchange comes near it.
MOST: Final = 2**63 - 1


@dataclass(slots=True, frozen=True)
class Line:
    """What one model used.

    Args:
        model: The model, in the provider's words; None for the one that was asked.
        prompt: Tokens of the largest single prompt, by which tiers of length are chosen; None where the counts are a
            sum over several prompts and nobody knows how large the largest was.
        units: How much of what, disjoint: tokens by the names of the book's rates, `audio_seconds`, `characters`, and
            uses of hosted tools (`web_search_calls`, `web_search_queries`, `grounded_prompts`, `file_search`,
            `maps_grounding`). Empty for what is not billed.
    """

    model: str | None
    prompt: int | None
    units: Units


# --- OpenAI and those who count like it --------------------------------------------------------------------------


def openai_lines(raw: JSONObject, *, beside: bool = False) -> list[Line]:
    """Chat, responses, embeddings, realtime sessions, transcriptions and images of OpenAI, Groq and Hugging Face.

    Cached, written, audio and image tokens are part of the prompt; reasoning and rejected predictions, audio and image
    tokens part of the answer (OpenAI API reference, `usage`). Some backends count reasoning beside the answer, and
    Gemini's compatible endpoint leaves it out altogether, so that only the total holds it.

    Args:
        raw: The usage object.
        beside: Whether all that the total has more than both sums is output.

    Raises:
        MalformedBody: A count is no whole number.
    """
    given = count(raw, "prompt_tokens", "input_tokens")
    made = count(raw, "completion_tokens", "output_tokens")
    if given is None and made is None:
        return []
    inner = details(raw, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    outer = details(raw, "completion_tokens_details", "output_tokens_details", "output_token_details")
    units = {} if given is None else _openai_input(given, inner, raw)
    total, reasoning = count(raw, "total_tokens"), count(outer, "reasoning_tokens")
    hidden = 0 if total is None or given is None else total - given - (made or 0)
    if hidden > 0 and (beside or reasoning in {None, hidden}):
        made = (made or 0) + hidden
    if made is not None:
        units.update(_openai_output(made, inner, outer, raw))
    return [Line(None, given or 0, units)]


def _openai_input(given: int, inner: JSONObject, raw: JSONObject) -> Units:
    cached = count(inner, "cached_tokens")
    if cached is None:
        # Together's place for it.
        cached = count(raw, "cached_tokens")
    by_kind = details(inner, "cached_tokens_details")
    lifetimes = details(inner, "cache_write_tokens_details")
    left = given
    audio, left = _take(left, count(inner, "audio_tokens"))
    image, left = _take(left, count(inner, "image_tokens"))
    cached_audio, _ = _take(audio, count(by_kind, "audio_tokens"))
    cached_image, _ = _take(image, count(by_kind, "image_tokens"))
    read, left = _take(left, (cached or 0) - cached_audio - cached_image)
    # What was cached beyond the text must have been sound or images.
    over = (cached or 0) - cached_audio - cached_image - read
    more, _ = _take(audio - cached_audio, over)
    cached_audio += more
    more, _ = _take(image - cached_image, over - more)
    cached_image += more
    long, left = _take(left, count(lifetimes, "ttl_12h_tokens"))
    written = max(count(inner, "cache_write_tokens") or 0, long + (count(lifetimes, "ttl_30m_tokens") or 0))
    short, left = _take(left, written - long)
    units: Units = {"input": left}
    _put(
        units,
        cache_read=read,
        cache_write=short,
        cache_write_12h=long,
        audio_input=audio - cached_audio,
        audio_cache_read=cached_audio,
        image_input=image - cached_image,
        image_cache_read=cached_image,
    )
    return units


def _openai_output(made: int, inner: JSONObject, outer: JSONObject, raw: JSONObject) -> Units:
    audio, left = _take(made, count(outer, "audio_tokens"))
    image, left = _take(left, count(outer, "image_tokens"))
    if not outer and "image_tokens" in inner and "cached_tokens" not in inner and "input_tokens_details" in raw:
        # The images API, before it told its output apart: all of it was images.
        image, left = image + left, 0
    units: Units = {"output": left}
    _put(units, audio_output=audio, image_output=image)
    return units


def breakdown_lines(value: JSON) -> list[Line]:
    """Groq's `usage_breakdown`: what each model behind a compound system used (Groq API reference)."""
    lines: list[Line] = []
    for item in as_list(as_object(value, "usage_breakdown").get("models") or [], "usage_breakdown.models"):
        entry = as_object(item, "usage_breakdown.models")
        model, usage = entry.get("model"), entry.get("usage")
        if type(model) is str and usage is not None:
            found = openai_lines(as_object(usage, "usage_breakdown.models.usage"))
            lines += [Line(model, line.prompt, line.units) for line in found]
    return lines


# --- Anthropic ---------------------------------------------------------------------------------------------------


def anthropic_lines(raw: JSONObject) -> list[Line]:
    """Messages of Claude, at Anthropic and at other clouds.

    Caches stand beside `input_tokens`, thinking inside `output_tokens`. `iterations` tells every pass with its own
    model; the top level leaves out those of compaction and of an advisor (Anthropic SDK, `BetaIterationsUsage`), and
    is a sum over the turns of hosted tools: no prompt was that long.

    Raises:
        MalformedBody: A count is no whole number.
    """
    passes = raw.get("iterations")
    lines = [] if passes is None else _passes(as_list(passes, "usage.iterations"))
    if not _served(passes):
        tools = details(raw, "server_tool_use")
        several = any(type(uses) is int and uses > 0 for uses in tools.values())
        lines += _anthropic_pass(raw, several=several)
    return lines


def _passes(passes: list[JSON]) -> list[Line]:
    entries = [as_object(each, "usage.iterations") for each in passes]
    fell_back = any(entry.get("type") == "fallback_message" for entry in entries)
    lines: list[Line] = []
    for entry in entries:
        if fell_back and entry.get("type") == "message" and not count(entry, "output_tokens"):
            # A model that declined without a word: refusals without output are not billed.
            continue
        lines += _anthropic_pass(entry)
    return lines


def _served(passes: JSON) -> bool:
    """Whether the passes hold the answer itself, so that the top level says the same again."""
    kinds = ("message", "fallback_message")
    return type(passes) is list and any(type(each) is dict and each.get("type") in kinds for each in passes)


def _anthropic_pass(node: JSONObject, *, several: bool = False) -> list[Line]:
    fresh, read = count(node, "input_tokens"), count(node, "cache_read_input_tokens")
    written, made = count(node, "cache_creation_input_tokens"), count(node, "output_tokens")
    if fresh is None and read is None and made is None:
        return []
    lifetimes = details(node, "cache_creation")
    short, long = count(lifetimes, "ephemeral_5m_input_tokens"), count(lifetimes, "ephemeral_1h_input_tokens")
    if written is None:
        written = (short or 0) + (long or 0)
    long, rest = _take(written, long)
    units: Units = {}
    if fresh is not None:
        units["input"] = fresh
    _put(units, cache_read=read or 0, cache_write=rest, cache_write_1h=long)
    if made is not None:
        units["output"] = made
    model = node.get("model")
    prompt = None if several else (fresh or 0) + (read or 0) + written
    return [Line(model if type(model) is str and model else None, prompt, units)]


# --- Gemini ------------------------------------------------------------------------------------------------------

# Pages of documents are seen as images and charged so (Gemini API, Document understanding).
_INPUTS: Final = {
    "AUDIO": "audio_input",
    "IMAGE": "image_input",
    "DOCUMENT": "image_input",
    "VIDEO": "video_input",
}
_CACHED: Final = {
    "AUDIO": "audio_cache_read",
    "IMAGE": "image_cache_read",
    "DOCUMENT": "image_cache_read",
    "VIDEO": "video_cache_read",
}
_OUTPUTS: Final = {"AUDIO": "audio_output", "IMAGE": "image_output", "VIDEO": "video_output"}


def gemini_lines(raw: JSONObject) -> list[Line]:
    """`usageMetadata` of Gemini, the Live API's included, and the `usage` of its Interactions API.

    The prompt includes what a cache gave; thoughts stand beside the answer and the prompts of hosted tools beside the
    prompt (Gemini API reference, `UsageMetadata`). Details by modality need not sum up to their count: the rest is
    text. An answer that is not counted is what the total has more.

    Raises:
        MalformedBody: A count is no whole number.
    """
    prompt = count(raw, "promptTokenCount", "total_input_tokens")
    cached = count(raw, "cachedContentTokenCount", "total_cached_tokens")
    answer = count(raw, "candidatesTokenCount", "responseTokenCount", "total_output_tokens")
    thoughts = count(raw, "thoughtsTokenCount", "total_thought_tokens")
    tool = count(raw, "toolUsePromptTokenCount", "total_tool_use_tokens")
    if prompt is None and cached is None and answer is None and thoughts is None and tool is None:
        return []
    whole = max(prompt or 0, cached or 0)
    if answer is None:
        answer = max((count(raw, "totalTokenCount", "total_tokens") or 0) - whole - (thoughts or 0) - (tool or 0), 0)
    units: Units = {"input": 0, "output": 0}
    kept = _modalities(raw, "cacheTokensDetails", "cached_tokens_by_modality")
    seen = _modalities(raw, "promptTokensDetails", "promptTokenDetails", "input_tokens_by_modality")
    if cached and sum(seen.values()) > whole - cached:
        # The details tell the cached tokens too.
        for kind, tokens in kept.items():
            seen[kind] = max(seen.get(kind, 0) - tokens, 0)
    _split(units, cached or 0, kept, _CACHED, "cache_read")
    _split(units, whole - (cached or 0), seen, _INPUTS, "input")
    fetched = _modalities(raw, "toolUsePromptTokensDetails", "tool_use_tokens_by_modality")
    _split(units, tool or 0, fetched, _INPUTS, "input")
    made = _modalities(raw, "candidatesTokensDetails", "responseTokensDetails", "output_tokens_by_modality")
    _split(units, answer, made, _OUTPUTS, "output")
    units["output"] += thoughts or 0
    if whole == 0 and prompt is None and tool is None and count(raw, "totalTokenCount", "total_tokens") is None:
        # A count of nothing is left out, but the total would say so.
        del units["input"]
    return [Line(None, whole + (tool or 0), units)]


def _split(units: Units, total: int, kinds: dict[str, int], names: dict[str, str], rest: str) -> None:
    left = total
    for kind, unit in names.items():
        tokens, left = _take(left, kinds.get(kind))
        if tokens:
            units[unit] = units.get(unit, 0) + tokens
    if left:
        units[rest] = units.get(rest, 0) + left


def _modalities(raw: JSONObject, *names: str) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for name in names:
        value = raw.get(name)
        for item in [] if value is None else as_list(value, f"usage.{name}"):
            entry = as_object(item, f"usage.{name}")
            kind = str(entry.get("modality") or "TEXT").upper()
            kinds[kind] = kinds.get(kind, 0) + (count(entry, "tokenCount", "tokens") or 0)
    return kinds


# --- what is not counted in tokens -------------------------------------------------------------------------------


def measured_lines(raw: JSONObject) -> list[Line]:
    """Sound by its seconds (OpenAI `UsageDuration`, Groq's transcriptions) or text to be spoken by its characters.

    Raises:
        MalformedBody: An amount is no number.
    """
    for name in ("seconds", "audio_seconds", "duration"):
        value = raw.get(name)
        if value is not None:
            amount = Decimal(str(as_number(value, f"usage.{name}")))
            if not amount.is_finite() or not 0 <= amount <= MOST:
                raise MalformedBody(f"usage.{name}", "a number of seconds")
            return [Line(None, None, {"audio_seconds": amount})]
    characters = count(raw, "characters", "input_characters")
    return [] if characters is None else [Line(None, None, {"characters": characters})]


# --- reading -----------------------------------------------------------------------------------------------------


def count(node: JSONObject, *names: str) -> int | None:
    """The first of these counts that is told.

    Raises:
        MalformedBody: It is no whole number, less than nothing, or more than there can be.
    """
    for name in names:
        value = node.get(name)
        if value is not None:
            number = value if type(value) is int else as_int(value, f"usage.{name}")
            if not 0 <= number <= MOST:
                raise MalformedBody(f"usage.{name}", "a number of tokens")
            return number
    return None


def details(node: JSONObject, *names: str) -> JSONObject:
    """The first of these objects that is there; empty without one."""
    for name in names:
        value = node.get(name)
        if value is not None:
            return as_object(value, f"usage.{name}")
    return _NOTHING


def _take(left: int, wanted: int | None) -> tuple[int, int]:
    """As much as there is, and what remains."""
    taken = min(max(wanted or 0, 0), left)
    return taken, left - taken


def _put(units: Units, **counts: int) -> None:
    units.update({name: cast("int | Decimal", tokens) for name, tokens in counts.items() if tokens})

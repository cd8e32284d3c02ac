"""Tokens out of what LlamaIndex's model classes keep of a provider's answer, in whichever shape that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.integrations.runs import RunUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where usage objects are kept inside of what providers answer, each a path of fields: most of them; Gemini; the last
# piece of a stream of Groq's and of OpenAI's responses; Cohere.
_PLACES: Final = (
    ("usage",),
    ("usage_metadata",),
    ("usageMetadata",),
    ("x_groq", "usage"),
    ("response", "usage"),
    ("response", "usage_metadata"),
    ("response", "usageMetadata"),
    ("meta", "tokens"),
    ("message", "usage"),
)
_INPUT: Final = (
    "prompt_tokens",
    "input_tokens",
    "prompt_token_count",
    "promptTokenCount",
    "inputTokens",
    "prompt_eval_count",
)
_OUTPUT: Final = (
    "completion_tokens",
    "output_tokens",
    "candidates_token_count",
    "candidatesTokenCount",
    "outputTokens",
    "eval_count",
)
_READ: Final = (
    "cache_read_input_tokens",
    "cacheReadInputTokens",
    "cached_content_token_count",
    "cachedContentTokenCount",
    "prompt_cache_hit_tokens",
    "cached_content_tokens",
)
_WRITTEN: Final = ("cache_creation_input_tokens", "cacheWriteInputTokens")
_INPUT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS: Final = ("completion_tokens_details", "output_tokens_details")
_THOUGHT: Final = ("thoughts_token_count", "thoughtsTokenCount")
_TOOL_PROMPT: Final = ("tool_use_prompt_token_count", "toolUsePromptTokenCount")
# Who has these fields counts cached tokens beside the input, not in it (Anthropic Messages API reference; Amazon
# Bedrock Converse API reference, TokenUsage).
_BESIDE: Final = (
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cacheReadInputTokens",
    "cacheWriteInputTokens",
)


def usage_of(response: object) -> RunUsage | None:
    """What an answer used, as it tells itself.

    Args:
        response: A `ChatResponse` or `CompletionResponse`; anything else tells nothing.

    Returns:
        None where nothing is told.
    """
    for candidate in _candidates(response):
        usage = read_usage(candidate)
        if usage is not None:
            return usage
    return None


def _candidates(response: object) -> Iterator[object]:
    raw = getattr(response, "raw", None)
    if raw is not None:
        for place in _PLACES:
            found: object = raw
            for name in place:
                found = field(found, name)
            if found is not None:
                yield found
        # Ollama's answers are their own usage object.
        yield raw
    yield getattr(response, "additional_kwargs", None)
    yield field(getattr(response, "message", None), "additional_kwargs")


def field(item: object, name: str) -> object:
    """A field of a table or an attribute of an object; None where there is none."""
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


def read_usage(usage: object) -> RunUsage | None:
    """A provider's usage object, a table or an object of its SDK; None for what is none."""
    given, made = _count(usage, _INPUT), _count(usage, _OUTPUT)
    if given is None and made is None:
        return None
    inner, outer = _details(usage, _INPUT_DETAILS), _details(usage, _OUTPUT_DETAILS)
    read = _first(_count(usage, _READ), _count(inner, ("cached_tokens",)))
    written = _first(_count(usage, _WRITTEN), _count(inner, ("cache_write_tokens",)))
    lifetimes = field(usage, "cache_creation")
    thought = _count(usage, _THOUGHT)
    if given is not None:
        given += _count(usage, _TOOL_PROMPT) or 0
        if any(field(usage, name) is not None for name in _BESIDE):
            given += (read or 0) + (written or 0)
    if thought is not None:
        # Gemini counts thoughts beside its candidates (Gemini API reference, UsageMetadata).
        made = (made or 0) + thought
    return RunUsage(
        input=given,
        output=made,
        cache_read=read,
        cache_write=written,
        cache_write_5m=_count(lifetimes, ("ephemeral_5m_input_tokens",)),
        cache_write_1h=_count(lifetimes, ("ephemeral_1h_input_tokens",)),
        reasoning=_first(thought, _count(outer, ("reasoning_tokens",))),
        audio_input=_count(inner, ("audio_tokens",)),
        audio_output=_count(outer, ("audio_tokens",)),
    )


def _details(usage: object, names: tuple[str, ...]) -> object:
    return next((found for name in names if (found := field(usage, name)) is not None), None)


def _count(usage: object, names: tuple[str, ...]) -> int | None:
    if usage is None:
        return None
    for name in names:
        value = field(usage, name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)

"""Groq: OpenAI's chat format at its own address, with its own errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aistrale.dialects.base import JsonRules, Profile
from aistrale.errors import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
)
from aistrale.providers.base import Provider, with_facts
from aistrale.providers.verdict import by_table

if TYPE_CHECKING:
    from aistrale.errors import APIError
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import JSONObject

# Groq documentation, "API error codes and responses".
CODES: dict[tuple[int | None, str], type[APIError]] = {
    (None, "invalid_api_key"): AuthenticationError,
    (None, "model_not_found"): ModelNotFoundError,
    (None, "model_decommissioned"): ModelNotFoundError,
    (None, "model_terms_required"): ModelNotFoundError,
    # A single request beyond the limit of tokens per minute: waiting does not make it smaller.
    (413, "rate_limit_exceeded"): ContextLengthError,
    (None, "rate_limit_exceeded"): RateLimitError,
    (None, "context_length_exceeded"): ContextLengthError,
    (None, "capacity_exceeded"): OverloadedError,
    (None, "over_capacity"): OverloadedError,
    (None, "insufficient_quota"): QuotaExceededError,
    (None, "spend_limit_reached"): QuotaExceededError,
    (None, "blocked_api_access"): QuotaExceededError,
    # The model wrote a tool call or JSON that does not fit: its fault, another attempt may do better.
    (None, "tool_use_failed"): ResponseError,
    (None, "json_validate_failed"): ResponseError,
    (None, "output_parse_failed"): ResponseError,
    (None, "internal_server_error"): ServerError,
    (None, "invalid_request_error"): InvalidRequestError,
}

_GPT_OSS = re.compile(r"openai/gpt-oss")
_QWEN3 = re.compile(r"qwen/qwen-?3")
_SEES = re.compile(r".*(?:llama-4|vision|-vl\b|llava)")
_SCHEMA = re.compile(r".*(?:gpt-oss|llama-4|kimi)")


def profile(model: str, facts: ModelFacts | None) -> Profile:
    """What a model at Groq can take; an unknown one is judged by its family's name."""
    efforts: tuple[str, ...] = ()
    if _GPT_OSS.match(model):
        efforts = ("low", "medium", "high")
    elif _QWEN3.match(model):
        efforts = ("none", "default")
    assumed = Profile(
        provider="groq",
        model=model,
        stop=4,
        thinking="effort" if efforts else "none",
        efforts=efforts,
        structured="schema" if _SCHEMA.match(model) else "json",
        media=frozenset({"image"}) if _SEES.match(model) else frozenset(),
        # Guides: Structured Outputs (not beside tools, not streamed, `strict` for GPT-OSS only), JSON Object Mode.
        json=JsonRules(
            subset="strict",
            beside_tools=False,
            streamed=False,
            wants_the_word=True,
            strict=bool(_GPT_OSS.match(model)),
        ),
        tool_media=False,
        stream_usage=False,
        unsupported=frozenset({"logprobs", "logit_bias", "cache_key"}),
    )
    return with_facts(assumed, facts)


def stream_request(body: JSONObject, dialect: str) -> JSONObject:  # noqa: ARG001 - a hook's signature
    """Groq reports usage in the last chunk unasked and does not document `stream_options`."""
    if "stream_options" not in body:
        return body
    return {key: value for key, value in body.items() if key != "stream_options"}


PROVIDER = Provider(
    name="groq",
    dialects=("openai_chat",),
    paths={"openai_chat": "/openai/v1/chat/completions", "embed": "/openai/v1/embeddings"},
    base_url="https://api.groq.com",
    embed_dialect="openai_embeddings",
    env_keys=("GROQ_API_KEY",),
    env_base_url="GROQ_BASE_URL",
    key_hint="Keys: https://console.groq.com/keys.",
    profile=profile,
    classify=by_table(CODES, {498: OverloadedError}),
    stream_request=stream_request,
)

"""OpenAI: chat completions by default, the Responses API where asked for or where nothing else is served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aistrale.dialects.base import JsonRules, Profile
from aistrale.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from aistrale.providers.base import Provider, ask_for_usage, with_facts
from aistrale.providers.verdict import by_table
from aistrale.providers.wordings import Wording

if TYPE_CHECKING:
    from aistrale.errors import APIError
    from aistrale.providers.catalog import ModelFacts

# OpenAI API reference, "Error codes", and the codes of the Responses API's `error` object.
CODES: dict[tuple[int | None, str], type[APIError]] = {
    (None, "invalid_api_key"): AuthenticationError,
    (None, "account_deactivated"): AuthenticationError,
    (None, "insufficient_quota"): QuotaExceededError,
    (None, "credit_balance_exhausted"): QuotaExceededError,
    (None, "organization_spend_limit_exceeded"): QuotaExceededError,
    (None, "organization_usage_limit_exceeded"): QuotaExceededError,
    (None, "project_spend_limit_exceeded"): QuotaExceededError,
    (None, "billing_not_active"): QuotaExceededError,
    (None, "billing_hard_limit_reached"): QuotaExceededError,
    (None, "credit_balance_too_low"): QuotaExceededError,
    (None, "unsupported_country_region_territory"): PermissionDeniedError,
    (None, "data_residency_mismatch"): PermissionDeniedError,
    (None, "rate_limit_exceeded"): RateLimitError,
    (None, "context_length_exceeded"): ContextLengthError,
    (None, "string_above_max_length"): InvalidRequestError,
    (None, "model_not_found"): ModelNotFoundError,
    (None, "content_filter"): ContentFilterError,
    (None, "content_policy_violation"): ContentFilterError,
    (None, "image_content_policy_violation"): ContentFilterError,
    (None, "bio_policy"): ContentFilterError,
    (None, "misalignment_policy_violation"): ContentFilterError,
    (None, "invalid_prompt"): ContentFilterError,
    (None, "server_error"): ServerError,
    (None, "vector_store_timeout"): ServerError,
    # The traffic of this key rose too fast; formerly sent with 503.
    (None, "slow_down"): RateLimitError,
    (503, "slow_down"): RateLimitError,
    (None, "server_is_overloaded"): OverloadedError,
    (None, "engine_overloaded"): OverloadedError,
    # Azure's spelling of the same.
    (None, "DeploymentNotFound"): ModelNotFoundError,
    (None, "RateLimitReached"): RateLimitError,
}

# A single request beyond the limit of tokens per minute comes with the code of every other rate limit, but no wait
# makes it smaller (OpenAI Cookbook, "How to handle rate limits"; the text as the API sends it).
WORDINGS = (Wording(429, "tokens", re.compile(r"Request too large for \S"), ContextLengthError),)

# Models that think before they answer; the chat variants of GPT-5 do not.
_REASONING = re.compile(r"(?:o\d|gpt-(?:[5-9]|\d\d)|codex-)(?!.*-chat)")
_NO_STOP = re.compile(r"(?:o1-|o3(?!-mini)|o4|gpt-(?:[5-9]|\d\d)|codex-)(?!.*-chat)")
_AUDIO = re.compile(r".*audio")
# Refused by reasoning models whatever their effort.
_NOT_WHEN_REASONING = frozenset({"presence_penalty", "frequency_penalty", "logit_bias"})


# API reference: `json_object` refuses a conversation without the word JSON. Guide: Structured Outputs.
JSON = JsonRules(subset="strict", wants_the_word=True)


def profile(model: str, facts: ModelFacts | None) -> Profile:
    """What a model of OpenAI can take; an unknown one is judged by its family's name."""
    bare = model.removeprefix("ft:")
    media = frozenset({"image", "document"} | ({"audio"} if _AUDIO.match(bare) else set()))
    assumed = Profile(provider="openai", model=model, media=media, stop=4, thinking="none", json=JSON)
    if _REASONING.match(bare):
        assumed = Profile(
            provider="openai",
            model=model,
            media=media,
            json=JSON,
            sampling=False,
            stop=0 if _NO_STOP.match(bare) else 4,
            thinking="effort",
            unsupported=_NOT_WHEN_REASONING,
        )
    return with_facts(assumed, facts)


PROVIDER = Provider(
    name="openai",
    dialects=("openai_chat", "openai_responses"),
    paths={
        "openai_chat": "/chat/completions",
        "openai_responses": "/responses",
        "embed": "/embeddings",
        "count_tokens": "/responses/input_tokens",
    },
    base_url="https://api.openai.com/v1",
    embed_dialect="openai_embeddings",
    count_dialect="openai_responses",
    env_keys=("OPENAI_API_KEY",),
    env_base_url="OPENAI_BASE_URL",
    regions={
        "global": "https://api.openai.com/v1",
        **{name: f"https://{name}.api.openai.com/v1" for name in ("us", "eu", "ae", "au", "in", "jp")},
    },
    key_hint="Keys: https://platform.openai.com/api-keys.",
    profile=profile,
    classify=by_table(CODES, wordings=WORDINGS),
    stream_request=ask_for_usage,
)

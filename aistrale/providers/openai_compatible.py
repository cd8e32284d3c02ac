"""Any other server that speaks one of the dialects: vLLM, llama.cpp, Ollama, TGI, LM Studio, Azure, OpenRouter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from aistrale.dialects import CHAT
from aistrale.dialects.base import Profile
from aistrale.errors import (
    AuthenticationError,
    ConfigurationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from aistrale.providers.base import (
    Provider,
    ask_for_usage,
    bearer,
    checked_url,
    header_key,
    same_body,
    with_facts,
)
from aistrale.providers.verdict import classify as common_classify
from aistrale.providers.verdict import error_object
from aistrale.providers.wordings import INFERENCE_SERVERS, Quota, Wording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aistrale.errors import APIError
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import ErrorInfo, JSONObject

_NAME = re.compile(r"[a-z0-9][a-z0-9_.\-]*$")

PATHS: Mapping[str, Mapping[str, str]] = {
    "openai_chat": {"openai_chat": "/chat/completions"},
    "openai_responses": {"openai_responses": "/responses"},
    "anthropic_messages": {
        "anthropic_messages": "/v1/messages",
        "count_tokens": "/v1/messages/count_tokens",
    },
    "gemini_generate": {
        "gemini_generate": "/v1/models/{model}:generateContent",
        "gemini_generate:stream": "/v1/models/{model}:streamGenerateContent?alt=sse",
        "count_tokens": "/v1/models/{model}:countTokens",
    },
}

# Types and codes of vLLM and llama.cpp's server beside OpenAI's own.
CODES: dict[tuple[int | None, str], type[APIError]] = {
    (None, "context_length_exceeded"): ContextLengthError,
    (None, "exceed_context_size_error"): ContextLengthError,
    (None, "model_not_found"): ModelNotFoundError,
    (None, "NotFoundError"): ModelNotFoundError,
    (None, "not_found_error"): ModelNotFoundError,
    (None, "DeploymentNotFound"): ModelNotFoundError,
    (None, "BadRequestError"): InvalidRequestError,
    (None, "not_supported_error"): InvalidRequestError,
    (None, "authentication_error"): AuthenticationError,
    (None, "permission_error"): PermissionDeniedError,
    (None, "unavailable_error"): OverloadedError,
    (None, "overloaded"): OverloadedError,
    (None, "InternalServerError"): ServerError,
    (None, "server_error"): ServerError,
}
# llama.cpp's server answers so while it reads the model from disk (its README, "GET /health").
WORDINGS = (
    *INFERENCE_SERVERS,
    Wording(503, "unavailable_error", re.compile(r"Loading model"), ModelLoadingError),
)
# OpenRouter documentation, "Limits": a budget of what runs at the moment, which is free again in a moment.
_IN_FLIGHT = "openrouter_in_flight_budget"


def classify(info: ErrorInfo) -> type[APIError]:
    """What OpenRouter says in `metadata` (its documentation, "Errors" and "Limits"), then the common rules.

    There a 403 may be a flagged prompt or an empty budget, and a 402 something that passes.
    """
    metadata = _metadata(info)
    source = metadata.get("limit_source")
    if info.status in {402, 403} and type(source) is str and source.startswith("openrouter_"):
        return RateLimitError if source == _IN_FLIGHT else QuotaExceededError
    if info.status == 403 and (type(metadata.get("reasons")) is list or "flagged_input" in metadata):
        return ContentFilterError
    return common_classify(info, codes=CODES, wordings=WORDINGS)


def quota(info: ErrorInfo) -> Quota:
    """When OpenRouter renews the budget that is spent."""
    said = _metadata(info).get("resets_at")
    if type(said) is not str:
        return Quota()
    try:
        instant = datetime.fromisoformat(said)
        return Quota(instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC))
    except (ValueError, OverflowError):
        return Quota()


def _metadata(info: ErrorInfo) -> JSONObject:
    metadata = error_object(info.body).get("metadata")
    return metadata if type(metadata) is dict else {}


def openai_compatible(
    name: str,
    base_url: str,
    api_key_env: str | None = None,
    *,
    dialect: str = "openai_chat",
    dialects: Sequence[str] = (),
    auth: str = "bearer",
    headers: Mapping[str, str] | None = None,
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_tokens",
    stream_usage: bool = True,
    embeddings: bool = True,
) -> Provider:
    """A provider for a server that speaks one of the dialects.

    Args:
        name: How it is called in `name/model`: lower-case letters, digits, `_`, `-` and `.`.
        base_url: Where it listens, with the version: `http://localhost:8000/v1` (vLLM, LM Studio),
            `http://localhost:11434/v1` (Ollama), `https://NAME.openai.azure.com/openai/v1` (Azure).
        api_key_env: Environment variable with its key; None for a server that wants none.
        dialect: The dialect it speaks unless told otherwise.
        dialects: Further ones it speaks.
        auth: "bearer", or the name of the header that carries the key (`api-key` at Azure).
        headers: Constant headers for every request.
        max_tokens_field: What it calls the output limit in the OpenAI chat dialect.
        stream_usage: Whether it takes `stream_options.include_usage`; without it streams report no tokens.
        embeddings: Whether it has `/embeddings`.

    Returns:
        The provider, to be passed to the client's settings.

    Raises:
        ConfigurationError: The name, the URL, a header or a dialect is wrong; the message names it.
    """
    if not _NAME.match(name):
        raise ConfigurationError(
            f"provider name {name!r}: use lower-case letters, digits, '_', '-' and '.'", field="name"
        )
    spoken = tuple(dict.fromkeys((dialect, *dialects)))
    for each in spoken:
        if each not in CHAT:
            raise ConfigurationError(
                f"dialect {each!r} of provider {name!r} is unknown; known: {', '.join(CHAT)}",
                field="dialect",
                provider=name,
            )
    paths = {key: path for each in spoken for key, path in PATHS[each].items()}
    if embeddings:
        paths["embed"] = "/embeddings"
    counts = [each for each in spoken if "count_tokens" in PATHS[each]]
    return Provider(
        name=name,
        dialects=spoken,
        paths=paths,
        base_url=checked_url(base_url, "base_url", name),
        embed_dialect="openai_embeddings" if embeddings else None,
        # Two dialects would count at two addresses; the last one's path is the one in the table.
        count_dialect=counts[-1] if counts else None,
        env_keys=(api_key_env,) if api_key_env else (),
        needs_key=api_key_env is not None,
        headers=_headers(headers or {}, spoken, name),
        auth_headers=bearer if auth == "bearer" else header_key(auth.lower()),
        profile=partial(_profile, name, max_tokens_field, stream_usage),
        classify=classify,
        quota=quota,
        stream_request=ask_for_usage if stream_usage else same_body,
    )


def _headers(headers: Mapping[str, str], spoken: tuple[str, ...], name: str) -> tuple[tuple[str, str], ...]:
    given = {key.lower(): value for key, value in headers.items()}
    for key, value in given.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", key) or not value.isascii() or not value.isprintable():
            raise ConfigurationError(
                f"header {key!r} of provider {name!r} cannot be sent", field="headers", provider=name
            )
    if "anthropic_messages" in spoken:
        given.setdefault("anthropic-version", "2023-06-01")
    return tuple(given.items())


def _profile(
    name: str,
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"],
    stream_usage: bool,  # noqa: FBT001 - bound by partial above, never called by position elsewhere
    model: str,
    facts: ModelFacts | None,
) -> Profile:
    assumed = Profile(
        provider=name,
        model=model,
        max_tokens_field=max_tokens_field,
        stream_usage=stream_usage,
        done_optional=True,
        tool_media=False,
    )
    return with_facts(assumed, facts)

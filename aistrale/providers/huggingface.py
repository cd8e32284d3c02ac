"""Hugging Face Inference Providers: one router in front of many backends.

A model is written `org/name`, or `org/name:backend` to choose who serves it; prices and limits are the
backend's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aistrale.dialects.base import Profile
from aistrale.errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
    OverloadedError,
    ServerError,
)
from aistrale.providers.base import Provider, ask_for_usage, with_facts
from aistrale.providers.verdict import classify as common_classify
from aistrale.providers.wordings import INFERENCE_SERVERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.errors import APIError
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import ErrorInfo

# `error_type` of Text Generation Inference, and the words of vLLM, which many backends run.
CODES: dict[tuple[int | None, str], type[APIError]] = {
    (None, "validation"): InvalidRequestError,
    (None, "overloaded"): OverloadedError,
    (None, "generation"): ServerError,
    (None, "incomplete_generation"): ServerError,
    (None, "model_not_supported"): ModelNotFoundError,
    (None, "model_not_found"): ModelNotFoundError,
    (None, "NotFoundError"): ModelNotFoundError,
    (None, "BadRequestError"): InvalidRequestError,
}

_TOKEN_LIMIT = 4096


def classify(info: ErrorInfo) -> type[APIError]:
    """Status first; where a backend says nothing else, the `error_type` of the body.

    A model that is being loaded is told by the time that this takes.
    """
    body = info.body if type(info.body) is dict else {}
    if info.status == 503 and type(body.get("estimated_time")) in {int, float}:
        return ModelLoadingError
    error_type = body.get("error_type")
    if type(error_type) is str and (info.status is None or info.status in {200, 424, 429, 500}):
        own = CODES.get((None, error_type))
        if own is not None:
            return own
    return common_classify(info, codes=CODES, wordings=INFERENCE_SERVERS)


def profile(model: str, facts: ModelFacts | None) -> Profile:
    """What a model behind the router can take; what differs between backends is left to them."""
    assumed = Profile(
        provider="huggingface",
        model=model,
        max_tokens_field="max_tokens",
        thinking="none",
        media=frozenset({"image"}),
        tool_media=False,
        done_optional=True,
        unsupported=frozenset({"parallel_tool_calls", "cache_key", "service_tier", "user", "metadata"}),
    )
    return with_facts(assumed, facts)


def model_path(model: str) -> str:
    """The model in the path of feature extraction, which only the backend `hf-inference` serves there.

    Raises:
        ConfigurationError: Another backend was chosen.
    """
    name, _, backend = model.partition(":")
    if backend not in {"", "hf-inference"}:
        raise ConfigurationError(
            f"Embeddings through the backend {backend!r} are not served by the router",
            field="model",
            provider="huggingface",
            hint=f"Leave the backend out ({name}), or reach it directly with openai_compatible().",
        )
    return name


def saved_token(environ: Mapping[str, str]) -> str | None:
    """The token that `hf auth login` saved, or None.

    The file is HF_TOKEN_PATH, else `token` in HF_HOME, else in the Hugging Face folder of the user's cache,
    as in huggingface_hub's environment variables. A file that cannot be read counts as none: the error is
    then the missing key, which names what to set.
    """
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    path = environ.get("HF_TOKEN_PATH") or f"{home}/token"
    try:
        with Path(os.path.expandvars(path)).expanduser().open(encoding="utf-8") as file:
            token = file.read(_TOKEN_LIMIT).strip()
    except (OSError, ValueError, RuntimeError):
        return None
    return token or None


PROVIDER = Provider(
    name="huggingface",
    dialects=("openai_chat",),
    paths={
        "openai_chat": "/v1/chat/completions",
        "embed": "/../hf-inference/models/{model}/pipeline/feature-extraction",
    },
    base_url="https://router.huggingface.co",
    embed_dialect="hf_features",
    env_keys=("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    env_base_url="HF_INFERENCE_ENDPOINT",
    key_hint="Tokens: https://huggingface.co/settings/tokens; or log in with `hf auth login`.",
    saved_key=saved_token,
    model_path=model_path,
    profile=profile,
    classify=classify,
    stream_request=ask_for_usage,
)

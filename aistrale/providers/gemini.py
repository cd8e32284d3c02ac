"""Google Gemini: the Gemini API with an API key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from aistrale.dialects.base import JsonRules, Profile
from aistrale.errors import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from aistrale.providers.base import Provider, header_key, with_facts
from aistrale.providers.verdict import classify as common_classify
from aistrale.providers.verdict import error_object
from aistrale.providers.wordings import Quota, Wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.errors import APIError
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import JSON, ErrorInfo

# google.rpc.Code names, which the API gives as `error.status`; used where no HTTP status came, in a stream.
_BY_GRPC: dict[str, type[APIError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "FAILED_PRECONDITION": InvalidRequestError,
    "OUT_OF_RANGE": InvalidRequestError,
    "UNAUTHENTICATED": AuthenticationError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "NOT_FOUND": ModelNotFoundError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "UNAVAILABLE": OverloadedError,
    "INTERNAL": ServerError,
    "DEADLINE_EXCEEDED": ServerError,
    "UNKNOWN": ServerError,
    "ABORTED": ServerError,
}

# google.rpc.ErrorInfo reasons.
_BY_REASON: dict[str, type[APIError]] = {
    "API_KEY_INVALID": AuthenticationError,
    "API_KEY_EXPIRED": AuthenticationError,
    "ACCESS_TOKEN_EXPIRED": AuthenticationError,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": AuthenticationError,
    "CREDENTIALS_MISSING": AuthenticationError,
    "API_KEY_SERVICE_BLOCKED": PermissionDeniedError,
    "API_KEY_HTTP_REFERRER_BLOCKED": PermissionDeniedError,
    "API_KEY_IP_ADDRESS_BLOCKED": PermissionDeniedError,
    "SERVICE_DISABLED": PermissionDeniedError,
    "CONSUMER_SUSPENDED": PermissionDeniedError,
    "BILLING_DISABLED": QuotaExceededError,
    "RATE_LIMIT_EXCEEDED": RateLimitError,
}

# A prompt that is too long is an INVALID_ARGUMENT like any other, without details: the texts of the Gemini API and of
# Vertex AI, as both send them.
WORDINGS = tuple(
    Wording(400, "INVALID_ARGUMENT", re.compile(text), ContextLengthError)
    for text in (
        r"The input token count(?: \(\d{1,12}\))? exceeds the maximum number of tokens allowed",
        r"Unable to submit request because the input token count is \d{1,12} but model only supports up to \d{1,12}",
    )
)

# "beta" is how google-genai spells it in its environment variable.
VERSIONS = {"v1": "v1", "v1beta": "v1beta", "v1alpha": "v1alpha", "beta": "v1beta"}

_LEVEL = re.compile(r"gemini-(?:[3-9]|\d\d)")
_BUDGET = re.compile(r"gemini-2\.5")


def classify(info: ErrorInfo) -> type[APIError]:
    """A wrong key comes as 400, an empty daily quota as RESOURCE_EXHAUSTED: the details tell."""
    details = error_object(info.body).get("details")
    for detail in details if type(details) is list else ():
        if type(detail) is not dict:
            continue
        reason = detail.get("reason")
        if type(reason) is str and reason in _BY_REASON:
            return _BY_REASON[reason]
        if info.status == 429 and any(_daily(detail)):
            return QuotaExceededError
    if info.status is None or info.status < 400:
        for word in (info.type, info.code):
            if word in _BY_GRPC:
                return _BY_GRPC[word]
    return common_classify(info, wordings=WORDINGS)


def quota(info: ErrorInfo) -> Quota:
    """Daily quotas are a model's own, as their names say; when they are renewed stands nowhere in the answer."""
    details = error_object(info.body).get("details")
    names = [name for detail in (details if type(details) is list else ()) for name in _daily(detail)]
    return Quota(per_model=bool(names) and all("PerModel" in name for name in names))


def _daily(detail: JSON) -> Iterator[str]:
    # A google.rpc.QuotaFailure names the quota; one per day does not come back within the delay that
    # RetryInfo gives.
    violations = detail.get("violations") if type(detail) is dict else None
    for violation in violations if type(violations) is list else ():
        name = violation.get("quotaId") if type(violation) is dict else None
        if type(name) is str and "PerDay" in name:
            yield name


def profile(model: str, facts: ModelFacts | None) -> Profile:
    """What a Gemini model can take; an unknown one is judged by the generation in its name."""
    bare = model.removeprefix("models/")
    thinking: Literal["level", "budget", "none"] = "none"
    if _LEVEL.match(bare) or bare.endswith("-latest"):
        thinking = "level"
    elif _BUDGET.match(bare):
        thinking = "budget"
    assumed = Profile(
        provider="gemini",
        model=model,
        stop=5,
        thinking=thinking,
        efforts=("minimal", "low", "medium", "high") if thinking == "level" else (),
        # Only the files of Google's own storage and public pages can be given by URL, and many refuse robots.
        media_urls=False,
        tool_media=thinking == "level",
        # Gemini API guide, "Structured outputs with tools": from Gemini 3 on.
        json=JsonRules(subset="gemini", object_root=False, beside_tools=thinking == "level"),
        unsupported=frozenset({"logit_bias", "parallel_tool_calls"}),
    )
    return with_facts(assumed, facts)


def model_path(model: str) -> str:
    """The resource name: tuned models and `models/...` stand as they are."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def _provider(version: str) -> Provider:
    return Provider(
        name="gemini",
        dialects=("gemini_generate",),
        paths={
            "gemini_generate": f"/{version}/{{model}}:generateContent",
            "gemini_generate:stream": f"/{version}/{{model}}:streamGenerateContent?alt=sse",
            "embed": f"/{version}/{{model}}:batchEmbedContents",
            "count_tokens": f"/{version}/{{model}}:countTokens",
        },
        base_url="https://generativelanguage.googleapis.com",
        embed_dialect="gemini_embed",
        count_dialect="gemini_generate",
        env_keys=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        env_base_url="GOOGLE_GEMINI_BASE_URL",
        versions=tuple(VERSIONS),
        at_version=lambda name: _provider(VERSIONS[name]),
        env_version="GOOGLE_GENAI_API_VERSION",
        key_hint="Keys: https://aistudio.google.com/apikey.",
        auth_headers=header_key("x-goog-api-key"),
        model_path=model_path,
        profile=profile,
        classify=classify,
        quota=quota,
    )


PROVIDER = _provider("v1")

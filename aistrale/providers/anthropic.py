"""Anthropic: the Messages API."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
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
from aistrale.providers.base import Provider, with_facts
from aistrale.providers.verdict import classify as common_classify
from aistrale.providers.verdict import error_object
from aistrale.providers.wordings import Quota, Wording

if TYPE_CHECKING:
    from aistrale.errors import APIError
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import ErrorInfo

# The version of 2026-10-21 takes the key as a bearer token and refuses temperature, top_p and top_k at any
# value.
VERSION = "2026-10-21"
OLD_VERSION = "2023-06-01"

# Anthropic API reference, "Errors": types, and the finer `details.error_code`.
CODES: dict[tuple[int | None, str], type[APIError]] = {
    (None, "authentication_error"): AuthenticationError,
    (None, "billing_error"): QuotaExceededError,
    (None, "permission_error"): PermissionDeniedError,
    (None, "not_found_error"): ModelNotFoundError,
    (None, "request_too_large"): InvalidRequestError,
    (None, "rate_limit_error"): RateLimitError,
    (None, "api_error"): ServerError,
    (None, "timeout_error"): ServerError,
    (None, "gateway_timeout_error"): ServerError,
    (None, "overloaded_error"): OverloadedError,
    (None, "contract_spend_limit_reached"): QuotaExceededError,
    (None, "enforced_spend_limit_reached"): QuotaExceededError,
    (None, "linked_organization_spend_limit_reached"): QuotaExceededError,
    (None, "linked_organization_billing_unavailable"): QuotaExceededError,
    (None, "ramp_limit_exceeded"): RateLimitError,
    (None, "organization_on_hold"): PermissionDeniedError,
    (None, "user_profile_not_billable"): PermissionDeniedError,
    (None, "claude_code_key_creator_not_member"): PermissionDeniedError,
    (503, "cmek_key_unreachable"): ServerError,
    (503, "cmek_context_unavailable"): ServerError,
}

# A limit that the customer has set is a 400 of the most general type; its message begins so and says when access
# resumes (API reference, "Errors" and "Rate limits").
SPEND_LIMIT = Wording(
    400,
    "invalid_request_error",
    re.compile(
        r"You have reached your specified (?:workspace )?API usage limits"
        r"(?:\. You will regain access on (?P<day>\d{4}-\d\d-\d\d)(?: at (?P<time>\d\d:\d\d) UTC)?)?"
    ),
    QuotaExceededError,
)
WORDINGS = (
    SPEND_LIMIT,
    # The text as the API sends it, when a prepaid account is empty.
    Wording(
        400,
        "invalid_request_error",
        re.compile(r"Your credit balance is too low to access the (?:Anthropic|Claude) API"),
        QuotaExceededError,
    ),
    # Guide "Context windows": a prompt beyond the window, and one that leaves no room for max_tokens.
    Wording(
        400, "invalid_request_error", re.compile(r"prompt is too long: \d{1,12} tokens? > \d{1,12}"), ContextLengthError
    ),
    Wording(
        400,
        "invalid_request_error",
        re.compile(r"input length and `max_tokens` exceed context limit: \d{1,12} \+ \d{1,12} > \d{1,12}"),
        ContextLengthError,
    ),
)

# Claude 4.7 and later, 5 and later, and every name without a number take adaptive thinking only; 4.5 and
# earlier take a budget only; 4.6 takes both.
_BUDGET = re.compile(r"claude-(?:[123][-.]|instant|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:-\d{8}|-latest|$))")
_NEVER_THINKS = re.compile(r"claude-(?:instant|[12][-.]|3-(?:5-|haiku|opus|sonnet))")
_OLD_LIMITS = re.compile(r"claude-(?:instant|[123][-.])")


def classify(info: ErrorInfo) -> type[APIError]:
    """The finer error code first, then the type, then the status."""
    details = error_object(info.body).get("details")
    fine = details.get("error_code") if type(details) is dict else None
    if type(fine) is str:
        own = CODES.get((info.status, fine)) or CODES.get((None, fine))
        if own is not None:
            return own
        if info.status == 404:
            # What was not found is a file, a thread or an environment that the request names, not the model.
            return InvalidRequestError
    return common_classify(info, codes=CODES, wordings=WORDINGS)


def quota(info: ErrorInfo) -> Quota:
    """The date that the message about a spend limit gives; midnight UTC where it gives no time."""
    match = SPEND_LIMIT.match(info)
    if match is None or match["day"] is None:
        return Quota()
    try:
        return Quota(datetime.fromisoformat(f"{match['day']}T{match['time'] or '00:00'}").replace(tzinfo=UTC))
    except ValueError:
        return Quota()


# Guides: Structured outputs (limitations); Extended thinking (a forced tool call excludes it).
JSON = JsonRules(subset="anthropic", json_mode=False, inexpressible="tool", tool_while_thinking=False)


def profile(model: str, facts: ModelFacts | None, *, version: str = VERSION) -> Profile:
    """What a Claude model can take; an unknown one is judged by the generation in its name."""
    thinking: Literal["budget", "adaptive"] = "budget" if _BUDGET.match(model) else "adaptive"
    assumed = Profile(
        provider="anthropic",
        model=model,
        max_tokens_field="max_tokens",
        # Every request must name a limit; without facts one that each model of the generation takes.
        max_output=4096 if _OLD_LIMITS.match(model) else 32_000,
        thinking="none" if _NEVER_THINKS.match(model) else thinking,
        structured="tool" if _BUDGET.match(model) else "schema",
        json=JSON,
        media=frozenset({"image", "document"}),
        # Guide "Prefill Claude's response": from 4.6 on an assistant message at the end is refused with status 400.
        prefill=bool(_BUDGET.match(model)),
        unsupported=frozenset({"seed", "n", "logprobs", "logit_bias", "presence_penalty", "frequency_penalty"}),
    )
    known = with_facts(assumed, facts)
    if version == OLD_VERSION:
        return known
    # Since 2026-10-21 no model takes sampling parameters, also those that did.
    return replace(known, sampling=False, unsupported=known.unsupported | {"top_k"})


def _provider(version: str) -> Provider:
    return Provider(
        name="anthropic",
        dialects=("anthropic_messages",),
        paths={"anthropic_messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"},
        base_url="https://api.anthropic.com",
        count_dialect="anthropic_messages",
        env_keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        env_base_url="ANTHROPIC_BASE_URL",
        versions=(VERSION, OLD_VERSION),
        at_version=_provider,
        key_hint="Keys: https://platform.claude.com/settings/keys.",
        headers=(("anthropic-version", version),),
        profile=partial(profile, version=version),
        classify=classify,
        quota=quota,
    )


PROVIDER = _provider(VERSION)

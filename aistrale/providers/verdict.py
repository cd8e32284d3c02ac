"""What a provider's error means: from status, code and kind to a class of the error tree.

The status is asked first, because it is the one thing that every provider means alike; then the code or type,
against a table of what the provider documents; the kind, in which a dialect sums up the body, decides where
there was no status. Messages are not searched, but for the few beginnings in a provider's table of `Wording`s, where
nothing else tells one error from another. What nobody documented stays an APIError.
"""

from __future__ import annotations

import re
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from aistrale.dialects.headers import plausible_wait
from aistrale.errors import (
    APIError,
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
)
from aistrale.providers.secret import Secret, key_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aistrale.providers.base import Provider
    from aistrale.providers.wordings import Wording
    from aistrale.types import JSON, ErrorInfo, JSONObject

BY_STATUS: Mapping[int, type[APIError]] = MappingProxyType(
    {
        400: InvalidRequestError,
        401: AuthenticationError,
        402: QuotaExceededError,
        403: PermissionDeniedError,
        404: ModelNotFoundError,
        405: InvalidRequestError,
        # A timeout or a lock conflict on the provider's side, or a replay that it will not risk: the official
        # SDKs of OpenAI, Anthropic and Groq send such requests again.
        408: ServerError,
        409: ServerError,
        425: ServerError,
        411: InvalidRequestError,
        412: InvalidRequestError,
        413: InvalidRequestError,
        414: InvalidRequestError,
        415: InvalidRequestError,
        422: InvalidRequestError,
        # Failed Dependency: a model or a tool behind the API broke (Groq, Text Generation Inference).
        424: ServerError,
        429: RateLimitError,
        431: InvalidRequestError,
        451: PermissionDeniedError,
        503: OverloadedError,
        529: OverloadedError,
    }
)

BY_KIND: Mapping[str, type[APIError]] = MappingProxyType(
    {
        "authentication": AuthenticationError,
        "permission": PermissionDeniedError,
        "rate_limit": RateLimitError,
        "quota": QuotaExceededError,
        "invalid_request": InvalidRequestError,
        "context_length": ContextLengthError,
        "content_filter": ContentFilterError,
        "model_not_found": ModelNotFoundError,
        "overloaded": OverloadedError,
        "server": ServerError,
    }
)

# What a kind may say beyond a status: a finer class of the same sort, never the contrary.
_REFINES: Mapping[type[APIError], frozenset[str]] = MappingProxyType(
    {
        InvalidRequestError: frozenset(
            {"authentication", "permission", "quota", "context_length", "content_filter", "model_not_found"}
        ),
        PermissionDeniedError: frozenset({"authentication", "quota", "content_filter", "model_not_found"}),
        ModelNotFoundError: frozenset({"invalid_request", "permission"}),
        RateLimitError: frozenset({"quota", "overloaded"}),
        ServerError: frozenset({"overloaded"}),
    }
)

# Words of OpenAI's that mean the same wherever they stand; gateways pass them on in other providers' formats too.
_EVERYWHERE: Mapping[str, type[APIError]] = MappingProxyType(
    {"insufficient_quota": QuotaExceededError, "context_length_exceeded": ContextLengthError}
)

# Statuses that say only roughly what happened; with every other one the status decides.
_OPEN = frozenset({400, 403, 404, 409, 422, 424, 429, 500})

HINTS: Mapping[type[APIError], str] = MappingProxyType(
    {
        PermissionDeniedError: "Check what the key, its project and its region may use.",
        RateLimitError: "Wait, lower the rate, or add a second target to the route.",
        QuotaExceededError: "Add credit or raise the limit, or add a second target to the route.",
        InvalidRequestError: "Correct the request; sending it again unchanged cannot succeed.",
        ContextLengthError: "Shorten the prompt, or choose a model with a larger context window.",
        ContentFilterError: "The provider's safety system refused; change the content or the provider.",
        ModelNotFoundError: "Check the name, and that the key may use it; `aistrale models` lists known ones.",
        OverloadedError: "Try again later, or add a second target to the route.",
        ResponseError: "Try again, or add a second target to the route.",
        ServerError: "Try again later; quote the request id to the provider if it stays.",
    }
)

MESSAGE_LIMIT = 300

_KEY_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|hf|xai|ghp|nvapi|csk|fw|tgp|pplx)[-_][A-Za-z0-9_\-]{8,}"
    r"|AIza[A-Za-z0-9_\-]{20,}"
    r"|AQ\.[A-Za-z0-9_\-]{20,}"
    r"|ya29\.[A-Za-z0-9_\-.]{10,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"
    # A provider's own masking still shows both ends. Bounded, because the text comes from outside: an open
    # repetition before the stars would take quadratic time.
    r"|[^\s'\"<>*]{0,64}\*{3,}[^\s'\"<>]{0,64}"
    r"|(?<=[Bb]earer )[^\s'\",]{4,}"
    r"|(?<=[?&]key=)[^\s&'\"]+"
    r"|(?<=[Kk]ey provided: )[^\s'\"]+"
)
_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def by_table(
    codes: Mapping[tuple[int | None, str], type[APIError]],
    statuses: Mapping[int, type[APIError]] = MappingProxyType({}),
    wordings: tuple[Wording, ...] = (),
) -> Callable[[ErrorInfo], type[APIError]]:
    """A classifier that reads a provider's own tables before the common one (see classify)."""
    return partial(classify, codes=codes, statuses=statuses, wordings=wordings)


def classify(
    info: ErrorInfo,
    *,
    codes: Mapping[tuple[int | None, str], type[APIError]] = MappingProxyType({}),
    statuses: Mapping[int, type[APIError]] = MappingProxyType({}),
    wordings: tuple[Wording, ...] = (),
) -> type[APIError]:
    """The class of an error.

    Args:
        info: The decoded error.
        codes: A provider's codes and types that mean more than their status: (status, word) for that status
            alone, (None, word) wherever the status leaves the question open.
        statuses: Statuses that mean something else at this provider.
        wordings: Messages that mean more than their status and type; asked first.

    Returns:
        A class of the tree; APIError itself for what nobody documented.
    """
    for wording in wordings:
        if wording.match(info) is not None:
            return wording.means
    # In a stream that began with 200 only the body speaks.
    status = None if info.status is not None and info.status < 400 else info.status
    words = [word for word in (info.code, info.type) if word is not None]
    for word in words:
        if (status, word) in codes:
            return codes[status, word]
    if status is None or status in _OPEN:
        for word in words:
            own = codes.get((None, word)) or _EVERYWHERE.get(word)
            if own is not None:
                return own
    if status is None:
        return BY_KIND.get(info.kind, APIError)
    by_status = statuses.get(status) or BY_STATUS.get(status) or (ServerError if status >= 500 else APIError)
    if by_status is APIError:
        return BY_KIND.get(info.kind, APIError)
    return BY_KIND[info.kind] if info.kind in _REFINES.get(by_status, ()) else by_status


def scrub(text: str, secrets: Iterable[Secret | str] = ()) -> str:
    """Text of a provider, fit to be shown: keys removed, one line, at most 300 characters.

    Args:
        text: What the provider said.
        secrets: Keys that must not appear, whatever they look like.
    """
    for secret in secrets:
        value = secret.reveal() if isinstance(secret, Secret) else secret
        if len(value) >= 4:
            text = text.replace(value, "[key]")
    # A key never needs more than its own length of context; what lies far behind the cut is not searched.
    text = _SPACE.sub(" ", text[: 20 * MESSAGE_LIMIT]).strip()
    text = _KEY_SHAPES.sub("[key]", text)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1].rstrip() + "…"


def api_error(
    info: ErrorInfo,
    provider: Provider,
    *,
    target: str | None = None,
    attempt: int | None = None,
    secrets: Iterable[Secret | str] = (),
    now: float | None = None,
) -> APIError:
    """The exception for an error body.

    Args:
        info: The decoded error.
        provider: Who answered; its table judges.
        target: Which target, written `provider/model`.
        attempt: Number of the attempt within the call, from 1.
        secrets: The keys in use; they and everything shaped like a key are removed from the message.
        now: Unix seconds; turn a date on which a quota is renewed into a wait.

    Returns:
        The exception, to be raised by the caller.
    """
    keys = list(secrets)
    error_class = provider.classify(info)
    said = scrub(info.message, keys)
    message = f"{provider.name} answered: {said}" if said else f"{provider.name} answered with an error and no message"
    word = info.code or info.type
    error = error_class(
        message,
        status=info.status,
        provider=provider.name,
        target=target,
        attempt=attempt,
        request_id=scrub(info.request_id, keys) if info.request_id else None,
        retry_after=plausible_wait(info.retry_after),
        code=scrub(word, keys) if word else None,
        param=scrub(info.param, keys) if info.param else None,
        hint=_hint(error_class, provider),
    )
    error.should_retry = info.should_retry
    if isinstance(error, QuotaExceededError):
        quota = provider.quota(info)
        error.per_model = quota.per_model
        error.resets_at = quota.resets_at
        if quota.resets_at is not None and now is not None:
            error.retry_after = plausible_wait(max(0.0, quota.resets_at.timestamp() - now))
    return error


def _hint(error_class: type[APIError], provider: Provider) -> str | None:
    if issubclass(error_class, AuthenticationError):
        return key_hint(provider)
    for known in error_class.__mro__:
        if known in HINTS:
            return HINTS[known]
    return None


def error_object(body: JSON) -> JSONObject:
    """The error object of a body, whatever its wrapping; empty when there is none."""
    if type(body) is list and body:
        body = body[0]
    if type(body) is not dict:
        return {}
    inner = body.get("error")
    return inner if type(inner) is dict else body

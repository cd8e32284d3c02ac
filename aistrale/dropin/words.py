"""What went wrong, as the calling SDK would hear it from its provider, so that its own exceptions are raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.errors import (
    AccessDenied,
    AistraleError,
    AllTargetsFailed,
    APIError,
    AttemptTimeout,
    AuthenticationError,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceeded,
    DLPViolation,
    InvalidRequestError,
    ModelNotFoundError,
    NetworkError,
    OverloadedError,
    PermissionDeniedError,
    PolicyError,
    QueueFull,
    QueueTimeout,
    QuotaExceededError,
    RateLimitError,
    RedactionError,
    ResidencyError,
    ResponseError,
    StreamInterrupted,
)
from aistrale.types import ErrorInfo

if TYPE_CHECKING:
    from aistrale.types import ErrorKind

# Class, kind, status where the error has none of its own, and our own code. The first that fits counts.
_WORDS: Final[tuple[tuple[type[AistraleError], ErrorKind, int, str | None], ...]] = (
    (BudgetExceeded, "quota", 402, "aistrale_budget_exceeded"),
    (DLPViolation, "permission", 403, "aistrale_dlp_violation"),
    (RedactionError, "permission", 403, "aistrale_redaction"),
    (ResidencyError, "permission", 403, "aistrale_residency"),
    (AccessDenied, "permission", 403, "aistrale_access_denied"),
    (CircuitOpen, "overloaded", 503, "aistrale_circuit_open"),
    (QueueFull, "overloaded", 503, "aistrale_queue_full"),
    (QueueTimeout, "overloaded", 503, "aistrale_queue_timeout"),
    (PolicyError, "permission", 403, "aistrale_policy"),
    (ConfigurationError, "invalid_request", 400, "aistrale_configuration"),
    (AuthenticationError, "authentication", 401, None),
    (PermissionDeniedError, "permission", 403, None),
    (QuotaExceededError, "quota", 429, None),
    (RateLimitError, "rate_limit", 429, None),
    (ContextLengthError, "context_length", 400, None),
    (ContentFilterError, "content_filter", 400, None),
    (ModelNotFoundError, "model_not_found", 404, None),
    (InvalidRequestError, "invalid_request", 400, None),
    (OverloadedError, "overloaded", 503, None),
    (ResponseError, "server", 502, None),
    (DeadlineExceeded, "server", 504, "aistrale_deadline_exceeded"),
    (AttemptTimeout, "server", 504, "aistrale_timeout"),
    (StreamInterrupted, "server", 502, "aistrale_stream_interrupted"),
    (NetworkError, "server", 502, "aistrale_network"),
)


def told(error: AistraleError) -> ErrorInfo:
    """An error as a provider would report it; `encode_error` of the caller's dialect words it."""
    error = telling(error)
    kind: ErrorKind = "server"
    status, code = 500, None
    for cls, kind_, status_, code_ in _WORDS:
        if isinstance(error, cls):
            kind, status, code = kind_, status_, code_
            break
    retry_after = getattr(error, "retry_after", None)
    message = str(error)
    if isinstance(error, APIError):
        own = error.status if error.status is not None and error.status >= 400 else None
        status, code = own or status, code or error.code
        return ErrorInfo(status, message, code=code, param=error.param, retry_after=retry_after, kind=kind)
    return ErrorInfo(status, message, code=code, retry_after=retry_after, kind=kind)


def telling(error: AistraleError) -> AistraleError:
    """The error that says most of why a call failed: of several the first that a provider answered with.

    The first target is the one that the caller chose; what the stand-ins had to say is in the ledger. Of a stream that
    a policy of ours has cut: the policy's reason.
    """
    if isinstance(error, StreamInterrupted) and isinstance(error.__cause__, PolicyError):
        return error.__cause__
    if not isinstance(error, AllTargetsFailed):
        return error
    failures = [one for one in error.exceptions if isinstance(one, AistraleError)]
    answered = [one for one in failures if isinstance(one, APIError) and one.status is not None and one.status >= 400]
    return (answered or failures or [error])[0]

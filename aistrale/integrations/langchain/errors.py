"""Our errors as LangChain's standard ones: the same object, which is then of both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from langchain_core import exceptions as standard

from aistrale import errors

if TYPE_CHECKING:
    from aistrale.errors import AistraleError

# The first that fits; what is missing here is not the model's or its provider's doing.
_STANDARD: Final[tuple[tuple[type[AistraleError], str], ...]] = (
    (errors.ContextLengthError, "ContextOverflowError"),
    (errors.InvalidRequestError, "ModelInvalidRequestError"),
    (errors.ContentFilterError, "ModelInvalidRequestError"),
    (errors.AuthenticationError, "ModelAuthenticationError"),
    (errors.PermissionDeniedError, "ModelPermissionDeniedError"),
    (errors.AccessDenied, "ModelPermissionDeniedError"),
    (errors.ModelNotFoundError, "ModelNotFoundError"),
    (errors.QuotaExceededError, "ModelRateLimitError"),
    (errors.RateLimitError, "ModelRateLimitError"),
    (errors.QueueFull, "ModelRateLimitError"),
    (errors.QueueTimeout, "ModelRateLimitError"),
    (errors.APIError, "ModelAPIError"),
    (errors.CircuitOpen, "ModelAPIError"),
    (errors.AttemptTimeout, "ModelTimeoutError"),
    (errors.DeadlineExceeded, "ModelTimeoutError"),
    (errors.NetworkError, "ModelConnectionError"),
    (errors.AllTargetsFailed, "ModelAPIError"),
    (errors.PolicyError, "ModelError"),
)
# Retryable by LangChain's own table, though waiting a moment does not help.
_LASTING: Final = (errors.QuotaExceededError, errors.TLSError)
_made: dict[type[AistraleError], type[AistraleError] | None] = {}


def standardise(error: AistraleError, call_id: str | None = None) -> AistraleError:
    """Make an error one of LangChain's standard ones besides what it is; traceback, cause and notes stay.

    Args:
        error: Changed in place.
        call_id: Our id of the call that it ended; callback handlers read it.
    """
    own = type(error)
    if own not in _made:
        _made[own] = _both(own)
    kind = _made[own]
    if kind is not None:
        # The same object: a copy would lose the traceback, and an `except` of the caller may hold on to this one.
        error.__class__ = kind
    error.call_id = call_id  # type: ignore[attr-defined]  # read by our callback handler only
    return error


def _both(kind: type[AistraleError]) -> type[AistraleError] | None:
    if hasattr(kind, "is_retryable"):
        return None
    name = next((name for ours, name in _STANDARD if issubclass(kind, ours)), None)
    base = None if name is None else getattr(standard, name, getattr(standard, "ModelError", None))
    # Releases before the standard errors, and errors that are nobody's but ours.
    if base is None:
        return None
    members: dict[str, object] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce__": _reduce,
    }
    if issubclass(kind, _LASTING):
        members["is_retryable"] = False
    return cast("type[AistraleError]", type(kind.__name__, (kind, base), members))


def _reduce(error: AistraleError) -> tuple[object, ...]:
    # Right behind the class that was made here stands the one that it was made of.
    return _rebuilt, (type(error).__mro__[1], error.args, error.__dict__)


def _rebuilt(kind: type[AistraleError], arguments: tuple[object, ...], state: dict[str, object]) -> AistraleError:
    error = kind(*arguments)  # type: ignore[arg-type]  # as it was made
    error.__dict__.update(state)
    return standardise(error, cast("str | None", state.get("call_id")))

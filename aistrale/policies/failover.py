"""Failover: the next target of the route, at once, when one fails in a way that another may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.errors import (
    AistraleError,
    AllTargetsFailed,
    APIError,
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceeded,
    InvalidRequestError,
    ModelNotFoundError,
    NetworkError,
    PermissionDeniedError,
    PolicyError,
    TLSError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply

# A bad key must not hide behind a fallback, a bad request fails everywhere, and routing round a refusal of the
# provider's safety system is a decision for a person.
_FINAL = (AuthenticationError, PermissionDeniedError, ModelNotFoundError, ContentFilterError)


class Failover:
    """Tries the call's targets in order.

    An idle target is tried at once, never after waiting out another's Retry-After.
    """

    def describe(self) -> str:
        """One line."""
        return "next target on outage, throttling, quota or an unusable answer; raises bad keys and bad requests"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Give the first reply that begins.

        Raises:
            AllTargetsFailed: Every target failed; holds one error per target tried.
        """
        targets = call.targets
        if len(targets) == 1:
            return await call_next(call)
        errors: list[Exception] = []
        position = 0
        while position < len(targets):
            call.target = targets[position]
            call.others = targets[position + 1 :]
            try:
                return await call_next(call)
            except AistraleError as error:
                following = eligible(error, call.target, targets[position + 1 :])
                if following is None:
                    raise
                errors.append(error)
                position = len(targets) if not following else targets.index(following[0], position + 1)
        raise AllTargetsFailed(f"all {len(errors)} targets tried have failed", errors)


def eligible(error: AistraleError, failed: Target, others: Sequence[Target]) -> list[Target] | None:
    """Which of the other targets may help; None when the error is the caller's to see at once."""
    if isinstance(error, ContextLengthError) and error.status is not None:
        larger = [target for target in others if _window(target) > _window(failed)]
        return larger or None
    if isinstance(error, InvalidRequestError):
        # Refused by us before sending: this target cannot take the request, another may.
        return list(others) if error.status is None else None
    if isinstance(error, (*_FINAL, TLSError, DeadlineExceeded)):
        return None
    if isinstance(error, (APIError, NetworkError, PolicyError)):
        return list(others)
    return None


def _window(target: Target) -> int:
    return (target.facts.context or 0) if target.facts is not None else 0

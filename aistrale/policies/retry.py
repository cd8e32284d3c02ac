"""Retry: further attempts on the same target, inside the deadline, before anything was delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aistrale.errors import (
    AistraleError,
    APIError,
    NetworkError,
    OutputValidationError,
    OverloadedError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterrupted,
    TLSError,
)

if TYPE_CHECKING:
    import random

    from tenacity import RetryCallState
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base

    from aistrale.core.call import Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply

# Statuses that say "try again" whatever the class: request timeout, conflict, too early (RFC 9110, RFC 8470).
_RETRYABLE_STATUS = frozenset({408, 409, 425})
# Least time that an attempt is given; a retry that would leave less is not worth starting.
_MIN_ATTEMPT = 0.05
_MAX_EXPONENT = 32
# Longest announced wait that is slept, in seconds; a longer one is the caller's to know, also without a deadline.
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """When to try again.

    Args:
        attempts: Most attempts on one target; at least 1.
        base: Upper bound of the first wait, in seconds; doubles with every attempt.
        cap: Upper bound of every wait, in seconds. Jitter comes after the cap, so that waits at the cap differ too.
        wait: A tenacity wait strategy instead of base and cap.
        stop: A tenacity stop strategy instead of attempts.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 8.0
    wait: wait_base | None = None
    stop: stop_base | None = None

    def stops(self, made: int, call: Call, error: BaseException) -> bool:
        """Whether `made` attempts are enough."""
        if self.stop is not None:
            return bool(self.stop(_state(made, call, error)))
        return made >= self.attempts

    def delay(self, made: int, call: Call, error: AistraleError) -> float:
        """Seconds to wait before the next attempt: full jitter, or what the provider announced plus jitter."""
        announced = getattr(error, "retry_after", None)
        if announced is not None:
            return spread(announced, call.runtime.random)
        if self.wait is not None:
            return float(self.wait(_state(made, call, error)))
        # Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter".
        return call.runtime.random.uniform(0.0, min(self.cap, self.base * 2.0 ** min(made - 1, _MAX_EXPONENT)))


class Retry:
    """Tries a target again when its failure looks passing.

    While another target of the route is untried, nothing waits: the error goes up to failover at once.

    Args:
        backoff: When to stop and how long to wait.
    """

    def __init__(self, backoff: Backoff | None = None) -> None:
        self.backoff = backoff or Backoff()

    def describe(self) -> str:
        """One line."""
        own = self.backoff
        stop = f"up to {own.attempts} attempts" if own.stop is None else type(own.stop).__name__
        wait = f"full jitter {own.base} s to {own.cap} s" if own.wait is None else type(own.wait).__name__
        return f"{stop}, {wait}, Retry-After honoured, inside the deadline"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Attempt until one succeeds, the failure is lasting, or time or attempts are used up."""
        made = 0
        while True:
            made += 1
            try:
                return await call_next(call)
            except AistraleError as error:
                if not retryable(error) or call.untried > 0 or self.backoff.stops(made, call, error):
                    raise
                delay = self.backoff.delay(made, call, error)
                if not self._worth_waiting(delay, call, error):
                    raise
            await call.runtime.sleep(delay)

    @staticmethod
    def _worth_waiting(delay: float, call: Call, error: AistraleError) -> bool:
        remaining = call.remaining()
        fits = remaining is None or remaining >= delay + _MIN_ATTEMPT
        return fits and (getattr(error, "retry_after", None) or 0.0) <= _PATIENCE


def retryable(error: AistraleError) -> bool:
    """Whether the same request may succeed at the same target a little later."""
    if isinstance(error, APIError):
        if error.should_retry is not None:
            return error.should_retry
        if isinstance(error, OutputValidationError):
            return False
        passing = (RateLimitError, OverloadedError, ServerError, ResponseError)
        return isinstance(error, passing) or error.status in _RETRYABLE_STATUS
    return isinstance(error, NetworkError) and not isinstance(error, (TLSError, StreamInterrupted))


def spread(announced: float, rng: random.Random) -> float:
    """An announced wait, never shortened, plus jitter so that all who were told the same do not return at once."""
    return announced + rng.uniform(0.0, max(min(1.0, announced), 0.3 * announced))


def _state(made: int, call: Call, error: BaseException) -> RetryCallState:
    from tenacity import Future, RetryCallState

    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]  # no strategy reads it
    state.attempt_number = made
    state.start_time = call.started
    state.outcome_timestamp = call.runtime.now()
    state.outcome = Future(made)
    state.outcome.set_exception(error)
    return state

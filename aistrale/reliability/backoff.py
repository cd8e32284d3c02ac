"""How often a target is tried, and how long it is left alone in between."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

    from tenacity import RetryCallState
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base

    from aistrale.core.call import Call
    from aistrale.errors import AistraleError

# Least time that an attempt is given; a retry that would leave less is not worth starting.
_MIN_ATTEMPT: Final = 0.05
# Longest announced wait that is slept, in seconds; a longer one is the caller's to know, also without a deadline.
_PATIENCE: Final = 600.0
_MAX_EXPONENT: Final = 32


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
        """Seconds to wait before the next attempt: full jitter, or what the provider announced plus jitter.

        Args:
            made: How many attempts there were, from 1.
            call: Has the source of the jitter, and the deadline that bounds it.
            error: Why the last one failed.
        """
        announced = getattr(error, "retry_after", None)
        if announced is not None:
            return spread(announced, call.runtime.random, room(call))
        if self.wait is not None:
            # In this order, so that what is no number stays none and fits nowhere.
            return max(float(self.wait(_state(made, call, error))), 0.0)
        # Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter".
        return call.runtime.random.uniform(0.0, min(self.cap, self.base * 2.0 ** min(made - 1, _MAX_EXPONENT)))

    def fits(self, call: Call, delay: float, error: BaseException) -> bool:
        """Whether an attempt after that wait is worth it: there is time for it, and the provider did not ask for ages.

        Args:
            call: Its deadline counts, and its attempt's share of the time.
            delay: Seconds.
            error: Why the last attempt failed; an announced wait of more than ten minutes is not waited for.
        """
        left = room(call)
        patient = (getattr(error, "retry_after", None) or 0.0) <= _PATIENCE
        return patient and isfinite(delay) and (left is None or delay <= left)


def spread(announced: float, rng: random.Random, room: float | None = None) -> float:
    """An announced wait, never shortened, plus jitter so that all who were told the same do not return at once.

    Args:
        announced: Seconds.
        rng: Source of the jitter, of up to 30 % and at least a second.
        room: Seconds that are left; jitter does not go beyond them where the wait itself does not.
    """
    width = max(1.0, 0.3 * announced)
    if room is not None and room >= announced:
        width = min(width, room - announced)
    return announced + rng.uniform(0.0, width)


def room(call: Call) -> float | None:
    """Seconds after which an attempt can still begin; None for no limit."""
    instants = [instant for instant in (call.deadline, call.share_until) if instant is not None]
    return min(instants) - call.runtime.now() - _MIN_ATTEMPT if instants else None


def _state(made: int, call: Call, error: BaseException) -> RetryCallState:
    from tenacity import Future, RetryCallState

    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]  # no strategy reads it
    state.attempt_number = made
    state.start_time = call.started
    state.outcome_timestamp = call.runtime.now()
    state.outcome = Future(made)
    state.outcome.set_exception(error)
    return state

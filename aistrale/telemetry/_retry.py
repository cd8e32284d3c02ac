"""When a sink that failed is tried again."""

from __future__ import annotations

import errno
import math
import os
from typing import TYPE_CHECKING, Final

from aistrale.errors import AistraleError

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
LONGEST_ASKED: Final = 3600.0
"""Most seconds that a sink's own `retry_after` is honoured for."""
SHORTEST_ASKED: Final = 0.1
OPEN_AFTER: Final = 5
"""Failures in a row after which a sink counts as dead: nobody waits for it any more, and it gets one try a pause."""


class Retry:
    """Counts failures and says when the next try is due; jittered exponential pauses.

    Args:
        jitter: A random number from 0 to 1.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self.failures = 0
        self.resume_at = -math.inf
        self.last_error: str | None = None

    @property
    def dead(self) -> bool:
        """Whether it failed so often that nobody is to wait for it."""
        return self.failures >= OPEN_AFTER

    def ready(self, now: float) -> bool:
        """Whether it may be tried."""
        return now >= self.resume_at

    def succeeded(self) -> None:
        """It works."""
        self.failures = 0
        self.resume_at = -math.inf
        self.last_error = None

    def failed(self, error: BaseException, now: float) -> None:
        """It does not."""
        self.failures += 1
        self.last_error = describe(error)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 16)) * (0.5 + 0.5 * self._jitter())
        asked = _asked(error)
        if asked is not None:
            # A server that is down and says "at once" is not believed for long.
            pause = max(asked, pause) if self.dead else asked
        self.resume_at = now + pause


def _asked(error: BaseException) -> float | None:
    value = getattr(error, "retry_after", None)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    return min(max(float(value), SHORTEST_ASKED), LONGEST_ASKED)


def is_permanent(error: BaseException) -> bool:
    """Whether it makes no sense to offer the batch again."""
    return getattr(error, "permanent", False) is True


def is_about_data(error: BaseException) -> bool:
    """Whether it looks as if the events were at fault, not the place that they go to."""
    data = isinstance(error, (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError))
    return data and not isinstance(error, OSError)


def describe(error: BaseException) -> str:
    """An error in words that hold nothing of what was said and no address: its text may quote either."""
    name = type(error).__name__
    if isinstance(error, AistraleError):
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.errno is not None:
        # What the system says about the number; the error's own words may name an address.
        return f"{name} ({errno.errorcode.get(error.errno, error.errno)}: {os.strerror(error.errno)})"
    status = getattr(error, "status", getattr(error, "status_code", None))
    return f"{name} (status {status})" if type(status) is int else name

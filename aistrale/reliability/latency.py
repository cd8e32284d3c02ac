"""The recent distribution of a target's latencies, for the moment at which a second attempt is worth its price."""

from __future__ import annotations

import threading
from typing import Final

# How many of the last answers are kept; old ones say little about a provider whose load changes by the minute.
_KEPT: Final = 200
# How many new ones come between two sorts.
_REFRESH: Final = 10


class LatencyTrack:
    """The last 200 latencies and their percentiles. Safe to share between threads."""

    __slots__ = ("_added", "_lock", "_next", "_sorted", "_values")

    def __init__(self) -> None:
        # Re-entrant: a finalizer may settle a call inside whatever this thread does under the lock.
        self._lock = threading.RLock()
        self._values: list[float] = []
        self._next = 0
        self._added = 0
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        """Take one more into account."""
        with self._lock:
            if len(self._values) < _KEPT:
                self._values.append(seconds)
            else:
                self._values[self._next] = seconds
                self._next = (self._next + 1) % _KEPT
            self._added += 1

    def percentile(self, share: float, at_least: int = 20) -> float | None:
        """The latency below which this share of the answers lies, in seconds.

        Args:
            share: 0 to 1.
            at_least: How many answers must have been seen.

        Returns:
            None while there are too few.
        """
        with self._lock:
            if len(self._values) < at_least:
                return None
            if not self._sorted or self._added >= _REFRESH:
                self._sorted = sorted(self._values)
                self._added = 0
            # Nearest rank: the smallest value with at least this share of the values at or below it.
            count = len(self._sorted)
            return self._sorted[min(count - 1, max(0, -int(-share * count // 1) - 1))]

    def after_fork(self) -> None:
        """A new lock for a forked child."""
        self._lock = threading.RLock()

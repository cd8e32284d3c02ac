"""The retry budget of a provider: what its successes have earned may be spent on further attempts.

gRPC's token bucket (proposal A6, "Throttling Retry Attempts and Hedged RPCs"). It is fed by successes alone: budgets
that are fed by calls, or that grow with time, keep a provider under water which could recover if it were left alone.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import isfinite
from typing import Final

from aistrale.errors import ConfigurationError

# Whole thousandths, as in gRPC, so that sums of tenths are exact.
_UNIT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetSettings:
    """How many further attempts a provider may be asked for.

    Args:
        tokens: The full budget, with which it starts; 0 to 1,000,000. Further attempts are made while more than half of
            it is there; 0 allows none. 10: gRPC's.
        ratio: What one success earns, at least 0.001; the long-term share of retries among calls. 0.1: gRPC's.
    """

    tokens: float = 10.0
    ratio: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: A value lies outside its range; names the field and the range.
        """
        if not isfinite(self.tokens) or not 0 <= self.tokens <= 1_000_000:
            raise ConfigurationError("tokens must be a number from 0 to 1000000", field="tokens")
        if not isfinite(self.ratio) or self.ratio < 1 / _UNIT:
            raise ConfigurationError("ratio must be a number of at least 0.001", field="ratio")


class RetryBudget:
    """One provider's budget, shared by the retries, hedges and threads of a client.

    Args:
        settings: Its size.
    """

    __slots__ = ("_lock", "_most", "_ratio", "_tokens")

    def __init__(self, settings: RetryBudgetSettings | None = None) -> None:
        settings = settings or RetryBudgetSettings()
        self._most = round(settings.tokens * _UNIT)
        self._ratio = round(settings.ratio * _UNIT)
        self._tokens = self._most
        # Re-entrant: a finalizer may settle a call inside whatever this thread does under the lock.
        self._lock = threading.RLock()

    @property
    def tokens(self) -> float:
        """What is left, from 0 to the full budget."""
        return self._tokens / _UNIT

    def allows(self) -> bool:
        """Whether a further attempt could be paid for."""
        return 2 * self._tokens > self._most

    def spend(self) -> bool:
        """Pay for one further attempt; False, and nothing is taken, where the budget does not allow it."""
        with self._lock:
            if 2 * self._tokens <= self._most:
                return False
            self._tokens = max(0, self._tokens - _UNIT)
            return True

    def failure(self) -> None:
        """A logical call has met with a failure of the provider; costs one token, once however often it is tried."""
        with self._lock:
            self._tokens = max(0, self._tokens - _UNIT)

    def success(self) -> None:
        """A call was answered."""
        # Read without the lock: a full budget, the usual state, stays full whatever others do at this moment.
        if self._tokens >= self._most:
            return
        with self._lock:
            self._tokens = min(self._most, self._tokens + self._ratio)

    def after_fork(self) -> None:
        """A new lock for a forked child, whose parent may have held the old one; the budget stays as it was."""
        self._lock = threading.RLock()

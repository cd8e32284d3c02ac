"""The limits that a simulated provider sets its callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects.headers import RateLimits, Window

if TYPE_CHECKING:
    from aistrale.simulation.scenario import Quota


class Meters:
    """Counts requests and tokens against a quota.

    Args:
        quota: The limit.
        tokens: What one request takes, its answer included.
    """

    def __init__(self, quota: Quota, tokens: int) -> None:
        self._window = quota.window
        self._steady = quota.refill == "steady"
        limits = [(quota.requests, 1), (quota.tokens, tokens)]
        self._meters = [Meter(limit, cost) for limit, cost in limits if limit is not None]
        self._requests = self._meters[0] if quota.requests is not None else None
        self._tokens = self._meters[-1] if quota.tokens is not None else None
        self._at = 0.0

    def take(self, now: float) -> float | None:
        """Count a request; None when there was room, else seconds until there will be, and nothing is counted."""
        self._pass(now)
        short = [meter for meter in self._meters if meter.left < meter.cost]
        if not short:
            for meter in self._meters:
                meter.left -= meter.cost
            return None
        if not self._steady:
            return self._until_next(now)
        return max((meter.cost - meter.left) * self._window / meter.limit for meter in short)

    def limits(self, now: float) -> RateLimits:
        """What a provider's rate-limit headers would say."""
        self._pass(now)
        return RateLimits(requests=self._said(self._requests, now), tokens=self._said(self._tokens, now))

    def _said(self, meter: Meter | None, now: float) -> Window:
        if meter is None:
            return Window()
        reset = (meter.limit - meter.left) * self._window / meter.limit if self._steady else self._until_next(now)
        return Window(limit=meter.limit, remaining=max(int(meter.left), 0), reset=reset)

    def _until_next(self, now: float) -> float:
        return self._window - now % self._window

    def _pass(self, now: float) -> None:
        if self._steady:
            share = (now - self._at) / self._window
            for meter in self._meters:
                meter.left = min(meter.left + share * meter.limit, meter.limit)
        elif now // self._window != self._at // self._window:
            for meter in self._meters:
                meter.left = meter.limit
        self._at = now


class Meter:
    """One limit and what is left of it.

    Args:
        limit: Of a window.
        cost: Of one request.
    """

    __slots__ = ("cost", "left", "limit")

    def __init__(self, limit: int, cost: int) -> None:
        self.limit = limit
        self.cost = cost
        self.left: float = limit

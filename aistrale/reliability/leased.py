"""A limit that several processes share: a bucket that is elsewhere, of which this process leases small slices.

What was leased is taken without asking anybody, so that most calls decide here. What is not there has to be asked for
(`wants`), and comes at once, or later at an instant that is known (`granted`), or not yet (`refused`). While the bucket
cannot be reached there is one here for this process alone, with its share of the rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.reliability.limits import TokenBucket

if TYPE_CHECKING:
    from aistrale.dialects.headers import RateLimits
    from aistrale.reliability.gate import Gate

# Seconds of its own use that a process leases beyond what it needs, and that it may keep.
_SLICE: Final = 0.1
# Over how many seconds its use is measured; after as many without any it keeps nothing.
_MEASURE: Final = 1.0
# What nobody knows before it was asked for is said to take so long, in seconds.
_SOON: Final = 0.001


class Fleet(Protocol):
    """The processes that share a limit, as this one knows them."""

    era: int
    """Changes whenever `down` does."""

    down: bool
    """Whether the others cannot be reached."""

    processes: int
    """How many there are, or were when they could last be reached."""


class Lessor(Protocol):
    """Shares the limits of one target."""

    @property
    def slow(self) -> bool:
        """Whether `lease` asks somebody; False while there is nobody to ask, or nothing to ask for."""
        ...

    def bucket(self, name: str, rate: float, capacity: float) -> LeasedBucket:
        """The bucket of a limit.

        Args:
            name: Of the limit, as settings have it.
            rate: Tokens a second of all processes together, more than 0.
            capacity: Most tokens that it holds.
        """
        ...

    def lacks(self, most: tuple[float, float, float, float], now: float) -> bool:
        """Whether a call would have to ask; the gate's lock is held.

        Args:
            most: What the call may use, by kind.
            now: Monotonic seconds.
        """
        ...

    def lease(self, gate: Gate, most: tuple[float, float, float, float], wait: float) -> None:
        """Ask for what a call lacks; blocks for a round trip, never raises.

        Args:
            gate: Gets what comes.
            most: What the call may use, by kind.
            wait: Seconds within which it must come; what would come later is left to others.
        """
        ...

    def throttled(self, seconds: float) -> None:
        """Tell the others that the provider asks everybody to wait for some seconds; does not block."""
        ...

    def told(self, limits: RateLimits) -> None:
        """Tell the others what the provider says is left; does not block."""
        ...


class LeasedBucket(TokenBucket):
    """Not safe between threads: its owner holds the lock.

    Args:
        rate: Tokens a second of all processes together.
        capacity: Most tokens that the bucket elsewhere holds.
        fleet: Whether that can be reached.
    """

    __slots__ = (
        "_alone",
        "_coming",
        "_era",
        "_fleet",
        "_last",
        "_not_before",
        "_ready",
        "_rest",
        "_since",
        "_sum",
        "_use",
    )

    def __init__(self, rate: float, capacity: float, fleet: Fleet) -> None:
        super().__init__(rate, capacity, level=0.0)
        self._fleet = fleet
        self._era = -1
        self._alone: TokenBucket | None = None
        self._rest: TokenBucket | None = None
        self._coming, self._ready = 0.0, -math.inf
        self._not_before = -math.inf
        self._use = self._sum = 0.0
        self._since = self._last = -math.inf

    def _look(self, now: float) -> None:
        if self._era != self._fleet.era:
            self._turn(now)
        if self._coming and now >= self._ready:
            self._level += self._coming
            self._coming = 0.0

    def _turn(self, now: float) -> None:
        self._era = self._fleet.era
        self._not_before = -math.inf
        if self._fleet.down:
            if self._alone is None:
                self._part(now)
        else:
            # A debt is a debt with anybody. What was saved up alone was never leased, and what a parent leased is the
            # parent's.
            level = self._level if self._alone is None else self._alone.level(now)
            self._rest = self._alone or self._rest
            self._level, self._coming, self._alone = min(level, 0.0), 0.0, None

    def _part(self, now: float) -> None:
        """Go on alone, with a share."""
        parts = max(self._fleet.processes, 1)
        # What was promised for later is let go: whoever forgets all limits forgets its promises, too.
        known, self._coming = self._level, 0.0
        if self._rest is not None and self._rest.rate == self.rate / parts and known >= 0.0:
            # It was back and gave nothing: what was saved up alone is not to be begun anew each time.
            self._alone, self._rest = self._rest, None
            return
        capacity = max(self.capacity / parts, 1.0)
        self._alone = TokenBucket(self.rate / parts, capacity, level=min(known, capacity), now=now)

    def level(self, now: float) -> float:
        """Tokens that may be taken at once; negative for a debt."""
        self._look(now)
        return self._level if self._alone is None else self._alone.level(now)

    def delay(self, amount: float, now: float, ahead: float = 0.0) -> float:
        """Seconds until an amount can be taken, as far as that is known without asking; see TokenBucket."""
        self._look(now)
        if self._alone is not None:
            return self._alone.delay(amount, now, ahead)
        missing = ahead + amount - self._level
        if missing <= 0.0:
            return 0.0
        if missing <= self._coming:
            return self._ready - now
        return max(self._not_before - now, self._ready - now if self._coming else 0.0, _SOON)

    def take(self, amount: float, now: float) -> float:
        """Take an amount, or give it back when it is negative; what is left."""
        self._look(now)
        if self._alone is not None:
            return self._alone.take(amount, now)
        self._level -= amount
        if amount > 0.0:
            self._count(amount, now)
        return self._level

    def _count(self, amount: float, now: float) -> None:
        span = now - self._since
        if span >= _MEASURE:
            self._use = self._sum / span if span < math.inf else 0.0
            self._sum, self._since = 0.0, now
        self._sum += amount
        self._last = now

    # --- leasing ---------------------------------------------------------------------------------------------------

    def wants(self, amount: float, now: float) -> float:
        """How much to ask for so that an amount can be taken; 0.0 for nothing, or not yet."""
        self._look(now)
        if self._alone is not None or now < self._not_before:
            return 0.0
        return max(amount - self._level - self._coming, 0.0)

    def ahead(self, now: float) -> float:
        """How much more is worth having: a tenth of a second of this process's own use."""
        return 0.0 if now - self._last > _MEASURE else min(self._use, self.rate) * _SLICE

    def granted(self, amount: float, wait: float, now: float) -> None:
        """An amount is ours, to be taken in `wait` seconds; `now` is in monotonic seconds, here and below."""
        self._look(now)
        if self._alone is not None:
            return
        self._rest = None
        if wait <= 0.0:
            self._level += amount
        else:
            self._ready = now + wait if not self._coming else max(self._ready, now + wait)
            self._coming += amount

    def refused(self, wait: float, now: float) -> None:
        """It makes no sense to ask for `wait` seconds."""
        self._look(now)
        self._not_before = max(self._not_before, now + wait)

    def spare(self, now: float) -> float:
        """What others may have of it; it is not ours any more."""
        self._look(now)
        if self._alone is not None:
            return 0.0
        spare = self._level - self.ahead(now)
        if spare <= 0.0:
            return 0.0
        self._level -= spare
        return spare

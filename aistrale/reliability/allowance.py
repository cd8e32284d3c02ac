"""One limit of a target, as its two sources know it: what the user set, and what the provider says is left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.reliability.limits import MINUTE, TokenBucket

if TYPE_CHECKING:
    from aistrale.dialects.headers import Window

Mark: TypeAlias = "tuple[TokenBucket, float] | None"
"""What we thought was left at the provider when a call was let through."""

# How long what a header said holds, in seconds; longer ones are garbage or speak of days, and the next answer tells.
_VALID: Final = MINUTE


class Allowance:
    """What may be taken of one kind: requests, tokens, input or output tokens.

    The user's limit is a bucket that only our own calls empty. The provider's is another, set by its headers: it knows
    what others use of the same key. Both must agree to a call, so headers can only make the user's limit stricter.

    A header speaks of the moment at which the provider saw its call, which for a long answer is long ago. Hence it is
    compared with what we thought was left at that moment, and the difference is applied to what we think now.

    Args:
        own: The user's limit, if there is one.
    """

    __slots__ = ("_shift", "_until", "own", "told")

    def __init__(self, own: TokenBucket | None = None) -> None:
        self.own = own
        self.told: TokenBucket | None = None
        self._shift = 0.0
        self._until = -math.inf

    @property
    def idle(self) -> bool:
        """Whether it limits nothing."""
        return self.own is None and self.told is None

    def _current(self, now: float) -> TokenBucket | None:
        if self.told is not None and now >= self._until:
            self.told = None
        return self.told

    def level(self, now: float) -> float:
        """What may be taken at once; infinite where nothing is limited, negative for a debt."""
        told = self._current(now)
        levels = [bucket.level(now) for bucket in (self.own, told) if bucket is not None]
        return min(levels, default=math.inf)

    def delay(self, amount: float, usual: float, now: float, ahead: float = 0.0) -> float:
        """Seconds until both limits have room.

        Args:
            amount: The most that the call may use; the user's limit is kept in any case.
            usual: What such a call usually uses, which is what providers count.
            now: Monotonic seconds.
            ahead: What others will take before.
        """
        delay = 0.0 if self.own is None else self.own.delay(amount, now, ahead)
        if self.told is not None and (told := self._current(now)) is not None:
            delay = max(delay, min(told.delay(usual, now, ahead), self._until - now))
        return delay

    def take(self, amount: float, usual: float, now: float) -> Mark:
        """Take it from both; what to compare the headers of the answer with."""
        if self.own is not None:
            self.own.take(amount, now)
        if self.told is None or (told := self._current(now)) is None:
            return None
        return told, told.take(usual, now) - self._shift

    def settle(self, amount: float, usual: float, used: float, now: float, mark: Mark) -> None:
        """Replace what `take` took by what was used."""
        if self.own is not None and used != amount:
            self.own.take(used - amount, now)
        if mark is not None and mark[0] is self.told:
            mark[0].take(used - usual, now)

    def correct(self, window: Window, now: float, mark: Mark, plenty: float) -> None:
        """The provider says what is left.

        Args:
            window: Its words; without `limit` and `remaining` they say nothing.
            now: Monotonic seconds.
            mark: What `take` gave for the call that brought the news; None when it took nothing.
            plenty: With this much left, the provider's limit is not worth minding.
        """
        limit, left = window.limit, window.remaining
        if limit is None or left is None or limit <= 0:
            return
        remaining = float(min(max(left, 0), limit))
        if remaining >= plenty:
            self.told = None
            return
        rate = limit / MINUTE
        if window.reset is not None and window.reset > MINUTE and remaining < limit:
            # A bucket per minute is full within a minute; this one counts hours or days.
            rate = (limit - remaining) / window.reset
        told = self._current(now)
        if told is None:
            self.told = TokenBucket(rate, limit, level=remaining, now=now)
            self._shift = 0.0
        else:
            level = told.level(now)
            told.rate, told.capacity = rate, limit
            if mark is not None and mark[0] is told:
                difference = remaining - (mark[1] + self._shift)
            else:
                difference = min(0.0, remaining - level)
            told.take(-difference, now)
            self._shift += difference
        self._until = now + _VALID

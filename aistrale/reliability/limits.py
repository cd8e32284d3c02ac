"""How much may be sent to one target: the settings, a bucket of tokens, and a concurrency limit that adapts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from aistrale.errors import ConfigurationError

Concurrency: TypeAlias = "int | Literal['auto'] | None"

MINUTE: Final = 60.0

# Most calls under way to one target where nothing else says how many. Far beyond what one process keeps busy, and well
# below what makes a connection pool slow.
_MOST: Final = 512
# Share of the process's file descriptors that one target's connections may take: three targets can be full at once and
# a quarter is left for the ledger, event loops and the application.
_DESCRIPTORS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """How many calls and tokens a target gets, and how calls wait for their turn.

    Args:
        concurrency: Most calls under way. "auto": starts at `max_concurrency` and adapts to the provider's throttling
            and timeouts. A number, at least 1: fixed. None: no limit.
        max_concurrency: Upper end of "auto", at least 1; None: a quarter of the process's limit on open files, at most
            512, so that calls queue instead of failing for want of a descriptor.
        min_concurrency: Lower end of "auto", from 1 to `max_concurrency`.
        decrease: Factor by which "auto" cuts the limit, from 0.5 to 0.95. 0.9, as at Netflix: with simulated servers
            that take 5 to 150 calls and refuse more, 0.8 lost 7 % of the throughput for no fewer refusals.
        rpm: Requests per minute, more than 0; None: only what the provider's rate-limit headers say. The same for the
            following three.
        tpm: Tokens per minute, input and output together.
        itpm: Input tokens per minute; what is read from the provider's cache does not count.
        otpm: Output tokens per minute.
        burst: How many seconds' worth of a rate may be used at once after a pause, from 0 to 60. 60: a whole minute's,
            as the buckets of OpenAI and Anthropic hold. 0: evenly paced, for providers that count by the second.
        queue: Most calls that wait, at least 0; further ones get QueueFull.
        queue_timeout: Longest wait in seconds, at least 0; None: until the call's deadline.
        ageing: Seconds of waiting that outweigh one step of priority, more than 0: a call goes before those of the next
            higher priority that came this much after it. 10: a low one is not overtaken for longer than 20 s, a third
            of the default deadline.
    """

    concurrency: Concurrency = "auto"
    max_concurrency: int | None = None
    min_concurrency: int = 1
    decrease: float = 0.9
    rpm: float | None = None
    tpm: float | None = None
    itpm: float | None = None
    otpm: float | None = None
    burst: float = MINUTE
    queue: int = 1000
    queue_timeout: float | None = None
    ageing: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: A value lies outside its range; names the field and the range.
        """
        count = "a whole number, at least 1"
        rate = "a finite number more than 0, or None"
        most = self.max_concurrency
        for field, valid, wanted in (
            ("concurrency", self.concurrency in ("auto", None) or _count(self.concurrency), f"'auto', None or {count}"),
            ("max_concurrency", most is None or _count(most), f"{count}, or None"),
            (
                "min_concurrency",
                _count(self.min_concurrency) and (not _count(most) or self.min_concurrency <= (most or 0)),
                f"{count}, not above max_concurrency",
            ),
            ("decrease", _within(self.decrease, 0.5, 0.95), "a number from 0.5 to 0.95"),
            *((name, _rate(getattr(self, name)), rate) for name in RATES),
            ("burst", _within(self.burst, 0, MINUTE), "a number of seconds from 0 to 60"),
            ("queue", _count(self.queue, 0), "a whole number, at least 0"),
            (
                "queue_timeout",
                self.queue_timeout is None or _within(self.queue_timeout, 0, math.inf),
                "a number of seconds, at least 0, or None",
            ),
            ("ageing", _rate(self.ageing) and self.ageing is not None, "a finite number more than 0"),
        ):
            if not valid:
                raise ConfigurationError(
                    f"limits.{field} is {getattr(self, field)!r}; it must be {wanted}", field=f"limits.{field}"
                )


RATES: Final = ("rpm", "tpm", "itpm", "otpm")
"""The settings that are rates, in the order in which a gate keeps them."""


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _within(value: float, low: float, high: float) -> bool:
    return _number(value) and low <= value <= high


def _rate(value: float | None) -> bool:
    return value is None or (_number(value) and 0 < value < math.inf)


def default_concurrency() -> int:
    """How many calls to one target this process can have under way: 512, or fewer where it may open few files."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(1, min(_MOST, soft // _DESCRIPTORS))


class TokenBucket:
    """Lets through `rate` tokens a second, and `capacity` at once after a pause.

    It never refuses: `delay` says how long to wait, `take` takes, into debt if need be. Whatever is taken when `delay`
    says 0 stays within `rate * seconds + max(capacity, one amount)` in any stretch of time, what was refunded in it
    aside. Time that goes back adds nothing. Not safe between threads: its owner holds the lock.

    Args:
        rate: Tokens a second, more than 0.
        capacity: Most tokens that it holds.
        level: Tokens in it at the beginning; None for a full one.
        now: The instant of `level`, in monotonic seconds.
    """

    __slots__ = ("_level", "_stamp", "capacity", "rate")

    def __init__(self, rate: float, capacity: float, *, level: float | None = None, now: float = -math.inf) -> None:
        self.rate = rate
        self.capacity = capacity
        self._level = capacity if level is None else level
        self._stamp = now

    def level(self, now: float) -> float:
        """Tokens that are there at `now`; negative for a debt."""
        elapsed = now - self._stamp
        if elapsed > 0.0:
            self._stamp = now
            self._level = min(self._level + elapsed * self.rate, self.capacity)
        return self._level

    def delay(self, amount: float, now: float, ahead: float = 0.0) -> float:
        """Seconds until an amount can be taken; 0.0 when at once.

        One larger than the bucket can be taken when the bucket is full: the debt then holds up those who follow, and
        nobody waits for ever.

        Args:
            amount: Tokens wanted.
            now: Monotonic seconds.
            ahead: Tokens that others will take before.
        """
        level = self.level(now) if now > self._stamp else self._level
        missing = ahead + amount - level
        if missing > 0.0 and amount > self.capacity:
            missing = ahead + self.capacity - level
        return missing / self.rate if missing > 0.0 else 0.0

    def take(self, amount: float, now: float) -> float:
        """Take an amount, or give it back when it is negative; what is left."""
        level = self.level(now) if now > self._stamp else self._level
        self._level = level = level - amount if amount > 0.0 else min(level - amount, self.capacity)
        return level


class Aimd:
    """A concurrency limit that feels its way: up by one a round trip, down by a factor when the provider complains.

    Latency, which other adaptive limits go by, says little here: it is ruled by the length of the answers.

    Args:
        maximum: Upper end, and where it starts: nothing is limited before the provider has complained.
        minimum: Lower end, at least 1.
        decrease: Factor of a cut, below 1.
    """

    __slots__ = ("_credit", "_cut_at", "decrease", "limit", "maximum", "minimum")

    # A cut goes by what was under way, since only that has proven to be too much; but few calls prove little.
    _FEW: Final = 10
    # Seconds after the last cut from which the limit doubles with every round trip, instead of adding one.
    _FORGET: Final = 60.0

    def __init__(self, maximum: int, minimum: int = 1, decrease: float = 0.9) -> None:
        self.maximum = maximum
        self.minimum = minimum
        self.decrease = decrease
        self.limit = maximum
        self._credit = 0
        self._cut_at = -math.inf

    def success(self, in_flight: int, started: float, now: float) -> None:
        """A call succeeded.

        Args:
            in_flight: Calls under way, this one included. Less than half of the limit proves nothing about it.
            started: When the call was let through; what began before the last cut proves nothing either.
            now: Monotonic seconds.
        """
        if self.limit >= self.maximum or started < self._cut_at or 2 * in_flight < self.limit:
            return
        self._credit += 1
        if self._credit >= self.limit or now - self._cut_at >= self._FORGET:
            self._credit = 0
            self.limit += 1

    def drop(self, in_flight: int, started: float, now: float) -> None:
        """The provider throttled a call or let it run into a timeout; counts once per round trip.

        Args:
            in_flight: Calls under way, this one included.
            started: When the call was let through; one that began before the last cut is old news.
            now: Monotonic seconds.
        """
        if started < self._cut_at:
            return
        base = min(self.limit, max(in_flight, self._FEW))
        self.limit = max(self.minimum, int(base * self.decrease))
        self._cut_at = now
        self._credit = 0

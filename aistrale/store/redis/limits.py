"""Rates that several processes share: a bucket in Redis for each limit of each target, leased in small slices.

A slice is what a call needs, and a tenth of a second of the process's own use beyond it. What is there is given at
once; what is not may be promised for an instant soon, so that processes that wait are served in the order in which they
asked. Time is Redis' own.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.reliability.leased import LeasedBucket
from aistrale.reliability.limits import RATES
from aistrale.store.redis.connection import Away, Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.dialects.headers import RateLimits
    from aistrale.reliability.gate import Gate
    from aistrale.reliability.rates import Amounts
    from aistrale.store.redis.connection import Connection, Reply

# Seconds ahead for which a slice is promised at most: what a process is promised and does not take is lost to others.
_AHEAD: Final = 1.0
# Seconds after which one asks again for tokens that were not to be had.
_AGAIN: Final = 0.25
# A bucket that nobody asks is kept for so many seconds after it is full.
_KEEP: Final = 60

_LEVEL: Final = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
local function level(key, rate, capacity, known)
  local f = redis.call('HMGET', key, 'l', 't')
  local l, at = tonumber(f[1]), tonumber(f[2])
  if not l then
    -- One that this process has seen filled is not full because Redis lost it.
    if known then return 0, now end
    return capacity, now
  end
  if now > at then return math.min(capacity, l + (now - at) * rate), now end
  return math.min(capacity, l), at
end
local function keep(key, l, at, rate, capacity)
  redis.call('HSET', key, 'l', string.format('%.17g', l), 't', string.format('%.17g', at))
  redis.call('EXPIRE', key, math.ceil((capacity - l) / rate) + KEEP)
end
""".replace("KEEP", str(_KEEP))

# KEYS: buckets. ARGV: most seconds to wait; for each rate a second, capacity, needed, wanted beyond, "1" if it was seen
# before. All of them give, or none.
_LEASE: Final = Script(
    _LEVEL
    + """
local wait, levels, out = 0, {}, {}
for i, key in ipairs(KEYS) do
  local a = 1 + (i - 1) * 5
  local rate, capacity, need = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local l, at = level(key, rate, capacity, ARGV[a + 5] == '1')
  levels[i] = {l, at}
  -- One that is larger than the bucket goes when that is full; the debt holds up those who follow.
  wait = math.max(wait, (math.min(need, capacity) - l) / rate)
end
if wait > tonumber(ARGV[1]) then return {0, string.format('%.6f', wait)} end
out = {1, string.format('%.6f', wait)}
for i, key in ipairs(KEYS) do
  local a = 1 + (i - 1) * 5
  local rate, capacity, amount = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local l, at = levels[i][1], levels[i][2]
  if l >= amount + tonumber(ARGV[a + 4]) then amount = amount + tonumber(ARGV[a + 4]) end
  keep(key, l - amount, at, rate, capacity)
  out[#out + 1] = string.format('%.17g', amount)
end
return out
"""
)

# KEYS: buckets. ARGV: for each rate a second, capacity, and what comes back.
_RETURN: Final = Script(
    _LEVEL
    + """
for i, key in ipairs(KEYS) do
  local a = (i - 1) * 3
  local rate, capacity = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local l, at = level(key, rate, capacity, true)
  keep(key, math.min(capacity, l + tonumber(ARGV[a + 3])), at, rate, capacity)
end
return {#KEYS}
"""
)


class Telling(Protocol):
    """What of the fleet the limits of a target use."""

    connection: Connection

    def key(self, *parts: str) -> str:
        """The name of a key."""
        ...

    def blocked(self, place: str, seconds: float) -> None:
        """Tell the others of a pause."""
        ...

    def left(self, place: str, limits: RateLimits) -> None:
        """Tell the others what is left."""
        ...


class SharedLimits:
    """The limits of one target; see `aistrale.reliability.leased.Lessor`.

    Args:
        fleet: Asks and tells.
        place: The target's name.
        digest: The same, as part of a key.
        clock: Monotonic seconds.
    """

    def __init__(self, fleet: Telling, place: str, digest: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._connection = fleet.connection
        self._place = place
        self._digest = digest
        self._clock = clock
        self._buckets: dict[int, LeasedBucket] = {}
        self._seen: set[int] = set()

    @property
    def slow(self) -> bool:
        """Whether there is something to ask for, and somebody to ask."""
        return bool(self._buckets) and not self._connection.down

    def bucket(self, name: str, rate: float, capacity: float) -> LeasedBucket:
        """The bucket of a limit."""
        made = self._buckets[RATES.index(name)] = LeasedBucket(rate, capacity, self._connection)
        return made

    def lacks(self, most: Amounts, now: float) -> bool:
        """Whether a call would have to ask; the gate's lock is held."""
        return any(bucket.wants(most[kind], now) > 0.0 for kind, bucket in self._buckets.items())

    def lease(self, gate: Gate, most: Amounts, wait: float) -> None:
        """Ask for what a call lacks; a round trip, never raises."""
        wants = gate.with_rates(lambda: self._wants(most), self._clock())
        if not wants:
            return
        args: list[object] = [repr(min(max(wait, 0.0), _AHEAD))]
        for kind, (need, beyond) in wants.items():
            bucket = self._buckets[kind]
            args += [repr(bucket.rate), repr(bucket.capacity), repr(need), repr(beyond), int(kind in self._seen)]
        try:
            reply = self._connection.run(_LEASE, [self._key(kind) for kind in wants], args)
            pause, given = _read(reply, len(wants))
        except Away:
            # The buckets here go on alone; who waits is to look again.
            gate.with_rates(lambda: None, self._clock())
            return
        except (ValueError, TypeError, IndexError) as error:
            self._connection.failed(error)
            return
        self._seen.update(wants)
        now = self._clock()
        gate.with_rates(lambda: self._take(dict(zip(wants, given, strict=False)), list(wants), pause, now), now)

    def _wants(self, most: Amounts) -> dict[int, tuple[float, float]]:
        now = self._clock()
        wants = {kind: (bucket.wants(most[kind], now), bucket.ahead(now)) for kind, bucket in self._buckets.items()}
        return {kind: each for kind, each in wants.items() if each[0] > 0.0}

    def _take(self, given: dict[int, float], asked: list[int], pause: float, now: float) -> None:
        for kind in asked:
            if kind in given:
                self._buckets[kind].granted(given[kind], pause, now)
            else:
                # Requests do not come back; tokens that others had reserved may at any moment.
                again = pause - _AHEAD / 2 if kind == 0 else min(pause, _AGAIN)
                self._buckets[kind].refused(max(again, 0.001), now)

    def give_back(self, gate: Gate) -> None:
        """Let others have what is not used here; for the thread that does so."""
        spare = gate.with_rates(self._spare, self._clock())
        if not spare:
            return
        args: list[object] = []
        for kind, amount in spare.items():
            args += [repr(self._buckets[kind].rate), repr(self._buckets[kind].capacity), repr(amount)]
        with contextlib.suppress(Away):
            self._connection.run(_RETURN, [self._key(kind) for kind in spare], args)

    def _spare(self) -> dict[int, float]:
        now = self._clock()
        spare = {kind: bucket.spare(now) for kind, bucket in self._buckets.items()}
        return {kind: amount for kind, amount in spare.items() if amount > 0.0}

    def throttled(self, seconds: float) -> None:
        """The provider asks everybody to wait."""
        self._fleet.blocked(self._place, seconds)

    def told(self, limits: RateLimits) -> None:
        """The provider says what is left."""
        self._fleet.left(self._place, limits)

    def _key(self, kind: int) -> str:
        return self._fleet.key("rate", self._digest, RATES[kind])


def _read(reply: Reply, count: int) -> tuple[float, list[float]]:
    """After how many seconds, and how much of each; nothing of any when it would be too late."""
    pause = float(_text(reply[1]))
    if reply[0] != 1:
        return pause, []
    given = [float(_text(value)) for value in reply[2:]]
    if len(given) != count:
        raise ValueError("answers and questions differ in number")
    return pause, given


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

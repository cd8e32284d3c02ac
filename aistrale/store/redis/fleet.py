"""The processes that share state through one Redis, and this process among them.

Two threads: one listens for news, tells Redis every second that this process lives, and tries to reach Redis when it is
away; one tells Redis what happens here. Neither runs before a call needs it, and both end with the client.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from aistrale.core.worker import Worker, check_fork, on_fork
from aistrale.store.redis.address import Address
from aistrale.store.redis.budget_scripts import REAP
from aistrale.store.redis.connection import Away, Connection, Script
from aistrale.store.redis.limits import SharedLimits
from aistrale.store.redis.listening import Listener
from aistrale.store.redis.news import News

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.cost.budgets.store import Notice
    from aistrale.dialects.headers import RateLimits
    from aistrale.reliability.breaker_types import BreakerEvent
    from aistrale.store.redis.answers import RedisAnswers
    from aistrale.store.redis.budgets import RedisBudgets
    from aistrale.store.redis.connection import StateStatus
    from aistrale.store.redis.place import Place, State

BEAT: Final = 1.0
"""Seconds between two signs of life."""

# Seconds of silence after which a process is not counted any more, and after which what it reserved counts as spent.
_GONE: Final = 5
_DEAD: Final = 60
_HEALTH_EVERY: Final = 5.0
# Seconds between two tries to reach Redis: the first one comes soon, since most outages are a restart. The last ones
# are near, too: as long as some are back and others are not, rates of both add up.
_TRIES: Final = (0.05, 0.1, 0.25)
# Where Redis is there and fails again within so many seconds, the next try comes later each time, up to so many
# seconds: whoever changes sides all the time has neither the fleet's limits nor its own.
_STEADY: Final = 5.0
_LONGEST: Final = 2.0
# Settlements and answers that come within so many seconds are told in one.
_TOGETHER: Final = 0.02
_BACKLOG: Final = 10_000
_WEEK: Final = 604_800
_EXIT_SECONDS: Final = 1.0

# KEYS: processes, signs of life. ARGV: process, epoch, "1" to make it known, first part of the keys of slots, seconds
# until it is not counted, until it is dead, until all is forgotten, channel.
_BEAT: Final = Script(
    REAP
    + """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local known = redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2]
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) known = true end
if known then redis.call('ZADD', KEYS[2], now, ARGV[1]) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[6]), 'LIMIT', 0, 10)) do
  reap(id, ARGV[4] .. id, now)
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('EXPIRE', KEYS[2], ARGV[7])
local alive = redis.call('ZCOUNT', KEYS[2], now - tonumber(ARGV[5]), '+inf')
if ARGV[3] == '1' then
  local at = string.format('%.0f', now * 1000000)
  redis.call('PUBLISH', ARGV[8], cjson.encode({kind = 'joined', from = ARGV[1], at = at, alive = alive}))
end
return {t[1], t[2], alive, known and 1 or 0}
"""
)

# KEYS: processes, signs of life, where it has reserved, its last batch. ARGV: process, "1" if something is still
# reserved: then it stays until it is dead, unless it comes back.
_LEAVE: Final = Script("""
if ARGV[2] == '1' then return {0} end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4])
return {1}
""")


class Fleet:
    """See the module; satisfies what policies, budgets and the cache want to know of other processes.

    Args:
        setting: The address.
        clock: Monotonic seconds.
        wall: Unix seconds.

    Raises:
        ConfigurationError: The address is not understood.
        ImportError: The client library is missing; names the extra that brings it.
    """

    def __init__(
        self, setting: str, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.address = Address.parse(setting)
        self._clock = clock
        self._wall = wall
        self.connection = Connection(self.address, self._join)
        self.connection.lost = self._lost
        self.news = News(self, clock, wall)
        self._budgets: RedisBudgets | None = None
        self._answers: RedisAnswers | None = None
        self._worker = Worker(self._post, name="aistrale-state", delay=_TOGETHER, at_exit=self._exit)
        self._listener = Listener(self)
        self._reset()
        on_fork(self._reset)

    def _reset(self) -> None:
        self.id = token_hex(8)
        self.epoch = 0
        self.skew = 0.0
        self._outbox: deque[Callable[[], object]] = deque(maxlen=_BACKLOG)
        self._rung = False
        self._tries = self._relapses = 0
        self._next_try = self._next_beat = self._next_health = 0.0
        self._joined_at = -math.inf

    # --- what shares -------------------------------------------------------------------------------------------------

    def lessor(self, place: str) -> SharedLimits:
        """What shares the limits of a target."""
        digest = blake2b(place.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return SharedLimits(self, place, digest, self._clock)

    def start(self) -> None:
        """Have the others heard, if they are not yet; never blocks."""
        self._listener.start()

    def join(self, state: State) -> Place:
        """A target is used here."""
        limits = state.gate.lessor
        return self.news.join(state, limits if isinstance(limits, SharedLimits) else None)

    def changed(self, event: BreakerEvent) -> None:
        """A breaker has changed its state."""
        self.news.changed(event)

    def blocked(self, place: str, seconds: float) -> None:
        """A provider asks everybody to wait."""
        self.news.blocked(place, seconds)

    def left(self, place: str, limits: RateLimits) -> None:
        """A provider says what is left."""
        self.news.left(place, limits)

    def budgets(self, told: Callable[[Notice], None]) -> RedisBudgets:
        """The budgets of the client; there is one of them."""
        from aistrale.store.redis.budgets import RedisBudgets

        self._budgets = RedisBudgets(self, told, clock=self._clock, wall=self._wall)
        return self._budgets

    def answers(self, max_entries: int, max_bytes: int) -> RedisAnswers:
        """The client's remembered answers; there is one of them."""
        from aistrale.store.redis.answers import RedisAnswers

        self._answers = RedisAnswers(self, max_entries=max_entries, max_bytes=max_bytes)
        return self._answers

    def key(self, *parts: str) -> str:
        """The name of a key."""
        return self.address.key(*parts)

    # --- telling -----------------------------------------------------------------------------------------------------

    def post(self, work: Callable[[], object], *, hurry: bool = False) -> None:
        """Have something told to Redis; dropped while Redis is away. From any thread or finalizer."""
        self._outbox.append(work)
        self.poke(hurry=hurry)

    def poke(self, *, hurry: bool = False) -> None:
        """Have the thread that tells Redis run."""
        self._listener.start()
        if not hurry:
            self._worker.wake()
        elif not self._rung:
            self._rung = True
            self._worker.hurry()

    def _post(self) -> float | None:
        self._rung = False
        with contextlib.suppress(IndexError):
            while True:
                self._tell(self._outbox.popleft())
        pause = None
        if self._budgets is not None:
            with contextlib.suppress(Away):
                self._budgets.flush()
            pause = self._budgets.serve()
        if self._answers is not None:
            with contextlib.suppress(Away):
                self._answers.write()
        return pause

    def _tell(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Away:
            pass
        except Exception as error:  # noqa: BLE001 - one answer that makes no sense must not keep the rest from being told
            self.connection.failed(error)

    # --- being known -------------------------------------------------------------------------------------------------

    def _join(self) -> None:
        self.epoch += 1
        self._sign(join=True)
        if self._budgets is not None:
            self._budgets.rejoin(back=self.connection.down)
        self._tries, self._joined_at = 0, self._clock()
        self._next_beat = self._joined_at + BEAT
        self.news.announce()

    def _sign(self, *, join: bool) -> None:
        connection, before = self.connection, self._wall()
        keys = [self.key("procs"), self.key("alive")]
        args: list[object] = [self.id, self.epoch, int(join), self.key("slots", ""), _GONE, _DEAD, _WEEK]
        args.append(self.news.channel)
        reply = connection.ask(_BEAT, keys, args)
        after = self._wall()
        try:
            seconds, micros, alive, known = (int(value) for value in reply)  # type: ignore[call-overload]
        except (ValueError, TypeError) as error:
            connection.failed(error)
            raise Away from error
        self.skew = seconds + micros / 1e6 - (before + after) / 2
        # Those that have not found back yet will: a share of few would be too large for all.
        settled = not join and self._clock() - self._joined_at > _GONE
        connection.processes = max(alive, 1) if settled else max(alive, connection.processes)
        if not known:
            connection.failed(LookupError("it does not know this process any more"))
            raise Away

    def _lost(self) -> None:
        now = self._clock()
        self._tries = 0
        self._relapses = self._relapses + 1 if now - self._joined_at < _STEADY else 0
        self._next_try = now + min(_TRIES[0] * 2**self._relapses, _LONGEST)
        self._listener.start()

    def count(self) -> None:
        """Have the processes counted anew."""
        self._next_beat = 0.0

    def tick(self) -> float:
        """What is due; for the thread that listens. Seconds until something is again."""
        now, connection = self._clock(), self.connection
        if not connection.joined:
            if now < self._next_try:
                return self._next_try - now
            try:
                connection.rejoin(again=True)
            except Away:
                self._tries += 1
                self._next_try = self._clock() + _TRIES[min(self._tries, len(_TRIES) - 1)]
                return self._next_try - self._clock()
            self.poke()
        if now >= self._next_beat:
            self._beat(now)
        return max(self._next_beat - self._clock(), 0.0)

    def _beat(self, now: float) -> None:
        self._next_beat = now + BEAT
        with contextlib.suppress(Away):
            if self.connection.joined:
                self._sign(join=False)
            if self._budgets is not None:
                self._budgets.join_in()
                self._budgets.refresh()
            for place in list(self.news.places.values()):
                if place.limits is not None and place.limits.slow:
                    place.limits.give_back(place.state.gate)
            if now >= self._next_health:
                self._next_health = now + _HEALTH_EVERY
                self.news.tell_health()

    # --- the end -----------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """What waits to be told."""
        budgets = 0 if self._budgets is None else self._budgets.pending
        answers = 0 if self._answers is None else self._answers.pending
        return len(self._outbox) + budgets + answers

    def status(self) -> StateStatus:
        """How it stands."""
        return self.connection.status(self.pending)

    def flush(self, timeout: float) -> bool:
        """Tell what waits; whether that was done within `timeout` seconds."""
        check_fork()
        until = self._clock() + timeout
        while self.pending and self._clock() < until and not self.connection.down:
            self._post()
        return not self.pending

    def close(self) -> None:
        """Tell what waits, and let go of threads and sockets; a later call begins anew."""
        self._listener.close()
        self._exit()
        self._worker.close(_EXIT_SECONDS)
        self.connection.close()

    def _exit(self) -> None:
        if not self.connection.joined and not self.pending:
            return
        if self.connection.down:
            # What is reserved and not told of would be kept from the others for a minute.
            with contextlib.suppress(Away):
                self.connection.join_in_time(again=True)
        self.flush(_EXIT_SECONDS)
        # From here on nobody is to find that it is not known any more.
        self._next_beat = math.inf
        keys = [self.key("procs"), self.key("alive"), self.key("slots", self.id), self.key("batch", self.id)]
        holding = self._budgets is not None and self._budgets.holding
        with contextlib.suppress(Away):
            self.connection.run(_LEAVE, keys, [self.id, int(holding)])

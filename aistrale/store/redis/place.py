"""One target, as the processes know it that share state: which of them may probe it, and what was told of it last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.store.redis.connection import Away, Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Target
    from aistrale.reliability.breaker import Breaker
    from aistrale.reliability.breaker_types import Outcome
    from aistrale.reliability.gate import Gate
    from aistrale.reliability.key_hold import KeyHold
    from aistrale.routing.health import TargetStats
    from aistrale.store.redis.connection import Connection
    from aistrale.store.redis.limits import SharedLimits
    from aistrale.store.redis.news import News

# Seconds that the place of a probe is kept after a success that did not close, for the same process to try again.
_KEEP_PLACE: Final = 1.0
# Seconds for which one is not asked again who has just said that another one probes.
_GLANCE: Final = 0.25

# KEYS: the place of a probe. ARGV: process, milliseconds. Whether it is the process's, and else for how long not.
_PROBE: Final = Script("""
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, 0}
""")

# KEYS: the same. ARGV: process, milliseconds to keep it, 0 for not at all.
_PROBED: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {1}
""")


class State(Protocol):
    """What is remembered of a target."""

    @property
    def target(self) -> Target:
        """Which one."""
        ...

    @property
    def breaker(self) -> Breaker:
        """Whether it may be called."""
        ...

    @property
    def gate(self) -> Gate:
        """How much of it may be called."""
        ...

    @property
    def stats(self) -> TargetStats:
        """How it does."""
        ...

    @property
    def key(self) -> KeyHold:
        """Whether its key is accepted."""
        ...


class Sender(Protocol):
    """What of the fleet news uses."""

    connection: Connection
    id: str
    skew: float

    def key(self, *parts: str) -> str:
        """The name of a key."""
        ...

    def post(self, work: Callable[[], object], *, hurry: bool = False) -> None:
        """Have it done by the thread that tells Redis; never blocks."""
        ...


class Place:
    """One target, as the fleet knows it; also its Link (see `aistrale.policies.state`).

    Args:
        news: Tells the others.
        state: What is remembered of it here.
        limits: Its limits.
    """

    def __init__(self, news: News, state: State, limits: SharedLimits | None) -> None:
        self.state = state
        self.limits = limits
        self.name = state.target.place
        self.seq = 0
        """Number of the last change of the breaker that is known here."""
        self.told = False
        """Whether a provider's word opened it."""
        self.left_at = -math.inf
        """When it was last told what the target has left; monotonic seconds."""
        self._news = news
        self._mine = False
        self._not_before = 0.0

    @property
    def account(self) -> str:
        """Whose key it is."""
        target = self.state.target
        return f"{target.provider.name} {target.account}"

    @property
    def slow(self) -> bool:
        """Whether `probe` asks Redis."""
        return not self._news.sender.connection.down

    def probe(self, seconds: float) -> bool:
        """Whether this process is the one to find out whether the target is back."""
        now = self._news.clock()
        if now < self._not_before:
            return False
        sender = self._news.sender
        try:
            reply = sender.connection.run(_PROBE, [self._key], [sender.id, max(int(seconds * 1000), 1)])
        except Away:
            return True
        self._mine = bool(reply[0])
        if not self._mine:
            self._not_before = now + _GLANCE
        return self._mine

    def probed(self, outcome: Outcome) -> None:
        """Let others probe; this process first, once more, where one success was not enough."""
        if not self._mine:
            return
        self._mine = False
        again = outcome == "success" and self.state.breaker.state(self._news.clock()) == "half_open"
        sender, keep = self._news.sender, int(_KEEP_PLACE * 1000) if again else 0
        sender.post(lambda: sender.connection.run(_PROBED, [self._key], [sender.id, keep]), hurry=True)

    def refused(self) -> None:
        """Tell that the target's key was refused."""
        hold, now = self.state.key.hold, self._news.clock()
        if hold is not None and hold.until > now:
            self._news.tell_hold(self.account, hold, now)

    @property
    def _key(self) -> str:
        return self._news.sender.key("probe", self.name)

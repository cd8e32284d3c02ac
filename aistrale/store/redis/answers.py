"""Remembered answers in Redis, for all processes of a fleet; a small memory here takes over while Redis is away.

What is kept is what the cache gives: redacted where redaction is on, in clear text. Each answer has its own time to
live; beyond the bounds those make room that would expire first.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.core.worker import check_fork, on_fork
from aistrale.store.answers import Entry, MemoryAnswers, Unwritten
from aistrale.store.redis.connection import Away, Script

if TYPE_CHECKING:
    from aistrale.store.redis.connection import Connection

# Bytes that wait to be sent at most; the oldest make room.
_WAITING: Final = 16 * 1024 * 1024
_LOCAL: Final = 1000
_HEAD: Final = b"\n"

# KEYS: the answer, index by expiry, sizes. ARGV: member, bytes, size, milliseconds to live, most entries, most bytes,
# first part of the keys of answers. The sum of all sizes stands under "", which no member is called.
_PUT: Final = Script("""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function drop(member)
  local size = tonumber(redis.call('HGET', KEYS[3], member) or 0)
  redis.call('HINCRBY', KEYS[3], '', -size)
  redis.call('HDEL', KEYS[3], member)
  redis.call('ZREM', KEYS[2], member)
  redis.call('DEL', ARGV[7] .. member)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do drop(member) end
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then drop(ARGV[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[4]), ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[3], '', ARGV[3])
local entries, bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
while redis.call('ZCARD', KEYS[2]) > entries or tonumber(redis.call('HGET', KEYS[3], '')) > bytes do
  local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not first then break end
  drop(first)
end
for i = 2, 3 do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
end
return {1}
""")

_GET: Final = Script("return {redis.call('GET', KEYS[1]) or ''}")

# KEYS: index, sizes. ARGV: first part of the keys.
_CLEAR: Final = Script("""
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('DEL', ARGV[1] .. member) end
redis.call('DEL', KEYS[1], KEYS[2])
return {1}
""")


class Sender(Protocol):
    """What of the fleet the answers use."""

    connection: Connection

    def key(self, *parts: str) -> str:
        """The name of a key."""
        ...

    def poke(self, *, hurry: bool = False) -> None:
        """Have `write` called soon, by a thread; never blocks."""
        ...

    def close(self) -> None:
        """Let go of threads and sockets."""
        ...


class RedisAnswers:
    """See `aistrale.store.answers.Answers`.

    Args:
        fleet: Whose Redis.
        max_entries: Most answers, at least 1, of all processes together.
        max_bytes: Most bytes that they take; a larger answer is not kept.
    """

    def __init__(self, fleet: Sender, *, max_entries: int, max_bytes: int) -> None:
        self._fleet = fleet
        self._connection = fleet.connection
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._local = MemoryAnswers(max_entries=min(max_entries, _LOCAL), max_bytes=min(max_bytes, _WAITING))
        self._reset()
        on_fork(self._reset)

    def _reset(self) -> None:
        self._waiting = Unwritten(_WAITING)

    @property
    def slow(self) -> bool:
        """Whether `get` asks Redis."""
        return not self._connection.down

    @property
    def pending(self) -> int:
        """Answers that wait to be sent."""
        return len(self._waiting)

    def get(self, key: str, now: float) -> Entry | None:
        """See `Answers.get`; a round trip while Redis is there."""
        check_fork()
        entry = self._waiting.get(key)
        if entry is None:
            try:
                entry = _unpack(self._connection.run(_GET, [self._key(key)], [])[0])
            except Away:
                return self._local.get(key, now)
        return entry if entry is not None and entry.expires > now else None

    def put(self, key: str, entry: Entry) -> None:
        """See `Answers.put`; sent within milliseconds, by a thread."""
        check_fork()
        if entry.size > self._max_bytes:
            return
        if self._connection.down:
            self._local.put(key, entry)
        else:
            self._waiting.put(key, entry)
            self._fleet.poke()

    def write(self) -> None:
        """Send what waits; for the thread that does so.

        Raises:
            Away: Redis is; what waits stays here.
        """
        while batch := self._waiting.first(1):
            ((key, entry),) = batch
            try:
                self._send(key, entry)
            except Away:
                self._local.put(key, entry)
                raise
            finally:
                self._waiting.done(batch)

    def _send(self, key: str, entry: Entry) -> None:
        lasts = int((entry.expires - entry.at) * 1000)
        if lasts <= 0:
            return
        keys = [self._key(key), self._fleet.key("answers", "index"), self._fleet.key("answers", "sizes")]
        data = b"%s %s%s%s" % (repr(entry.at).encode(), repr(entry.expires).encode(), _HEAD, entry.data)
        args = [key, data, entry.size, lasts, self._max_entries, self._max_bytes, self._key("")]
        self._connection.run(_PUT, keys, args)

    def clear(self) -> None:
        """See `Answers.clear`; for all processes."""
        check_fork()
        self._waiting.clear()
        self._local.clear()
        keys = [self._fleet.key("answers", "index"), self._fleet.key("answers", "sizes")]
        with contextlib.suppress(Away):
            self._connection.run(_CLEAR, keys, [self._key("")])

    def flush(self) -> None:
        """See `Answers.flush`."""
        check_fork()
        with contextlib.suppress(Away):
            self.write()

    def close(self) -> None:
        """The connection is the fleet's, which closes it."""
        self.flush()

    def _key(self, key: str) -> str:
        return self._fleet.key("answer", key)


def _unpack(data: object) -> Entry | None:
    if not isinstance(data, bytes) or not data:
        return None
    head, _, body = data.partition(_HEAD)
    try:
        at, expires = head.split()
        return Entry(body, float(at), float(expires))
    except ValueError:
        return None

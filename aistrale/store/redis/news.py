"""What one process found out and the others should know: breakers, probes, refused keys, pauses, what is left, health.

News goes out over a channel, which all that are connected hear at once. What must also be known to those who come later
(open breakers, refused keys) is kept in Redis as well, until it is over.

Breakers: what opens or closes one gets a number that only grows, made of Redis' clock. Who closes says which opening it
closes; where another one has begun meanwhile, closing says nothing. Older numbers than the last one are old news.
"""

from __future__ import annotations

import json
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from aistrale import errors
from aistrale.dialects.headers import RateLimits, Window
from aistrale.errors import APIError
from aistrale.reliability.key_hold import Hold
from aistrale.routing.digest import Digest
from aistrale.store.redis.connection import Script
from aistrale.store.redis.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.reliability.breaker_types import BreakerEvent
    from aistrale.store.redis.limits import SharedLimits
    from aistrale.store.redis.place import Sender, State
    from aistrale.types import JSON, JSONObject

# Reasons that are a breaker's own judgement; all others are a provider's word.
_JUDGED: Final = frozenset({"failures", "slow"})
# How long the state of a breaker is kept after its time, so that what comes late can be told from what is new.
_AFTER: Final = 600
# Seconds between two tellings of what a target has left, and of its health.
_LEFT_EVERY: Final = 1.0
# News that was under way for longer is no news, in seconds; an open breaker's time counts from when it was told.
_STALE: Final = 5.0
# Most targets of which news is remembered that nobody here has asked for yet.
_UNKNOWN: Final = 1000

# KEYS: one hash of all breakers. ARGV: channel, process, place, "open" or "closed", seconds from now, reason, "1" if a
# provider said so, number of the opening that is closed, seconds to keep it, failures in a row. Gives whether that
# holds now, and the number of what does.
_CHANGE: Final = Script("""
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local kept = redis.call('HGET', KEYS[1], ARGV[3])
local function nothing(last) return {0, string.format('%.0f', last)} end
local last, state, till = 0, 'closed', 0
if kept then
  local k = cjson.decode(kept)
  last, state, till = tonumber(k.seq), k.state, tonumber(k.till)
end
if ARGV[4] == 'open' then
  local until_ = now + tonumber(ARGV[5]) * 1000000
  if state == 'open' and till > now and (ARGV[7] ~= '1' or till >= until_) then return nothing(last) end
  till = until_
elseif state ~= 'open' or tonumber(ARGV[8]) < last then return nothing(last)
else till = now end
local seq = math.max(last + 1, now)
local told = cjson.encode({
  kind = 'breaker', from = ARGV[2], place = ARGV[3], state = ARGV[4], reason = ARGV[6], told = ARGV[7] == '1',
  seq = string.format('%.0f', seq), at = string.format('%.0f', now), till = string.format('%.0f', till),
  row = tonumber(ARGV[10])})
redis.call('HSET', KEYS[1], ARGV[3], told)
local keep = math.ceil((till - now) / 1000000) + tonumber(ARGV[9])
if redis.call('TTL', KEYS[1]) < keep then redis.call('EXPIRE', KEYS[1], keep) end
redis.call('PUBLISH', ARGV[1], told)
return {1, string.format('%.0f', seq)}
""")

# KEYS: none or a hash that keeps it. ARGV: channel, message, field, seconds.
_PUBLISH: Final = Script("""
local t = redis.call('TIME')
local told = cjson.decode(ARGV[2])
told.at = string.format('%.0f', t[1] * 1000000 + t[2])
local text = cjson.encode(told)
if KEYS[1] then
  redis.call('HSET', KEYS[1], ARGV[3], text)
  local keep = tonumber(ARGV[4])
  if redis.call('TTL', KEYS[1]) < keep then redis.call('EXPIRE', KEYS[1], keep) end
end
redis.call('PUBLISH', ARGV[1], text)
return {1}
""")

# KEYS: breakers, refused keys.
_ALL: Final = Script("""
return {redis.call('HVALS', KEYS[1]), redis.call('HVALS', KEYS[2])}
""")


class News:
    """See the module.

    Args:
        sender: The fleet.
        clock: Monotonic seconds.
        wall: Unix seconds.
    """

    def __init__(
        self, sender: Sender, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.sender = sender
        self.clock = clock
        self._wall = wall
        self.places: dict[str, Place] = {}
        # What was heard of targets that nobody here has asked for yet.
        self._breakers: dict[str, JSONObject] = {}
        self._holds: dict[str, JSONObject] = {}

    @property
    def channel(self) -> str:
        """Where news is told."""
        return self.sender.key("news")

    def join(self, state: State, limits: SharedLimits | None) -> Place:
        """A target is used here: it hears what is known of it."""
        place = Place(self, state, limits)
        self.places[place.name] = place
        state.stats.take_digest()
        for told in (self._breakers.get(place.name), self._holds.get(place.account)):
            if told is not None:
                self._heed(told)
        return place

    # --- telling -----------------------------------------------------------------------------------------------------

    def changed(self, event: BreakerEvent) -> None:
        """A breaker has changed its state here."""
        place = self.places.get(event.breaker)
        if place is None or event.news:
            return
        if event.name in {"opened", "extended"} and event.until is not None:
            until, reason = event.until, event.reason
            place.told = reason not in _JUDGED
            self.sender.post(lambda: self._change(place, "open", until, reason), hurry=True)
        elif event.name == "closed":
            self.sender.post(lambda: self._change(place, "closed", 0.0, event.reason), hurry=True)

    def announce(self) -> None:
        """Tell what is open here; for when Redis has been away."""
        now = self.clock()
        for place in list(self.places.values()):
            known = place.state.breaker.snapshot(now)
            if known.state == "open" and known.until is not None:
                self.sender.post(partial(self._change, place, "open", known.until, known.reason))

    def _change(self, place: Place, state: str, until: float, reason: str) -> None:
        sender = self.sender
        left = until - self.clock()
        if state == "open" and left <= 0.0:
            return
        row = place.state.breaker.snapshot(self.clock()).in_a_row
        args = [self.channel, sender.id, place.name, state, repr(left), reason, int(place.told), place.seq, _AFTER, row]
        reply = sender.connection.run(_CHANGE, [sender.key("breakers")], args)
        place.seq = max(place.seq, int(cast("bytes", reply[1])))

    def tell_hold(self, account: str, hold: Hold, now: float) -> None:
        """A key was refused."""
        left = hold.until - now
        message: JSONObject = {
            "kind": "hold",
            "account": account,
            "error": hold.error.__name__,
            "status": hold.status,
            "code": hold.code,
            "seconds": left,
        }
        self._tell(message, (self.sender.key("holds"), account, int(left) + 1))

    def blocked(self, place: str, seconds: float) -> None:
        """A provider asks everybody to wait."""
        self._tell({"kind": "block", "place": place, "seconds": seconds})

    def left(self, place: str, limits: RateLimits) -> None:
        """A provider says what is left; told where it is less than half, and not for every answer."""
        known, now = self.places.get(place), self.clock()
        if known is None or now - known.left_at < _LEFT_EVERY:
            return
        windows: JSONObject = {
            name: [window.limit, window.remaining, window.reset]
            for name in ("requests", "tokens", "input_tokens", "output_tokens")
            if (window := getattr(limits, name)).limit and window.remaining is not None
            if window.remaining < window.limit / 2
        }
        if windows:
            known.left_at = now
            self._tell({"kind": "left", "place": place, "windows": windows})

    def tell_health(self) -> None:
        """What was seen of each target since the last time."""
        for name, place in list(self.places.items()):
            seen = place.state.stats.take_digest()
            if seen is not None:
                numbers: list[JSON] = [seen.good, seen.samples, seen.errors, seen.whole, seen.first]
                self._tell({"kind": "health", "place": name, "seen": numbers}, hurry=False)

    def _tell(self, message: JSONObject, keep: tuple[str, str, int] | None = None, *, hurry: bool = True) -> None:
        sender, channel = self.sender, self.channel
        text = json.dumps({**message, "from": sender.id})
        keys, rest = ([], ["", 0]) if keep is None else ([keep[0]], [keep[1], keep[2]])
        sender.post(lambda: sender.connection.run(_PUBLISH, keys, [channel, text, *rest]), hurry=hurry)

    # --- hearing -----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Hear what was told before this process listened. Raises Away."""
        kept = self.sender.connection.run(_ALL, [self.sender.key("breakers"), self.sender.key("holds")], [])
        for text in _flat(kept):
            self.heard(text)

    def heard(self, text: bytes) -> None:
        """Heed a message; one that makes no sense is dropped."""
        try:
            told = json.loads(text)
            if told["from"] != self.sender.id:
                self._remember(told)
                self._heed(told)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            return

    def _remember(self, told: JSONObject) -> None:
        kind, name = told["kind"], str(told.get("place") or told.get("account"))
        kept = self._breakers if kind == "breaker" else self._holds if kind == "hold" else None
        if kept is None:
            return
        if name not in kept and len(kept) >= _UNKNOWN:
            kept.clear()
        kept[name] = told

    def _heed(self, told: JSONObject) -> None:
        kind, now = told["kind"], self.clock()
        age = max(self._wall() + self.sender.skew - int(cast("str", told["at"])) / 1e6, 0.0)
        if kind == "hold":
            self._heed_hold(told, now, age)
            return
        if kind == "joined":
            # Until the next sign of life tells exactly: whoever shares with too few takes too much.
            connection = self.sender.connection
            connection.processes = max(connection.processes, int(_number(told["alive"])))
            return
        place = self.places.get(cast("str", told["place"]))
        if place is None:
            return
        if kind == "breaker":
            self._heed_breaker(place, told, now)
        elif age > _STALE:
            return
        elif kind == "block":
            place.state.gate.throttled(_number(told["seconds"]) - age, now)
        elif kind == "left":
            place.state.gate.headers(_limits(cast("JSONObject", told["windows"])), now)
        elif kind == "health":
            good, samples, weight, whole, first = cast("list[float | None]", told["seen"])
            means = [None if mean is None else _number(mean) for mean in (whole, first)]
            seen = Digest(_number(good), int(_number(samples)), _number(weight), *means)
            place.state.stats.hear(seen, now)

    def _heed_breaker(self, place: Place, told: JSONObject, now: float) -> None:
        seq = int(cast("str", told["seq"]))
        if seq <= place.seq:
            return
        place.seq = seq
        if told["state"] == "closed":
            place.state.breaker.hear_closed(now)
            return
        left = int(cast("str", told["till"])) / 1e6 - (self._wall() + self.sender.skew)
        place.told = bool(told["told"])
        row = int(_number(told.get("row", 0)))
        place.state.breaker.hear_opened(now + left, now, str(told["reason"]), told=place.told, in_a_row=row)

    def _heed_hold(self, told: JSONObject, now: float, age: float) -> None:
        error = getattr(errors, str(told["error"]), None)
        left = _number(told["seconds"]) - age
        if not (isinstance(error, type) and issubclass(error, APIError)) or left <= 0.0:
            return
        status, code = told.get("status"), told.get("code")
        hold = Hold(
            error,
            status if isinstance(status, int) else None,
            code if isinstance(code, str) else None,
            now - age,
            now + left,
        )
        for place in list(self.places.values()):
            if place.account == told["account"]:
                place.state.key.hear(hold)


def _limits(windows: JSONObject) -> RateLimits:
    limits = RateLimits()
    for name, values in windows.items():
        if name in {"requests", "tokens", "input_tokens", "output_tokens"}:
            limit, remaining, reset = cast("list[float | None]", values)
            setattr(
                limits,
                name,
                Window(int(_number(limit)), int(_number(remaining)), None if reset is None else _number(reset)),
            )
    return limits


def _number(value: JSON) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < math.inf:
        raise TypeError(value)
    return float(value)


def _flat(reply: list[object]) -> Iterator[bytes]:
    for part in reply:
        if isinstance(part, list):
            yield from (text for text in part if isinstance(text, bytes))

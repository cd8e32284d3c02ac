"""Events that wait for one sink in memory: bounded by count and by bytes, without a lock where they come in."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Final

from aistrale.telemetry.events import Content

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.telemetry.events import TelemetryEvent

# About what the objects take, in bytes, beside what was said. Names and tags are shared with the call that they are of.
_PLAIN: Final = 600
_ROW: Final = 1_800
_TEXT: Final = 60
_DEEPEST: Final = 20
_SIZES: Final = {"call.finished": _ROW}
_SPEAKING: Final = {"attempt.finished": _ROW, "run.finished": _PLAIN, "function.finished": _PLAIN}


def about(event: TelemetryEvent) -> int:
    """About how many bytes of memory an event takes."""
    kind = event.kind
    base = _SPEAKING.get(kind)
    if base is None:
        return _SIZES.get(kind, _PLAIN)
    content = getattr(event, "content", None)
    if content is not None:
        base += _weight(content)
    elif kind == "function.finished":
        base += _weight(getattr(event, "inputs", None)) + _weight(getattr(event, "output", None))
    return base


def _weight(value: object, depth: int = 0) -> int:
    if type(value) is str:
        return _TEXT + len(value)
    if depth >= _DEEPEST:
        return _TEXT
    if isinstance(value, dict):
        return _TEXT + sum([len(str(key)) + _weight(item, depth + 1) for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return _TEXT + sum([_weight(item, depth + 1) for item in value])
    if isinstance(value, Content):
        return sum([_weight(part, depth + 1) for part in (value.system, value.input, value.output, value.tools)])
    if isinstance(value, Mapping):
        return _weight(dict(value), depth)
    return _TEXT


class Counts:
    """Counts by reason that any thread, finaliser or signal handler may add to without a lock."""

    def __init__(self) -> None:
        # next() of a counter is one step that nothing interrupts; looking at it is one, too, which is taken off again.
        self._counters: dict[str, tuple[count[int], list[int]]] = {}
        self._lock = threading.RLock()

    def add(self, reason: str, number: int = 1) -> None:
        """Count."""
        found = self._counters.get(reason)
        if found is None:
            found = self._counters.setdefault(reason, (count(), [0]))
        for _ in range(number):
            next(found[0])

    def of(self, reason: str) -> int:
        """How many of one reason."""
        found = self._counters.get(reason)
        if found is None:
            return 0
        with self._lock:
            number = next(found[0]) - found[1][0]
            found[1][0] += 1
        return number

    def all(self) -> dict[str, int]:
        """How many by reason, without those of which there are none."""
        found = {reason: self.of(reason) for reason in list(self._counters)}
        return {reason: number for reason, number in found.items() if number}


class Waiting:
    """First in, first out; many put, one takes.

    Args:
        events: Most events, beside the batch that is under way.
        size: About the most bytes, that batch included.
        oldest: Whether the oldest ones make room for new ones; else new ones that do not fit are refused.
        dropped: Told of those that got no room, and why: "full", or "bytes".
    """

    def __init__(self, events: int, size: int, *, oldest: bool, dropped: Callable[[str], None]) -> None:
        self._most = events
        self._most_bytes = size
        self._oldest = oldest
        self._dropped = dropped
        self.reset()

    def reset(self) -> list[TelemetryEvent]:
        """Forget everything, as a child process must; gives what waited. No other thread may be inside."""
        left = [*getattr(self, "_flight", ()), *getattr(self, "_events", ())]
        self._events: deque[TelemetryEvent] = deque()
        self._flight: list[TelemetryEvent] = []
        # An estimate of estimates: threads that meet in it may lose an addition, which is made good when all is gone.
        self._bytes = 0
        self._evicted = Counts()
        self._settled = 0
        self._lock = threading.RLock()
        return left

    def __len__(self) -> int:
        return len(self._events) + len(self._flight)

    @property
    def bytes(self) -> int:
        """About how many bytes wait."""
        return self._bytes

    def add(self, event: TelemetryEvent) -> int:
        """Take an event, or drop it or others; how many wait now, but for the batch under way."""
        size = about(event)
        waiting = len(self._events)
        if waiting >= self._most or self._bytes + size > self._most_bytes:
            return self._add_to_full(event, size)
        self._bytes += size
        self._events.append(event)
        return waiting + 1

    def _add_to_full(self, event: TelemetryEvent, size: int) -> int:
        reason = "full" if len(self._events) >= self._most else "bytes"
        if not self._oldest or size > self._most_bytes:
            self._dropped(reason)
            return len(self._events)
        self._bytes += size
        self._events.append(event)
        while len(self._events) > self._most or self._bytes > self._most_bytes:
            try:
                gone = self._events.popleft()
            except IndexError:
                break
            self._bytes -= about(gone)
            self._evicted.add("evicted")
            self._dropped(reason)
        return len(self._events)

    @property
    def evicted(self) -> int:
        """How many made room for others."""
        return self._evicted.of("evicted")

    def take(self, most: int) -> list[TelemetryEvent]:
        """The batch that is under way, or else a new one of at most so many events; it waits until it is settled."""
        with self._lock:
            if not self._flight:
                self._flight = self._pop(most)
            return self._flight[:most]

    def settle(self, number: int) -> None:
        """The first events of the batch under way are delivered, or given up."""
        with self._lock:
            gone, self._flight = self._flight[:number], self._flight[number:]
            self._settled += len(gone)
            self._bytes -= sum(map(about, gone))
            if not self._flight and not self._events:
                self._bytes = 0

    @property
    def under_way(self) -> int:
        """How many events of the batch under way are not settled."""
        return len(self._flight)

    def clear(self, *, queue: bool, under_way: bool) -> int:
        """Give up what waits; how many events that were.

        Args:
            queue: All but the batch under way.
            under_way: The batch under way; for the thread that delivers only.
        """
        with self._lock:
            gone = self._pop(len(self._events)) if queue else []
            if under_way:
                gone += self._flight
                self._flight = []
            self._settled += len(gone)
            self._bytes -= sum(map(about, gone))
        return len(gone)

    def mark(self) -> int:
        """A mark after everything that waits now; see `passed`."""
        with self._lock:
            waiting = len(self._flight) + len(self._events)
            # Asked last: whoever evicts one now has added one behind the mark, so that it is reached at any rate.
            return self._settled + waiting + self.evicted

    def passed(self, mark: int) -> bool:
        """Whether nothing waits any more that waited when the mark was set."""
        with self._lock:
            return not len(self) or self._settled + self.evicted >= mark

    def _pop(self, most: int) -> list[TelemetryEvent]:
        popped: list[TelemetryEvent] = []
        try:
            while len(popped) < most:
                popped.append(self._events.popleft())
        except IndexError:
            pass
        return popped


def by_reason(*counts: Mapping[str, int]) -> dict[str, int]:
    """The sums of several counts, without those that are nothing."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return {reason: number for reason, number in total.items() if number}

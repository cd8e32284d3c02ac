"""Keeps events in memory: for tests, and to look at."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Self, TypeVar, overload

from aistrale.telemetry.address import read_address, whole, wrong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.events import TelemetryEvent

E = TypeVar("E", bound="TelemetryEvent")


class MemorySink:
    """The newest events, in order. Thread-safe, and written to in the calling thread: what happened is there at once.

    Args:
        limit: Most events that are kept, at least 1; older ones go.
    """

    name = "memory"
    inline = True

    def __init__(self, limit: int = 10_000) -> None:
        if limit < 1:
            raise wrong("memory: limit must be at least 1")
        self._events: deque[TelemetryEvent] = deque(maxlen=limit)
        # Its lock is reentrant: an event may come from a finalizer in the midst of another one.
        self._changed = threading.Condition()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "memory" or "memory?limit=1000"."""
        rest, options = read_address(url, {"limit": whole})
        if rest:
            raise wrong("memory takes no address")
        return cls(**options)  # type: ignore[arg-type]  # as the readers of the options give them

    @property
    def events(self) -> list[TelemetryEvent]:
        """What was kept, oldest first."""
        with self._changed:
            return list(self._events)

    @overload
    def of(self, kind: type[E]) -> list[E]: ...
    @overload
    def of(self, kind: str) -> list[TelemetryEvent]: ...
    def of(self, kind: str | type[TelemetryEvent]) -> Sequence[TelemetryEvent]:
        """Those of one kind, such as "attempt.finished", or of its class, by which type checkers know their fields."""
        return [event for event in self.events if event.kind == _name(kind)]

    @overload
    def wait_for(self, kind: type[E], count: int = 1, timeout: float = 5.0) -> list[E]: ...
    @overload
    def wait_for(self, kind: str, count: int = 1, timeout: float = 5.0) -> list[TelemetryEvent]: ...
    def wait_for(
        self, kind: str | type[TelemetryEvent], count: int = 1, timeout: float = 5.0
    ) -> Sequence[TelemetryEvent]:
        """Wait until there are so many events of a kind.

        Args:
            kind: Such as "call.finished", or `CallFinished`.
            count: How many, at least.
            timeout: Seconds.

        Returns:
            Those that are there, oldest first.

        Raises:
            TimeoutError: There were not; it says what came instead.
        """
        kind = _name(kind)
        with self._changed:
            if not self._changed.wait_for(lambda: self._count(kind) >= count, timeout):
                seen = ", ".join(f"{number} {name}" for name, number in Counter(e.kind for e in self._events).items())
                raise TimeoutError(f"not {count} {kind} within {timeout:g} s; there are: {seen or 'no events'}")
            return [event for event in self._events if event.kind == kind]

    def clear(self) -> None:
        """Forget them."""
        with self._changed:
            self._events.clear()

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Keep them."""
        with self._changed:
            self._events.extend(events)
            self._changed.notify_all()

    def after_fork(self) -> None:
        """What the parent kept is the parent's."""
        self._changed = threading.Condition()
        self._events = deque(maxlen=self._events.maxlen)

    def close(self) -> None:
        """Nothing is open, and what was kept stays."""

    def _count(self, kind: str) -> int:
        return sum(event.kind == kind for event in self._events)


def _name(kind: str | type[TelemetryEvent]) -> str:
    return kind if isinstance(kind, str) else kind.kind

"""Keeps events in memory: for tests, and to look at."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.events import TelemetryEvent


class MemorySink:
    """The newest events, in order.

    Args:
        limit: Most events that are kept; older ones go.
    """

    name = "memory"
    inline = True

    def __init__(self, limit: int = 10_000) -> None:
        self._events: deque[TelemetryEvent] = deque(maxlen=limit)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "memory"."""
        return cls()

    @property
    def events(self) -> list[TelemetryEvent]:
        """What was kept, oldest first."""
        return list(self._events)

    def of(self, kind: str) -> list[TelemetryEvent]:
        """Those of one kind, such as "attempt.finished"."""
        return [event for event in self._events if event.kind == kind]

    def clear(self) -> None:
        """Forget them."""
        self._events.clear()

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Keep them."""
        self._events.extend(events)
